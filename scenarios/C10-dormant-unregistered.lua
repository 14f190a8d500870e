-- C10: protection that lies dormant outlives even the registration; it ends at fork, and revives when WP is registered again.
local p = quire.process()
local K = 0x1000
local a = p:mmap{ length = "64K", prot = "rw" }
local u = p:userfaultfd{ features = { "wp_unpopulated" } }
check(p:write(a, "x"))
check(u:register(a, "64K", { "wp" }))
check(u:writeprotect(a, 2 * K, true))
check(u:register(a, "64K", { "missing" }))
check(u:unregister(a, "64K"))
check.pagemap(p, a, { present = true, uffd_wp = true })
check.pagemap(p, a + K, { swapped = true, uffd_wp = true })
check.eq(p:write(a, "y"), true)
check.pagemap(p, a, { uffd_wp = true })
local c = p:fork()
check.pagemap(c, a, { present = true, uffd_wp = false })
check.pagemap(c, a + K, { swapped = false, uffd_wp = false })
c:exit()
check(u:register(a, "64K", { "wp" }))
check.fails("blocked", p:write(a, "z"))
check.eq(u:read(), { event = "pagefault", address = a, write = true, wp = true, minor = false })
check(u:writeprotect(a, K, false))
check.eq(p:thread_result(), true)
-- Without the dormant mode in between, unregistering drops it.
check(u:writeprotect(a, 2 * K, true))
check(u:unregister(a, "64K"))
check.pagemap(p, a, { uffd_wp = false })
