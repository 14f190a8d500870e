-- A1: where mappings go.  Without a hint from the top down, into the highest hole that is large enough; a hint that is
-- free is taken, rounded down to a page; one that is not is as good as none.
quire.setup { memory = "64M" }
local p = quire.process()
local function map(length, t)
	t = t or {}
	t.length, t.prot = length, t.prot or "rw"
	return p:mmap(t)
end
local K <const> = 1024

local a = map(64 * K)
local b = map(32 * K)
check.eq(b, a - 32 * K, "below the one before")
check.eq(#p:maps(), 1, "and one with it")
local c = map(16 * K, { prot = "r" })
check.eq(c, b - 16 * K)
check.eq(#p:maps(), 2, "another permission, another VMA")

--	ccccbbbbbbbbaaaaaaaaaaaaaaaa
--	cccc........aaaa....aaaaaaaa
p:munmap(b, 32 * K)
p:munmap(a + 16 * K, 16 * K)
check.eq(map(20 * K, { prot = "none" }), a - 20 * K, "too large for the highest hole")
check.eq(map(16 * K, { prot = "none" }), a + 16 * K, "exactly the highest hole")
check.eq(map(12 * K, { prot = "none" }), b, "the rest of the lower one")
check.eq(map(4 * K, { prot = "none" }), c - 4 * K)

-- Hints.
local h = a - 64 * 1024 * K
check.eq(map(8 * K, { address = h }), h)
check.eq(map(8 * K, { address = h + 8 * K + 123 }), h + 8 * K, "rounded down")
check.eq(map(8 * K, { address = h + 4 * K }), c - 12 * K, "taken already: top down")
check.eq(map(8 * K, { address = h - 4 * K }), c - 20 * K, "in part")
check.eq(map(4 * K, { address = -4096 }), c - 24 * K, "beyond the end")
check.eq(map(8 * K, { address = h + 1, fixed = false }), c - 32 * K)

-- All of it goes, and the top is free again.
for _, vma in ipairs(p:maps()) do
	p:munmap(vma.start, vma.length)
end
check.eq(map(4 * K), a + 60 * K)

-- A child goes on where its parent was.
local q = p:fork()
check.eq(q:mmap { length = "8K", prot = "rw" }, a + 52 * K)
check.eq(map(4 * K), a + 56 * K)
