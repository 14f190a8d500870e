-- B6: with the sigbus feature nobody waits and nothing is reported: the access fails.
local p = quire.process()
local K = 0x1000
local a = p:mmap{ length = "16K", prot = "rw" }
local u = p:userfaultfd{ features = { "sigbus" } }
check(u:register(a, "16K", { "missing", "wp" }))

-- Missing.
check.eq({ p:read(a, 1) }, { nil, "BUS", "ADRERR" })
check.eq({ p:write(a, "x") }, { nil, "BUS", "ADRERR" })
check.eq({ p:syscall_read(a, 1) }, { nil, "EFAULT", 0 })
check.eq({ p:syscall_write(a, "x") }, { nil, "EFAULT", 0 })
check.fails("EFAULT", p:madvise(a, K, "populate_read"))
check.fails("EFAULT", p:madvise(a, K, "populate_write"))
check.pagemap(p, a, { present = false, swapped = false })

-- Protected: only writing fails.
check.eq(u:copy(a, ("C"):rep(K)), K)
check(u:writeprotect(a, K, true))
check.eq(p:read(a, 2), "CC")
check.eq({ p:write(a, "x") }, { nil, "BUS", "ADRERR" })
check.eq({ p:syscall_write(a, "x") }, { nil, "EFAULT", 0 })
check.pagemap(p, a, { present = true, uffd_wp = true })
check(u:writeprotect(a, K, false))
check.eq(p:write(a, "x"), true)
check.page(p, a, "xCCC")

check.fails("EAGAIN", u:read())
check.eq(u:poll(), { readable = false, error = false, hangup = false })
check(u:close())

-- Together with wp_async a write is let through, as without.
u = p:userfaultfd{ features = { "sigbus", "wp_async" } }
check(u:register(a, "16K", { "missing", "wp" }))
check(u:writeprotect(a, K, true))
check.eq(p:write(a, "y"), true)
check.pagemap(p, a, { present = true, uffd_wp = false })
check.eq({ p:read(a + K, 1) }, { nil, "BUS", "ADRERR" })
