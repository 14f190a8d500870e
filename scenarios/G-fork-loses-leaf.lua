-- G: protection lost at fork.  The child's entry is made from the parent's, and a copy that masks out one bit too many drops the mark: the child's
-- memory is registered, its context waits, and no write is ever reported.
local K <const> = 4096
local p = quire.process()
local a = p:mmap { length = "12K", prot = "rw" }
p:write(a, "written")
p:read(a + K, 1)
local u = p:userfaultfd { features = { "event_fork" } }
check(u:register(a, "12K", { "wp" }))
check(u:writeprotect(a, "12K", true))
local t = p:thread()
check.fails("blocked", t:fork())
local v = u:read().child
local c = t:result()
check.pagemap(c, a, { present = true, uffd_wp = true })
check.pagemap(c, a + K, { present = true, uffd_wp = true })
check.pagemap(c, a + 2 * K, { present = false, uffd_wp = false })
check.fails("blocked", c:write(a, "child"))
check.eq(v:read(), { event = "pagefault", address = a, write = true, wp = true, minor = false })
check(v:writeprotect(a, K, false))
check.eq(c:thread_result(), true)
check.page(c, a, "childen")
check.page(p, a, "written")
