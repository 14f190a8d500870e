-- A3: a second mapping of shared memory, by mremap with an old length of 0: it is registered as the first one if its context hears of moves.
local K <const> = 4096
for _, case in ipairs {
	{ features = {}, follows = false },
	{ features = { "event_unmap" }, follows = false },
	{ features = { "event_remap" }, follows = true },
} do
	local p = quire.process()
	local t = p:thread()
	local a = p:mmap { length = 8 * K, prot = "rw", shared = true }
	local u = p:userfaultfd { features = case.features }
	check(u:register(a, 2 * K, { "missing", "wp" }))
	check.eq(u:zeropage(a, K), K)
	check(u:writeprotect(a, K, true))
	local result, why = t:mremap(a, 0, K, { maymove = true, fixed = a + 4 * K })
	if case.follows then
		check.eq(why, "blocked")
		check.eq(u:read(), { event = "remap", from = a, to = a + 4 * K, length = 0 })
		result = t:result()
	end
	check.eq(result, a + 4 * K)
	local flags = {}
	for _, vma in ipairs(p:maps()) do
		if vma.start == a + 4 * K then
			flags = vma.flags
		end
	end
	check.eq(flags:find("um uw", 1, true) ~= nil, case.follows)
	check.pagemap(p, a + 4 * K, { present = false, uffd_wp = false }) -- what protects stays where it is
	check(p:write(a + 4 * K, "again"))
	check.page(p, a, "again")
	p:exit()
end

-- Onto itself: room is made first, and then there is nothing to map again.
for _, features in ipairs { {}, { "event_unmap" } } do
	local p = quire.process()
	local t = p:thread()
	local a = p:mmap { length = 3 * K, prot = "rw", shared = true }
	local u = p:userfaultfd { features = features }
	check(u:register(a, 3 * K, { "wp" }))
	local result, why = t:mremap(a + K, 0, K, { maymove = true, fixed = a + K })
	if features[1] then
		check.eq(why, "blocked")
		check.eq(u:read(), { event = "unmap", start = a + K, finish = a + 2 * K })
		result, why = t:result()
	end
	check.eq({ result, why }, { nil, "EFAULT" })
	check.eq(#p:maps(), 2)
	p:exit()
end
