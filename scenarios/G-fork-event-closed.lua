-- G: a context that is closed while a fork waits to be heard.  The child's context ends with it, so nothing of the child is protected: no mark stays
-- behind in memory that is not registered, and none revives when the child registers that memory itself.
quire.kernel_bug("6.18", "marks stay in the child, and a guard that is installed over one never returns")
local K <const> = 4096

local function child_of_a_fork_unheard(p, a, features)
	local u = p:userfaultfd{ features = features }
	check(u:register(a, 8 * K, { "wp" })) -- W W W W . . . .
	check(p:write(a, "xx"))
	check(u:writeprotect(a, 4 * K, true))
	local t = p:thread()
	check.fails("blocked", t:fork())
	check(u:close())
	return t:result()
end

local function unprotected(c, a)
	for page = 0, 7 do
		check.pagemap(c, a + page * K, { swapped = false, uffd_wp = false })
	end
end

-- Anonymous memory: a protected page, and markers.
local p = quire.process()
local a = p:mmap{ length = 8 * K, prot = "rw" }
local c = child_of_a_fork_unheard(p, a, { "event_fork", "wp_unpopulated" })
unprotected(c, a)
local w = c:userfaultfd{ features = { "wp_unpopulated" } }
check(w:register(a, 8 * K, { "wp" }))
unprotected(c, a)
check.eq(c:write(a, "child"), true)
check.eq(c:write(a + K, "child"), true)
check.fails("EAGAIN", w:read())
check.eq(p:read(a, 2), "xx")

-- Shared memory: markers stay in the kernel's child, and a guard that is installed over one never returns.
local f = quire.shmem{ size = 8 * K }
f:write(0, ("f"):rep(8 * K))
a = p:mmap{ length = 8 * K, prot = "rw", shared = true, file = f }
c = child_of_a_fork_unheard(p, a, { "event_fork", "wp_hugetlbfs_shmem" })
unprotected(c, a)
check(c:madvise(a + K, 2 * K, "guard_install"))
check.pagemap(c, a + K, { guard = true, uffd_wp = false })
check.fails("SEGV", c:read(a + K, 1))
check.eq(c:read(a, 2), "xx")
check.eq(c:write(a + 3 * K, "child"), true)
check.eq(p:read(a + 3 * K, 5), "child")
