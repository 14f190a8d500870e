-- G: markers lost at fork.  A copy of the tables that has an eye for pages only passes over what stands where no page is; what comes to stand there
-- in the child is not protected.
local K <const> = 4096
local p = quire.process()
local size <const> = 4 << 20
local a = p:mmap { length = 2 * size, prot = "rw", noreserve = true }
a = (a + size - 1) & ~(size - 1)
p:write(a, "written") -- so that there is something to copy
local u = p:userfaultfd { features = { "wp_unpopulated", "event_fork" } }
check(u:register(a, size, { "wp" }))
check(u:writeprotect(a, size, true))
local t = p:thread()
check.fails("blocked", t:fork())
local v = u:read().child
local c = t:result()
for _, at in ipairs { a + K, a + (2 << 20) - K, a + (2 << 20), a + size - K } do
	check.pagemap(c, at, { present = false, uffd_wp = true })
	check.fails("blocked", c:write(at, "child"))
	check.eq(v:read(), { event = "pagefault", address = at, write = true, wp = true, minor = false })
	check(v:writeprotect(at, K, false))
	check.eq(c:thread_result(), true)
	check.pagemap(p, at, { present = false, uffd_wp = true })
end
