-- B7: POISON. Any access fails; what takes the place of a poisoned page, and what does not.
local p = quire.process()
local K = 0x1000
local a = p:mmap{ length = "64K", prot = "rw" }
local u = p:userfaultfd{ features = { "poison", "wp_unpopulated" } }
local EEXIST, ENOENT = -17, -2
check(u:register(a, "32K", { "missing", "wp" }))

check.eq(u:poison(a, K), K)
check.eq({ p:read(a, 1) }, { nil, "BUS", "ADRERR" })
check.eq({ p:write(a, "x") }, { nil, "BUS", "ADRERR" })
check.eq({ p:syscall_read(a, 1) }, { nil, "EFAULT", 0 })
check.fails("EHWPOISON", p:madvise(a, K, "populate_read"))
check.eq(p:mincore(a, K), { false })
check.pagemap(p, a, { present = false, swapped = true, uffd_wp = false })
check.fails("EAGAIN", u:read())

check.eq({ u:poison(a, K) }, { nil, "EEXIST", EEXIST })
check.eq({ u:zeropage(a, K) }, { nil, "EEXIST", EEXIST })
check.eq(u:copy(a, ("C"):rep(K)), K)
check.page(p, a, "CCCC")
check.eq({ u:poison(a, K) }, { nil, "EEXIST", EEXIST })
check.page(p, a, "CCCC")

-- Arguments, and how far it came.
check.eq({ u:poison(a + K + 1, K) }, { nil, "EINVAL", 0 })
check.eq({ u:poison(a + K, 0) }, { nil, "EINVAL", 0 })
check.eq({ u:poison(a + K, K, { mode = 2 }) }, { nil, "EINVAL", 0 })
check.eq({ u:poison(a + 9 * K, K) }, { nil, "ENOENT", ENOENT })
check.eq(u:copy(a + 2 * K, ("C"):rep(K)), K)
check.eq({ u:poison(a + K, 3 * K) }, { nil, "EAGAIN", K })
check.eq({ p:read(a + K, 1) }, { nil, "BUS", "ADRERR" })

-- Onto a marker of protection: refused.
check(u:writeprotect(a + 4 * K, K, true))
check.eq({ u:poison(a + 4 * K, K) }, { nil, "EEXIST", EEXIST })
check.pagemap(p, a + 4 * K, { uffd_wp = true })

-- It survives mprotect and fork, and moves; dontneed drops it.
check(p:mprotect(a + K, K, "none"))
check(p:mprotect(a + K, K, "rw"))
local c = p:fork()
check.eq({ c:read(a + K, 1) }, { nil, "BUS", "ADRERR" })
check.eq({ p:read(a + K, 1) }, { nil, "BUS", "ADRERR" })
local to = p:mmap{ length = K, prot = "none" }
check.eq(p:mremap(a + K, K, K, { maymove = true, fixed = to }), to)
check.eq({ p:read(to, 1) }, { nil, "BUS", "ADRERR" })
check(p:madvise(to, K, "dontneed"))
check.eq(p:read(to, 1), "\0")
