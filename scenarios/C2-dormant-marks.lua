-- C2, C10: registering for another mode leaves marks dormant: writes pass, and the marks live again when wp is
-- registered again.
local p = quire.process()
local K = 0x1000
local a = p:mmap{ length = "16K", prot = "rw" }
local u = p:userfaultfd{ features = { "wp_unpopulated" } }
check(p:write(a, ("A"):rep(2 * K)))
check(u:register(a, "16K", { "wp" }))
check(u:writeprotect(a, "16K", true)) -- two pages, two markers

check(u:register(a, "16K", { "missing" }))
check.pagemap(p, a, { present = true, uffd_wp = true })
check.pagemap(p, a + 2 * K, { present = false, uffd_wp = true })
check.eq(p:write(a, "x"), true)
check.pagemap(p, a, { present = true, uffd_wp = true })
check.fails("EAGAIN", u:read())

check(u:register(a, "16K", { "missing", "wp" }))
check.pagemap(p, a, { present = true, uffd_wp = true })
check.pagemap(p, a + 2 * K, { present = false, uffd_wp = true })
check.fails("blocked", p:write(a + K, "y"))
check.eq(u:read(), { event = "pagefault", address = a + K, write = true, wp = true, minor = false })
check(u:writeprotect(a, "16K", false))
check.eq(p:thread_result(), true)
check.pagemap(p, a + 2 * K, { present = false, swapped = false, uffd_wp = false })
