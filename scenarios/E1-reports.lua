-- E1: looking at device memory changes none of its entries, at no level; all that looks agrees.
quire.needs("device_dax", "device_fsdax", "device_pfn")
quire.kernel_bug("6.12", "every report of a leaf of 1G drops it")
local K <const> = 0x1000
local library <const> = quire.target == "quire"
for _, kind in ipairs { "dax", "fsdax", "pfn" } do
	for page, A in pairs { ["4K"] = K, ["2M"] = 2 << 20, ["1G"] = 1 << 30 } do
		local p = quire.process()
		local f = quire.device { size = 2 * A, page = page, kind = kind }
		if not f then -- a kernel has what it has
			check.eq(quire.target, "linux")
			goto next
		end
		local a = p:mmap { address = 0x10000000000, fixed = true, length = 2 * A, prot = "rw", shared = true, file = f }
		local name <const> = kind .. " " .. page
		check(p:write(a + A // 2, "content"))
		local looks <const> = {
			pagemap = function()
				local word = p:pagemap(a, 1)[1]
				check.eq({ word.present, word.uffd_wp, word.swapped }, { kind ~= "pfn", false, false }, name)
				check(not p:pagemap(a + A, 1)[1].present)
			end,
			mincore = function()
				check.eq({ p:mincore(a, K)[1], p:mincore(a + A - K, K)[1], p:mincore(a + A, K)[1] }, { kind ~= "pfn", kind ~= "pfn", false }, name)
			end,
			scan = function()
				local regions = p:scan { start = a, length = 2 * A, mask = { "present" }, report = { "present", "huge", "swapped" } }
				if kind == "pfn" then
					check.eq(regions, {}, name)
				else
					check.eq({ #regions, regions[1].start, regions[1].length }, { 1, a, A }, name)
					check.eq(regions[1].categories, A > K and { "present", "huge" } or { "present" }, name)
				end
			end,
			smaps = function()
				check.eq({ p:smaps(a).Rss, p:smaps(a).Anonymous, p:smaps(a).MMUPageSize }, { 0, 0, kind == "dax" and A or K }, name)
			end,
			maps = function()
				check.eq({ #p:maps(), p:maps()[1].length }, { 1, 2 * A }, name)
			end,
			rss = function()
				check.eq(p:rss().anon, 0, name)
			end,
		}
		for what, look in pairs(looks) do
			local before = library and p:entry(a)
			local faults = library and quire.stats().faults
			look()
			check.eq(library and p:entry(a), before, name .. " " .. what)
			check.eq(p:read(a + A // 2, 7), "content")
			check(p:touch(a, "w"))
			check.eq(library and quire.stats().faults, faults, name .. " " .. what)
		end
		if library then
			check.eq({ p:entry(a).kind, 1 << (12 + 9 * p:entry(a).level), p:entry(a).dirty }, { "leaf", A, true }, name)
			check.eq(p:entry(a + A).kind, "absent")
		end
		p:exit()
		::next::
	end
end
