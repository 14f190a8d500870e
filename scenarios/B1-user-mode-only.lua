-- B1, A6: user_mode_only. A fault of the process itself is reported and waited for; where the kernel would
-- fault on its behalf, the access fails and nothing is reported.
local p = quire.process()
local a = p:mmap{ length = "64K", prot = "rw" }
local u = p:userfaultfd{ user_mode_only = true }
check(u:register(a, "64K", { "missing", "wp" }))

-- Missing.
check.fails("EFAULT", p:syscall_read(a, 8))
check.fails("EFAULT", p:syscall_write(a, "kernel"))
check.fails("EFAULT", p:madvise(a, "4K", "populate_read"))
check.fails("EFAULT", p:madvise(a, "4K", "populate_write"))
check.fails("ENOMEM", p:mlock(a, "4K"))
check(p:munlock(a, "4K"))
check.fails("EAGAIN", u:read())
check.pagemap(p, a, { present = false, swapped = false })

check.fails("blocked", p:write(a, "user"))
check.eq(u:read(), { event = "pagefault", address = a, write = true, wp = false, minor = false })
check.eq(u:copy(a, ("A"):rep(4096)), 4096)
check.eq(p:thread_result(), true)
check.page(p, a, "userAAAA")

-- Protected: only writing is refused.
check(u:writeprotect(a, "4K", true))
check.eq(p:syscall_read(a, 6), "userAA")
check(p:madvise(a, "4K", "populate_read"))
check.fails("EFAULT", p:syscall_write(a, "kernel"))
check.fails("EFAULT", p:madvise(a, "4K", "populate_write"))
check.fails("ENOMEM", p:mlock(a, "4K"))
check(p:munlock(a, "4K"))
check.fails("EAGAIN", u:read())
check.pagemap(p, a, { present = true, uffd_wp = true })
check.page(p, a, "userAAAA")
