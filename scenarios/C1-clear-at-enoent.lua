-- C1, B3: an un-protect that ends in ENOENT has cleared the mark and yet woken nobody.
local p = quire.process()
local K = 0x1000
local a = p:mmap{ length = "8K", prot = "rw" }
local u = p:userfaultfd{}
check(p:write(a, ("A"):rep(2 * K)))
check(u:register(a, K, { "wp" })) -- w .
check(u:writeprotect(a, K, true))
check.fails("blocked", p:write(a, "x"))
check.eq(u:read().wp, true)
check.fails("ENOENT", u:writeprotect(a, 2 * K, false))
check.pagemap(p, a, { uffd_wp = false })
check.fails("blocked", p:thread_result())
check(u:wake(a, K))
check.eq(p:thread_result(), true)
check.fails("EAGAIN", u:read())
