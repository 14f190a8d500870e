-- G: COPY onto a marker.  What is put in without MODE_WP is not protected, whatever stood there; a mark that stays is a report that nobody expects.
local K <const> = 4096
local p = quire.process()
local a = p:mmap { length = "8K", prot = "rw" }
local u = p:userfaultfd { features = { "wp_unpopulated" } }
check(u:register(a, "8K", { "missing", "wp" }))
check(u:writeprotect(a, "8K", true))
check.eq(u:copy(a, ("c"):rep(K)), K)
check.eq(u:copy(a + K, ("c"):rep(K), { wp = true }), K)
check.pagemap(p, a, { present = true, uffd_wp = false })
check.pagemap(p, a + K, { present = true, uffd_wp = true })
check.eq(p:write(a, "x"), true)
check.fails("blocked", p:write(a + K, "x"))
check.eq(u:read(), { event = "pagefault", address = a + K, write = true, wp = true, minor = false })
