-- fork leaves the parent's protection of what is in swap as it is, whatever becomes of the child's.
quire.setup { swap = "64M" }
local K <const> = 0x1000
local p = quire.process()
local a = p:mmap { length = "16K", prot = "rw" }
local u = p:userfaultfd {}
check(u:register(a, "16K", { "wp" }))
check(p:write(a, "page"))
check(u:writeprotect(a, K, true))
check(p:madvise(a, K, "pageout"))
local c = p:fork()
check.pagemap(p, a, { present = false, swapped = true, uffd_wp = true })
check.pagemap(c, a, { present = false, swapped = true, uffd_wp = false })
check.fails("blocked", p:write(a, "w"))
check.eq(u:read(), { event = "pagefault", address = a, write = true, wp = true, minor = false })
check(u:writeprotect(a, K, false))
check.eq(p:thread_result(), true)
check(c:write(a, "c"))
check.page(p, a, "wage")
