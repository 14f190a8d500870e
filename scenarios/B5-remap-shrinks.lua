-- B5, A3: mremap to a given place that also shrinks. What it drops is unmapped before the memory moves: behind the hole the registration
-- stays, though the new place is beside it.
local p = quire.process()
local K = 0x1000
local base = 0x600000000000

local function letters(address)
	local flags = " " .. p:smaps(address).VmFlags .. " "
	return (flags:find(" um ", 1, true) and "m" or "") .. (flags:find(" uw ", 1, true) and "w" or "")
end

-- Nothing is there, so VMAs are numbered by their addresses, and the new one merges with its neighbours.
local a = p:mmap{ length = 16 * K, prot = "rw", address = base, fixed = true }
local u = p:userfaultfd{}
check(u:register(a, 16 * K, { "wp" }))
--	  0...4...89..cd..
--	  wwwwwwwwwwwwwwww	5 pages from 4 on move to 9, but 4 of them
--	  wwww.....    www	9 to 12 are not registered any more, nor what they merge with
check.eq(p:mremap(a + 4 * K, 5 * K, 4 * K, { maymove = true, fixed = a + 9 * K }), a + 9 * K)
check.eq(letters(a), "w")
check.eq(letters(a + 3 * K), "w")
check.fails("ENOENT", p:smaps(a + 4 * K))
check.fails("ENOENT", p:smaps(a + 8 * K))
check.eq(letters(a + 9 * K), "")
check.eq(letters(a + 13 * K), "")
check(u:close())

-- The other way: the new place is in front, and so is what it merges with.
local b = p:mmap{ length = 16 * K, prot = "rw", address = base + 64 * K, fixed = true }
u = p:userfaultfd{}
check(u:register(b, 16 * K, { "wp" }))
check.eq(p:mremap(b + 8 * K, 7 * K, 6 * K, { maymove = true, fixed = b + K }), b + K)
check.eq(letters(b), "")
check.eq(letters(b + K), "")
check.fails("ENOENT", p:smaps(b + 8 * K))
check.fails("ENOENT", p:smaps(b + 14 * K))
check.eq(letters(b + 15 * K), "w")
check(u:close())
