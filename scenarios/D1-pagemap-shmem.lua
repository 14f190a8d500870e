-- D1: what pagemap, the scan, mincore and the page cache say of each state of a page of a file.
local K <const> = 0x1000
local function look(p, a)
	local page, text = p:pagemap(a), ""
	for _, bit in ipairs { "present", "swapped", "file", "uffd_wp", "exclusive", "guard" } do
		text = text .. (page[bit] and bit:sub(1, 1):upper() or "")
	end
	return text
end
local p, q = quire.process(), quire.process()
local f = quire.shmem { size = "64K" }
local g = quire.shmem { size = "4K" }
local s = p:mmap { length = "64K", prot = "rw", shared = true, file = f }
local v = p:mmap { length = "64K", prot = "rw", file = f }
local n = p:mmap { length = "64K", prot = "rw", shared = true }
local t = q:mmap { length = "64K", prot = "rw", shared = true, file = f }
local e = p:mmap { length = "8K", prot = "rw", shared = true, file = g }
local u = p:userfaultfd {}
local function scan(a)
	local regions = p:scan { start = a, length = K, report = { "file", "present", "swapped", "pfnzero", "huge", "guard" } }
	return regions[1] and table.concat(regions[1].categories, "+") or ""
end
local function state(a)
	return look(p, a) .. " | " .. scan(a) .. " | " .. (p:mincore(a, K)[1] and "core" or "-")
end

-- Nothing; in the cache only; read; written.
check.eq(state(s), " |  | -")
check.eq(state(v), " |  | -")
f:write(0, "cached")
check.eq(state(s), " |  | core")
check.eq(state(v), " |  | core")
check(p:touch(s, "r"))
check.eq(state(s), "PFE | file+present | core")
check(p:touch(v, "r"))
check.eq(state(v), "PF | file+present | core") -- twice in one process is not exclusive
check(p:write(v, "copy"))
check.eq(state(v), "PE | present | core")
check.eq(state(s), "PFE | file+present | core")
check(q:touch(t, "r"))
check.eq(state(s), "PF | file+present | core")

-- A hole that is read gets a page of the file's, also by a private mapping; never the zero page.
check(p:touch(v + K, "r"))
check.eq(state(v + K), "PFE | file+present | core")
check.eq(f:resident(K, K), 1)
check(p:touch(n, "r"))
check.eq(state(n), "PFE | file+present | core")
check(p:write(n + K, "x"))
check.eq(state(n + K), "PFE | file+present | core")

-- Without permission it is still there; locked; behind the end of the file there is nothing.
check(p:mprotect(s, K, "none"))
check.eq(state(s), "PF | file+present | core")
check(p:mprotect(s, K, "rw"))
check.eq(state(e + K), " |  | -")
check.eq({ p:read(e + K, 1) }, { nil, "BUS", "ADRERR" })
check.eq(state(e + K), " |  | -")

-- Markers: protection, guard, poison.
check(u:register(s, "64K", { "wp" }))
check(u:register(v, "64K", { "wp" }))
for _, a in ipairs { s, v } do
	f:write(4 * K, "cached")
	check(u:writeprotect(a + 4 * K, 2 * K, true))
	check.eq(state(a + 4 * K), "SU | swapped | core")
	check.eq(state(a + 5 * K), "SU | swapped | -")
	check(p:madvise(a + 6 * K, K, "guard_install"))
	check.eq(state(a + 6 * K), "SG | swapped+guard | -")
	check.eq(u:poison(a + 7 * K, K), K)
	check.eq(state(a + 7 * K), "S | swapped | -")
end
check(u:writeprotect(s, K, true))
check.eq(state(s), "PFU | file+present | core")

-- Ranges.
local words = p:pagemap(s, "64K")
check.eq(#words, 16)
check.eq({ words[1].present, words[5].uffd_wp, words[7].guard, words[9].present }, { true, true, true, false })
