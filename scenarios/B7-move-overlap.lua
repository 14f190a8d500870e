-- B7: MOVE onto itself goes page by page: a page that has been moved is what the next step moves on.
local K <const> = 4096

-- a: A . . . . . . .
local function one_page()
	local p = quire.process()
	local a = p:mmap{ length = 8 * K, prot = "rw" }
	check(p:mprotect(a, 8 * K, "rw"))
	local u = p:userfaultfd{ features = { "move" } }
	check(u:register(a, 8 * K, { "missing" }))
	check.eq(u:copy(a, ("A"):rep(K)), K)
	return p, a, u
end

local function is_at(p, a, at)
	for page = 0, 7 do check.pagemap(p, a + page * K, { present = page == at }) end
	check.page(p, a + at * K, "AAAA")
end

-- Forwards by one page, four times.
local p, a, u = one_page()
check.eq(u:move(a + K, a, 4 * K), 4 * K)
is_at(p, a, 4)

-- By two pages: the second one is not there.
p, a, u = one_page()
check.eq({ u:move(a + 2 * K, a, 4 * K) }, { nil, "EAGAIN", K })
is_at(p, a, 2)

-- With holes it is met again.
p, a, u = one_page()
check.eq(u:move(a + 2 * K, a, 4 * K, { allow_src_holes = true }), 4 * K)
is_at(p, a, 4)

-- Backwards, and onto what is there.
check.eq(u:move(a + 3 * K, a + 4 * K, K), K)
is_at(p, a, 3)
check.eq({ u:move(a + 2 * K, a + 3 * K, 2 * K) }, { nil, "EAGAIN", K })
is_at(p, a, 2)
check.eq({ u:move(a + 2 * K, a + 2 * K, K) }, { nil, "EEXIST", -17 })
is_at(p, a, 2)
