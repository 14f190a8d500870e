-- B3: what ZEROPAGE refuses, with its output field; CONTINUE has nothing to map in private anonymous memory.
local p = quire.process()
local K = 0x1000
local a = p:mmap{ length = "64K", prot = "rw" }
local u = p:userfaultfd{}
check(u:register(a, "32K", { "missing" }))

local ENOENT, EEXIST, EINVAL = -2, -17, -22

check.eq({ u:zeropage(a + 1, K) }, { nil, "EINVAL", 0 })
check.eq({ u:zeropage(a, K + 1) }, { nil, "EINVAL", 0 })
check.eq({ u:zeropage(a, 0) }, { nil, "EINVAL", 0 })
check.eq({ u:zeropage(a, K, { mode = 2 }) }, { nil, "EINVAL", 0 }) -- there is no protected page of zeros

check.eq(u:zeropage(a, K), K)
check.pagemap(p, a, { present = true, exclusive = false, uffd_wp = false })
check.eq(p:rss().anon, 0)
check.eq({ u:zeropage(a, K) }, { nil, "EEXIST", EEXIST })
check.eq(u:copy(a + K, ("C"):rep(K)), K)
check.eq({ u:zeropage(a + K, K) }, { nil, "EEXIST", EEXIST })
check.page(p, a + K, "CCCC")

-- Z C . . C .
check.eq(u:copy(a + 4 * K, ("C"):rep(K)), K)
check.eq({ u:zeropage(a + 2 * K, 4 * K) }, { nil, "EAGAIN", 2 * K })
check.pagemap(p, a + 3 * K, { present = true })
check.pagemap(p, a + 5 * K, { present = false })

check.eq({ u:zeropage(a + 9 * K, K) }, { nil, "ENOENT", ENOENT })
check.eq({ u:zeropage(a + 7 * K, 2 * K) }, { nil, "ENOENT", ENOENT })
check.eq(u:zeropage(a + 5 * K, K, { dontwake = true }), K)
check(u:register(a + 8 * K, K, { "wp" }))
check.eq(u:zeropage(a + 8 * K, K), K)

-- CONTINUE.
check.eq({ u:continue(a + 6 * K, K) }, { nil, "EINVAL", EINVAL })
check.eq({ u:continue(a + 6 * K, 0) }, { nil, "EINVAL", 0 })
check.eq({ u:continue(a + 6 * K, K, { mode = 4 }) }, { nil, "EINVAL", 0 })
