-- B3: what COPY refuses, and how it tells how far it came: bad arguments leave the output field alone, all
-- other errors are in it, too; after some progress the error is EAGAIN and the field counts bytes.
local p = quire.process()
local K = 0x1000
local a = p:mmap{ length = "64K", prot = "rw" }
local source = p:mmap{ length = "16K", prot = "rw" }
local u = p:userfaultfd{}
check(p:write(source, ("S"):rep(4 * K)))
check(u:register(a, "32K", { "missing" })) -- M M M M M M M M . . . . . . . .

local ENOENT, EFAULT, EEXIST, EINVAL = -2, -14, -17, -22
local page = ("C"):rep(K)

-- Arguments.
check.eq({ u:copy(a + 1, page) }, { nil, "EINVAL", 0 })
check.eq({ u:copy(a, page .. "C") }, { nil, "EINVAL", 0 })
check.eq({ u:copy(a, "") }, { nil, "EINVAL", 0 })
check.eq({ u:copy(a, page, { mode = 4 }) }, { nil, "EINVAL", 0 })
check.eq({ u:copy(a, -K, 2 * K) }, { nil, "EINVAL", 0 }) -- the source wraps around
check.eq({ u:copy(a, source, 0) }, { nil, "EINVAL", 0 })

-- The source may lie anywhere, but must be there.
check.eq(u:copy(a, source + 1, K), K)
check.page(p, a, "SSSS")
check.eq({ u:copy(a + K, 0, K) }, { nil, "EFAULT", EFAULT })
check(p:munmap(source + 3 * K, K)) -- S S S . M M ...
check.eq({ u:copy(a + K, source + K, 4 * K) }, { nil, "EAGAIN", 2 * K })
check.pagemap(p, a + 2 * K, { present = true })
check.pagemap(p, a + 3 * K, { present = false })

-- Onto what is there.
check.eq({ u:copy(a, page) }, { nil, "EEXIST", EEXIST })
check.eq({ u:copy(a, page, { wp = true }) }, { nil, "EINVAL", EINVAL }) -- not registered for that
check.page(p, a, "SSSS")
check.eq({ u:copy(a, source, 3 * K) }, { nil, "EEXIST", EEXIST })
check(p:madvise(a, "32K", "dontneed"))
check.eq(u:copy(a + 2 * K, page), K)
check.eq({ u:copy(a, source, 3 * K) }, { nil, "EAGAIN", 2 * K }) -- S S C .
check.page(p, a + K, "SSSS")
check.page(p, a + 2 * K, "CCCC")
check.pagemap(p, a + 3 * K, { present = false })

-- A mapped page of zeros is there.
check.eq(u:zeropage(a + 3 * K, K), K)
check.eq({ u:copy(a + 3 * K, page) }, { nil, "EEXIST", EEXIST })

-- Not registered; registered in part; registered in two modes, which are two mappings: nothing is done.
check.eq({ u:copy(a + 9 * K, page) }, { nil, "ENOENT", ENOENT })
check.eq({ u:copy(a + 7 * K, source, 2 * K) }, { nil, "ENOENT", ENOENT })
check.pagemap(p, a + 7 * K, { present = false })
check(u:register(a + 8 * K, 2 * K, { "wp" }))
check.eq({ u:copy(a + 7 * K, source, 2 * K) }, { nil, "ENOENT", ENOENT })
check.pagemap(p, a + 7 * K, { present = false })
check.eq({ u:copy(1 << 20, page) }, { nil, "ENOENT", ENOENT })

-- Which mode it is registered in does not matter.
check.eq(u:copy(a + 8 * K, page), K)
check.pagemap(p, a + 8 * K, { present = true, uffd_wp = false })

-- Nor does the protection.
for _, prot in ipairs{ "r", "none" } do
	check(p:madvise(a, K, "dontneed"))
	check(p:mprotect(a, K, prot))
	check.eq(u:copy(a, page), K, prot)
	check.pagemap(p, a, { present = true })
	check.fails("SEGV", p:write(a, "x"))
	check(p:mprotect(a, K, "rw"))
	check.eq(p:write(a, "x"), true)
	check.page(p, a, "xCCC")
end
