-- C1: WRITEPROTECT on file memory: every state of a page, set and cleared.
local K <const> = 0x1000
local function look(p, a)
	local page, text = p:pagemap(a), ""
	for _, bit in ipairs { "present", "swapped", "file", "uffd_wp", "exclusive", "guard" } do
		text = text .. (page[bit] and bit:sub(1, 1):upper() or "")
	end
	return text
end
for _, shared in ipairs { true, false } do
	local p = quire.process()
	local f = quire.shmem { size = "64K" }
	local a = p:mmap { length = "64K", prot = "rw", shared = shared, file = f }
	local u = p:userfaultfd {}
	-- written, read, in the cache, nothing
	check(p:write(a, "written"))
	check(p:touch(a + K, "r"))
	check(u:register(a, "64K", { "wp" }))
	f:write(2 * K, "cached")
	local function all()
		return look(p, a) .. " " .. look(p, a + K) .. " " .. look(p, a + 2 * K) .. " " .. look(p, a + 3 * K)
	end
	local function scan()
		local text = {}
		for _, region in ipairs((p:scan { start = a, length = 4 * K, anyof = { "present", "swapped" }, report = { "file", "present", "swapped" } })) do
			text[#text + 1] = region.length // K .. " " .. table.concat(region.categories, "+")
		end
		return table.concat(text, ", ")
	end
	local written = shared and "PFE" or "PE"
	check.eq(all(), written .. " PFE  ")

	-- Set: what is mapped keeps its page, what is not gets a marker.
	check(u:writeprotect(a, 4 * K, true))
	check.eq(all(), (shared and "PFUE" or "PUE") .. " PFUE SU SU")
	check.eq(scan(), (shared and "2 file+present" or "1 present, 1 file+present") .. ", 2 swapped")
	check.eq(p:smaps(a).Swap, 0)
	check.eq(p:rss().swap, 0)
	check.eq(p:mincore(a, 4 * K), { true, true, true, false })
	check(u:writeprotect(a, 4 * K, true))
	check.eq(all(), (shared and "PFUE" or "PUE") .. " PFUE SU SU")

	-- Clear: markers go and leave nothing.
	check(u:writeprotect(a, 4 * K, false))
	check.eq(all(), written .. " PFE  ")
	check(u:writeprotect(a, 4 * K, false))
	check.eq(scan(), shared and "2 file+present" or "1 present, 1 file+present")
	check(p:write(a + 3 * K, "free"))
	check.page(p, a + 2 * K, "cached")
	check.fails("EAGAIN", u:read())

	-- Whatever the mapping's permission is, and behind the end of the file.
	check(p:mprotect(a + 4 * K, K, "none"))
	check(u:writeprotect(a + 4 * K, K, true))
	check.eq(look(p, a + 4 * K), "SU")
	check(f:truncate(6 * K))
	check(u:writeprotect(a + 7 * K, K, true))
	check.eq(look(p, a + 7 * K), "SU")
	check.eq({ p:read(a + 7 * K, 1) }, { nil, "BUS", "ADRERR" })
	check.eq({ p:write(a + 7 * K, "x") }, { nil, "BUS", "ADRERR" })
	check.fails("EAGAIN", u:read())
	p:exit()
	f:close()
end
