-- E7: counters are per level: what stands in the tables, what a call gave other permissions, what it had to cut.
quire.needs("device_dax", "device_fsdax", "device_pfn")
if quire.target ~= "quire" then
	quire.skip("library: only it counts by level")
end
local K <const>, M <const>, G <const> = 0x1000, 2 << 20, 1 << 30
local function counts()
	local list = {}
	for level, count in pairs(quire.stats().levels) do
		list[level] = { count.protected, count.cut }
	end
	return list
end
-- What `run` adds to the counts: { protected, cut } of levels 0 to 2.
local function adds(run, expected, name)
	local before = counts()
	run()
	local after = counts()
	for level = 0, 2 do
		check.eq({ after[level][1] - before[level][1], after[level][2] - before[level][2] }, expected[level + 1], ("%s, level %d"):format(name, level))
	end
end
for _, kind in ipairs { "dax", "fsdax", "pfn" } do
	for page, A in pairs { ["4K"] = K, ["2M"] = M, ["1G"] = G } do
		local p = quire.process()
		local f = quire.device { size = 2 * A, page = page, kind = kind }
		local a = p:mmap { address = 0x10000000000, fixed = true, length = 2 * A, prot = "rw", shared = true, file = f }
		local name <const> = kind .. " " .. page
		local level <const> = ({ ["4K"] = 0, ["2M"] = 1, ["1G"] = 2 })[page]
		local nothing <const> = { { 0, 0 }, { 0, 0 }, { 0, 0 } }
		local function changes(leaves)
			local list = { { 0, 0 }, { 0, 0 }, { 0, 0 } }
			list[level + 1][1] = leaves
			return list
		end
		local function leaves()
			local list = {}
			for i = 0, 2 do
				list[i + 1] = p:tables()[i].leaves
			end
			return list
		end

		check(p:write(a, "x"))
		check(p:write(a + A, "x"))
		local standing = { 0, 0, 0 }
		standing[level + 1] = 2
		check.eq(leaves(), standing, name)
		adds(function()
			check(p:mprotect(a, A, "r"))
		end, changes(1), name)
		adds(function()
			check(p:mprotect(a, 2 * A, "r"))
		end, changes(1), name)
		adds(function()
			check(p:mprotect(a, 2 * A, "rw"))
		end, changes(2), name)
		adds(function()
			check(p:mprotect(a, 2 * A, "rw"))
			if A > K and kind == "dax" then
				check.fails("EINVAL", p:mprotect(a, K, "r"))
			end
		end, nothing, name)
		if A > K and kind ~= "dax" then
			local expected = { { 1, 0 }, { 0, 1 }, { 0, level - 1 } }
			adds(function()
				check(p:mprotect(a + A // 2, K, "r"))
			end, expected, name)
			standing = level == 1 and { 512, 1, 0 } or { 512, 511, 1 }
			check.eq(leaves(), standing, name)
			adds(function()
				check(p:munmap(a + A // 2, K))
			end, nothing, name)
		end
		p:exit()
	end
end
