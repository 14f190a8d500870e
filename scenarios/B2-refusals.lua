-- B2: ranges that REGISTER and UNREGISTER refuse, and those with holes, which they accept.
local p = quire.process()
local u = p:userfaultfd{}
local K = 0x1000

-- A A A . . A A A	'.' not mapped
local a = p:mmap{ length = "32K", prot = "rw" }
check(p:munmap(a + 3 * K, 2 * K))

for _, call in ipairs{
	function(start, length) return u:register(start, length, { "missing" }) end,
	function(start, length) return u:unregister(start, length) end,
} do
	check.fails("EINVAL", call(a + 1, K))
	check.fails("EINVAL", call(a, K + 1))
	check.fails("EINVAL", call(a, 0))
	check.fails("EINVAL", call(a, -K)) -- wraps around
	check.fails("EINVAL", call(0, K))
	check.fails("EINVAL", call(1 << 63, K)) -- the kernel's half
	check.fails("EINVAL", call(a + 3 * K, 2 * K)) -- nothing there
end

local function registered()
	local text = ""
	for _, vma in ipairs(p:maps()) do
		local letter = (" " .. vma.flags .. " "):find(" um ", 1, true) and "M" or "A"
		text = text .. letter:rep(vma.length // K)
	end
	return text
end

-- The hole after, before, in the middle: what is there is registered.
check.eq(registered(), "AAAAAA")
check(u:register(a + 2 * K, 2 * K, { "missing" }))
check.eq(registered(), "AAMAAA")
check(u:register(a + 4 * K, 2 * K, { "missing" }))
check.eq(registered(), "AAMMAA")
check(u:register(a + K, 6 * K, { "missing" }))
check.eq(registered(), "AMMMMA")
check(u:unregister(a + 2 * K, 2 * K))
check.eq(registered(), "AMAMMA")
check(u:unregister(a + 4 * K, 2 * K))
check.eq(registered(), "AMAAMA")
check(u:unregister(a, 8 * K))
check.eq(registered(), "AAAAAA")

-- Unregistering what never was registered.
check(u:unregister(a, 3 * K))
