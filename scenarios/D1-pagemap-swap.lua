-- D1: what pagemap, the scan, mincore and the page cache say of pages in swap.
quire.setup { swap = "64M" }
local K <const> = 0x1000
local function look(p, a)
	local page, text = p:pagemap(a), ""
	for _, bit in ipairs { "present", "swapped", "file", "uffd_wp", "exclusive", "guard" } do
		text = text .. (page[bit] and bit:sub(1, 1):upper() or "")
	end
	return text
end
local p = quire.process()
local f = quire.shmem { size = "64K" }
local maps = {
	anon = p:mmap { length = "64K", prot = "rw" },
	private = p:mmap { length = "64K", prot = "rw", file = f, offset = "32K" },
	shared = p:mmap { length = "64K", prot = "rw", shared = true, file = f },
	anonshared = p:mmap { length = "64K", prot = "rw", shared = true },
}
local u = p:userfaultfd {}
local function scan(a)
	local regions = p:scan { start = a, length = K, report = { "file", "present", "swapped", "pfnzero", "huge", "guard" } }
	return regions[1] and table.concat(regions[1].categories, "+") or ""
end
local function state(a)
	return look(p, a) .. " | " .. scan(a) .. " | " .. (p:mincore(a, K)[1] and "core" or "-")
end
for _, kind in ipairs { "anon", "private", "shared", "anonshared" } do
	local a = maps[kind]
	local is_file = kind:find("shared") ~= nil
	local out = is_file and " |  | -" or "S | swapped | -"
	check(u:register(a, "32K", { "wp" }))
	for i = 0, 3 do
		check(p:write(a + i * K, "page"))
	end
	check(p:madvise(a, 4 * K, "pageout"))
	check.eq(state(a), out, kind)
	-- The marker and the entry with a mark look the same.
	check(u:writeprotect(a + K, K, true))
	check.eq(state(a + K), "SU | swapped | -", kind)
	check(p:mprotect(a + 2 * K, K, "none"))
	check.eq(state(a + 2 * K), out, kind)
	check(p:touch(a, "r"))
	check.eq(state(a), is_file and "PFE | file+present | core" or "PE | present | core", kind)
	check.eq(p:smaps(a + 3 * K).Swap > 0, true, kind)
	-- Dropped: private pages are gone.
	check(p:madvise(a + 3 * K, K, "dontneed"))
	check.eq(state(a + 3 * K), kind == "private" and " |  | core" or " |  | -", kind) -- the file still has the page below the copy
	check.eq(p:read(a + 3 * K, 4), is_file and "page" or "\0\0\0\0", kind)
end

-- The child has the entries of private memory, and none of shared.
check(p:madvise(maps.anon, 4 * K, "pageout"))
check(p:madvise(maps.shared, 4 * K, "pageout"))
local c = p:fork()
check.eq(look(c, maps.anon), "S")
check.eq(look(c, maps.anon + K), "S") -- without the mark
check.eq(look(c, maps.shared), "")
-- A page that comes in for one of two counts as exclusive: only mappings count, not entries.  A write copies it all the same.
check(c:touch(maps.anon, "r"))
check.eq(look(c, maps.anon), "PE")
check.eq(look(p, maps.anon), "S")
check(c:write(maps.anon, "PAGE"))
check.page(p, maps.anon, "page")
check.page(c, maps.anon, "PAGE")
