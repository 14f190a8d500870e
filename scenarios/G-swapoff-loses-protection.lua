-- What was protected in swap is protected when swapoff has brought it back.
quire.setup { swap = "64M" }
local K <const> = 0x1000
local p = quire.process()
local a = p:mmap { length = "16K", prot = "rw" }
local u = p:userfaultfd {}
check(u:register(a, "16K", { "wp" }))
check(p:write(a, "page"))
check(p:write(a + K, "page"))
check(u:writeprotect(a, K, true))
check(p:madvise(a, 2 * K, "pageout"))
check.pagemap(p, a, { present = false, swapped = true, uffd_wp = true })
check(quire.swapoff())
check.pagemap(p, a, { present = true, uffd_wp = true })
check.pagemap(p, a + K, { present = true, uffd_wp = false })
check.fails("blocked", p:write(a, "w"))
check.eq(u:read(), { event = "pagefault", address = a, write = true, wp = true, minor = false })
check(u:writeprotect(a, K, false))
check.eq(p:thread_result(), true)
