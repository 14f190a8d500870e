-- C19: pools of huge pages. What is mapped is reserved, what is used is taken, and all of it comes back.
quire.setup { hugetlb = { ["2M"] = 8 } }
local K <const>, M <const> = 1 << 10, 1 << 20
local p = quire.process()
local function pool(free, reserved, surplus, total)
	check.eq(quire.stats().hugetlb["2M"], { total = total or 8, free = free, reserved = reserved, surplus = surplus or 0 })
end

-- Private: a mapping reserves, a write takes.
pool(8, 0)
local a = p:mmap { length = 4 * M, prot = "rw", hugetlb = "2M" }
pool(8, 2)
p:write(a, "first")
pool(7, 1)
check.page(p, a, "first")
check.eq(p:read(a + M, 1), "\0")
check.eq(p:mincore(a, 8 * K), { true, true })
check.fails("ENOMEM", p:mmap { length = 16 * M, prot = "rw", hugetlb = "2M" })
check(p:munmap(a, 4 * M))
pool(8, 0)

-- A file: its pages stay when nothing maps them.
local f = quire.hugetlb { size = "6M", page = "2M" }
local b = p:mmap { length = 6 * M, prot = "rw", shared = true, file = f }
pool(8, 3)
p:write(b, "shared")
check.eq(f:read(0, 6), "shared")
check(f:write(2 * M, "written"))
check.eq(p:read(b + 2 * M, 7), "written")
check.eq(f:resident(0, 6 * M), 2)
check.eq(f:resident(4 * M, 2 * M), 0)
pool(6, 1)
check.fails("EFBIG", f:write(6 * M, "beyond"))
check(f:punch(0, 2 * M))
check.eq(p:read(b, 6), ("\0"):rep(6))
check(p:munmap(b, 6 * M))
check.eq(f:resident(0, 6 * M), 2)
f:close()
pool(8, 0)

-- The pool can be resized, and go beyond its size.
check(quire.hugetlb_pool("2M", 1, { overcommit = 2 }))
pool(1, 0, 0, 1)
local c = p:mmap { length = 4 * M, prot = "rw", hugetlb = "2M" }
check.eq(p:write(c, "x"), true)
check.eq(p:write(c + 2 * M, "y"), true)
check.eq(quire.stats().hugetlb["2M"].surplus, 1)
check(p:munmap(c, 4 * M))
pool(1, 0, 0, 1)
