-- A child that is registered inherits the protection of what is in swap.
quire.setup { swap = "64M" }
local K <const> = 0x1000
local p = quire.process()
local a = p:mmap { length = "16K", prot = "rw" }
local u = p:userfaultfd { features = { "event_fork" } }
check(u:register(a, "16K", { "wp" }))
check(p:write(a, "page"))
check(p:write(a + K, "page"))
check(u:writeprotect(a, K, true))
check(p:madvise(a, 2 * K, "pageout"))
check.fails("blocked", p:fork())
local child = u:read().child
local c = p:thread_result()
check.pagemap(c, a, { present = false, swapped = true, uffd_wp = true })
check.pagemap(c, a + K, { present = false, swapped = true, uffd_wp = false })
check.fails("blocked", c:write(a, "w"))
check.eq(child:read(), { event = "pagefault", address = a, write = true, wp = true, minor = false })
check(child:writeprotect(a, K, false))
check.eq(c:thread_result(), true)
check.page(p, a, "page")
