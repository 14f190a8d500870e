-- G: a mark lost to the kernel's own read.  A page that is shared since a fork is copied before a system call reads it; the copy must be protected as
-- the page was.
local p = quire.process()
local a = p:mmap { length = "4K", prot = "rw" }
p:write(a, "shared")
local c = p:fork()
local u = p:userfaultfd {}
check(u:register(a, "4K", { "wp" }))
check(u:writeprotect(a, "4K", true))
check.eq(p:syscall_read(a, 6), "shared")
check.pagemap(p, a, { present = true, uffd_wp = true })
check.fails("blocked", p:write(a, "x"))
check.eq(u:read(), { event = "pagefault", address = a, write = true, wp = true, minor = false })
check(u:writeprotect(a, "4K", false))
check.eq(p:thread_result(), true)
check.page(p, a, "xhared")
check.page(c, a, "shared")
