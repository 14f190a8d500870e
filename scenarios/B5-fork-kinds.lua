-- B5, C15: forks with and without the event, with two userfaultfds, and of memory that a fork leaves out.
local K = 0x1000

local function letters(of, address)
	local flags = " " .. of:smaps(address).VmFlags .. " "
	return (flags:find(" um ", 1, true) and "m" or "") .. (flags:find(" uw ", 1, true) and "w" or "")
end

-- Without the event the child has neither registration nor protection; the parent keeps both.
local p = quire.process()
local a = p:mmap{ length = "16K", prot = "rw" }
check(p:write(a, ("A"):rep(2 * K)))
local u = p:userfaultfd{ features = { "wp_unpopulated" } }
check(u:register(a, "16K", { "missing", "wp" }))
check(u:writeprotect(a, K, true))
check(u:writeprotect(a + 2 * K, K, true)) -- nothing is there: a marker
local c = p:fork()
check.eq(letters(c, a), "")
check.pagemap(c, a, { present = true, uffd_wp = false, exclusive = false })
check.pagemap(c, a + 2 * K, { present = false, swapped = false, uffd_wp = false })
check.eq(c:write(a, "child"), true)
check.eq(c:read(a + 2 * K, 1), "\0")
check.fails("EAGAIN", u:read())
check.eq(letters(p, a), "mw")
check.pagemap(p, a, { present = true, uffd_wp = true })
check.pagemap(p, a + 2 * K, { uffd_wp = true })
check(u:close())
c:exit()

-- With it, markers are inherited, too.
u = p:userfaultfd{ features = { "wp_unpopulated", "event_fork" } }
check(u:register(a, "16K", { "wp" }))
check(u:writeprotect(a, "16K", true))
local t = p:thread()
check.fails("blocked", t:fork())
check.eq(u:read().event, "fork")
c = t:result()
check.eq(letters(c, a), "w")
check.pagemap(c, a, { present = true, uffd_wp = true })
check.pagemap(c, a + 2 * K, { present = false, uffd_wp = true })

-- Two with the event: one after the other, and the call waits for both.
p = quire.process()
t = p:thread()
a = p:mmap{ length = "8K", prot = "rw" }
u = p:userfaultfd{ features = { "event_fork" } }
local v = p:userfaultfd{ features = { "event_fork" } }
check(u:register(a, K, { "missing" }))
check(v:register(a + K, K, { "missing" }))
check.fails("blocked", t:fork())
check.eq({ u:poll().readable, v:poll().readable }, { true, false })
local of_u = u:read().child
check.fails("blocked", t:result())
local of_v = v:read().child
c = t:result()
-- Each has what its parent had.
check.fails("EBUSY", of_u:register(a + K, K, { "missing" }))
check(of_u:register(a, K, { "wp" }))
check.fails("blocked", c:touch(a + K, "w"))
check.fails("EAGAIN", of_u:read())
check.eq(of_v:read().address, a + K)
check.eq(of_v:zeropage(a + K, K), K)
check.eq(c:thread_result(), true)

-- Memory that the child does not get: no event.  Memory that it gets empty: an event.
p = quire.process()
t = p:thread()
a = p:mmap{ length = "4K", prot = "rw" }
u = p:userfaultfd{ features = { "event_fork" } }
check(p:write(a, "A"))
check(p:madvise(a, K, "dontfork"))
check(u:register(a, K, { "missing" }))
c = t:fork()
check.fails("EAGAIN", u:read())
check.fails("ENOENT", c:smaps(a))
check(p:madvise(a, K, "dofork"))
check(p:madvise(a, K, "wipeonfork"))
check(u:register(a, K, { "missing", "wp" }))
check(u:writeprotect(a, K, true))
check.fails("blocked", t:fork())
local child = u:read().child
c = t:result()
check.eq(letters(c, a), "mw")
check.pagemap(c, a, { present = false, swapped = false, uffd_wp = false })
check.fails("blocked", c:touch(a, "r"))
check.eq(child:read().address, a)
check.eq(child:copy(a, ("C"):rep(K)), K)
check.eq(c:thread_result(), true)

-- Closing while the fork waits: the child is there, and has nothing registered.
check.fails("blocked", t:fork())
check(u:close())
c = t:result()
check.eq(letters(c, a), "")
check.eq(c:touch(a, "w"), true)
