-- G: a marker taken for a protected page.  A write to where no page is must first make one, protected, and only then report; who sleeps on the marker
-- waits for something that is not there, and where protection is asynchronous nobody will ever come.
local K <const> = 4096
local p = quire.process()
local a = p:mmap { length = "8K", prot = "rw" }
local u = p:userfaultfd { features = { "wp_unpopulated" } }
check(u:register(a, "8K", { "wp" }))
check(u:writeprotect(a, "8K", true))
check.fails("blocked", p:write(a, "x"))
check.eq(u:read(), { event = "pagefault", address = a, write = true, wp = true, minor = false })
check.pagemap(p, a, { present = true, uffd_wp = true })
check(u:writeprotect(a, K, false))
check.eq(p:thread_result(), true)

local b = p:mmap { length = "8K", prot = "rw" }
local v = p:userfaultfd { features = { "wp_async" } }
check(v:register(b, "8K", { "wp" }))
check(v:writeprotect(b, "8K", true))
check.pagemap(p, b, { present = false, uffd_wp = true })
check.eq(p:write(b, "x"), true)
check.pagemap(p, b, { present = true, uffd_wp = false })
