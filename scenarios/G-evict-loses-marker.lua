-- A protected page of an object goes to swap; a marker stays where it was.
quire.setup { swap = "64M" }
local K <const> = 0x1000
local p = quire.process()
local f = quire.shmem { size = "16K" }
local a = p:mmap { length = "16K", prot = "rw", shared = true, file = f }
local u = p:userfaultfd {}
check(u:register(a, "16K", { "wp" }))
check(p:write(a, "page"))
check(u:writeprotect(a, K, true))
check(p:madvise(a, K, "pageout"))
check.eq(f:resident(0, K), 0)
check.pagemap(p, a, { present = false, uffd_wp = true })
check.fails("blocked", p:write(a, "w"))
check.eq(u:read(), { event = "pagefault", address = a, write = true, wp = true, minor = false })
check(u:writeprotect(a, K, false))
check.eq(p:thread_result(), true)
check.page(p, a, "wage")
