-- B2: a mapping splits where its registration changes, and merges when both sides are alike again.
local p = quire.process()
local a = p:mmap{ length = "32K", prot = "rw" }
local K = 0x1000

local function shape()
	local text = {}
	for i, vma in ipairs(p:maps()) do
		local flags = " " .. vma.flags .. " "
		local letter = (flags:find(" um ", 1, true) and "m" or "") .. (flags:find(" uw ", 1, true) and "w" or "")
		text[i] = (vma.start - a) // K .. letter
	end
	return table.concat(text, " ")
end

local u = p:userfaultfd{}
check.eq(shape(), "0")
check(u:register(a + 2 * K, 2 * K, { "missing" }))
check.eq(shape(), "0 2m 4")
-- Next to it, the same mode: one.  Another mode: two.
check(u:register(a + 4 * K, 2 * K, { "missing" }))
check.eq(shape(), "0 2m 6")
check(u:register(a + 4 * K, 2 * K, { "wp" }))
check.eq(shape(), "0 2m 4w 6")
check(u:register(a + 3 * K, 2 * K, { "missing", "wp" }))
check.eq(shape(), "0 2m 3mw 5w 6")
-- All in one go.  Where all that is asked for is registered already, nothing changes, also if it is more.
check(u:register(a, "32K", { "missing" }))
check.eq(shape(), "0m 3mw 5m")
check(u:register(a + 3 * K, 2 * K, { "wp" }))
check.eq(shape(), "0m 3mw 5m")
check(u:unregister(a + 3 * K, 2 * K))
check(u:register(a + 3 * K, 2 * K, { "missing" }))
check.eq(shape(), "0m")
check(u:unregister(a + K, K))
check.eq(shape(), "0m 1 2m")
-- Two userfaultfds, the same mode: not one mapping.
local v = p:userfaultfd{}
check(v:register(a + K, K, { "missing" }))
check.eq(shape(), "0m 1m 2m")
check(v:close())
check.eq(shape(), "0m 1 2m")
check(u:register(a + K, K, { "missing" }))
check.eq(shape(), "0m")
-- mprotect splits registered memory as it does any.
check(p:mprotect(a + 6 * K, 2 * K, "r"))
check.eq(shape(), "0m 6m")
check(p:mprotect(a + 6 * K, 2 * K, "rw"))
check.eq(shape(), "0m")
check(u:close())
check.eq(shape(), "0")

-- Memory that is mapped next to registered memory does not join it.
local w = p:userfaultfd{}
check(w:register(a, "32K", { "missing" }))
check.eq(p:mmap{ length = "8K", prot = "rw" }, a - 2 * K)
check.eq(shape(), "-2 0m")
check(w:unregister(a, "32K"))
check.eq(shape(), "-2")
