-- C1: what WRITEPROTECT refuses, and how much it has done by then: it goes mapping by mapping.
local p = quire.process()
local K = 0x1000
local a = p:mmap{ length = "64K", prot = "rw" }
local u, v = p:userfaultfd{}, p:userfaultfd{}
check(p:write(a, ("A"):rep(16 * K)))

local function marks(pages)
	local text = ""
	for page = 0, pages - 1 do
		text = text .. (p:pagemap(a + page * K).uffd_wp and "W" or ".")
	end
	return text
end

-- Registered not at all, or for something else.
check.fails("ENOENT", u:writeprotect(a, K, true))
check.fails("ENOENT", u:writeprotect(a, K, false))
check(u:register(a, 4 * K, { "missing" }))
check.fails("ENOENT", u:writeprotect(a, K, true))
check.eq(marks(4), "....")

-- w w w w . . . .
check(u:register(a, 4 * K, { "wp" }))
check.fails("EINVAL", u:writeprotect(a + 1, K, true))
check.fails("EINVAL", u:writeprotect(a, K + 1, true))
check.fails("EINVAL", u:writeprotect(a, 0, true))
check.fails("EINVAL", u:writeprotect(a, -K, true)) -- wraps around
check.fails("EINVAL", u:writeprotect(1 << 63, K, true))
check.fails("EINVAL", u:writeprotect(a, K, true, { dontwake = true }))
check.fails("EINVAL", u:writeprotect(a, K, false, { mode = 4 }))
check.eq(marks(4), "....")

-- Beyond what is registered: what comes before it is done.
check.fails("ENOENT", u:writeprotect(a + 2 * K, 4 * K, true))
check.eq(marks(8), "..WW....")
check.fails("ENOENT", u:writeprotect(a + 2 * K, 4 * K, false))
check.eq(marks(8), "........")
-- Or nothing.
check.fails("ENOENT", u:writeprotect(a + 4 * K, K, true))

-- Over several mappings, of different protection.
check(u:register(a + 4 * K, 4 * K, { "missing", "wp" }))
check(p:mprotect(a + 2 * K, K, "r"))
check(u:writeprotect(a + K, 6 * K, true))
check.eq(marks(8), ".WWWWWW.")
check(u:writeprotect(a + K, 6 * K, false))

-- Holes are passed over, but a hole alone is nothing.  w w w w . w w w
check(p:munmap(a + 4 * K, K))
check(u:writeprotect(a + 3 * K, 3 * K, true))
check.eq(marks(8), "...W.W..")
check(u:writeprotect(a + 4 * K, 2 * K, false))
check.eq(marks(8), "...W....")
check.fails("ENOENT", u:writeprotect(a + 4 * K, K, true))

-- It need not be the owner who asks.
check(v:register(a + 8 * K, 4 * K, { "wp" }))
check(u:writeprotect(a + 7 * K, 3 * K, true))
check.eq(marks(12), "...W...WWW..")
check(v:writeprotect(a + 7 * K, 3 * K, false))
check.eq(marks(12), "...W........")
