-- A protected private page goes to swap and comes back protected.
quire.setup { swap = "64M" }
local K <const> = 0x1000
local p = quire.process()
local a = p:mmap { length = "16K", prot = "rw" }
local u = p:userfaultfd {}
check(u:register(a, "16K", { "wp" }))
check(p:write(a, "page"))
check(u:writeprotect(a, K, true))
check(p:madvise(a, K, "pageout"))
check.pagemap(p, a, { present = false, swapped = true, uffd_wp = true })
check.page(p, a, "page")
check.pagemap(p, a, { present = true, uffd_wp = true })
check.fails("blocked", p:write(a, "w"))
check.eq(u:read(), { event = "pagefault", address = a, write = true, wp = true, minor = false })
check(u:writeprotect(a, K, false))
check.eq(p:thread_result(), true)
