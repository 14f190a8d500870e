-- SPDX-License-Identifier: MIT
-- A4: MADV_WILLNEED reads what is in swap, page by page, and maps nothing: mincore tells.  Of a mapped file that is what the file has
-- there, not what a private mapping has.
quire.setup { swap = "64M" }
local K <const> = 4096
local p = quire.process()
local f = quire.shmem { size = 8 * K }
local shared = p:mmap { length = 8 * K, prot = "rw", shared = true, file = f }
local private = p:mmap { length = 8 * K, prot = "rw", file = f }
local anon = p:mmap { length = 8 * K, prot = "rw" }
local function core(a)
	local text = ""
	for _, there in ipairs(p:mincore(a, 8 * K)) do
		text = text .. (there and "C" or "-")
	end
	return text
end
for i = 0, 7 do
	check(p:write(shared + i * K, "file" .. i))
	check(p:write(anon + i * K, "anon" .. i))
end
for i = 0, 3 do
	check(p:write(private + i * K, "copy" .. i))
end
for _, a in ipairs { shared, private, anon } do
	check(p:madvise(a, 8 * K, "pageout"))
	check.eq(core(a), "--------")
end

-- Anonymous memory, whatever its permissions.
check(p:mprotect(anon, 2 * K, "none"))
check(p:madvise(anon, 4 * K, "willneed"))
check.eq(core(anon), "CCCC----")
check.pagemap(p, anon, { present = false, swapped = true })
check.eq(p:smaps(anon + 2 * K).Swap, 6 * K)
check(p:mprotect(anon, 2 * K, "rw"))
-- It stays until the page has been used, and goes again after.
check(p:madvise(anon, 8 * K, "pageout"))
check.eq(core(anon), "CCCC----")
check.page(p, anon, "anon0")
check.pagemap(p, anon, { present = true, exclusive = true })
check(p:write(anon + K, "ANON"))
check(p:madvise(anon, 8 * K, "pageout"))
check.eq(core(anon), "--CC----")
check.page(p, anon + K, "ANON1")
-- The child finds it, too.
local c = p:fork()
check.eq(c:mincore(anon + 2 * K, 2 * K), { true, true })
check.page(c, anon + 2 * K, "anon2")
check(c:write(anon + 3 * K, "child"))
check.page(p, anon + 3 * K, "anon3")
c:exit()
check(p:madvise(anon, 8 * K, "dontneed"))
check.eq(core(anon), "--------")

-- A private mapping asks for the file's pages.
check(p:madvise(private, 6 * K, "willneed"))
check.eq(core(private), "----CC--")
check.eq(core(shared), "CCCCCC--")
check.eq(f:resident(0, 8 * K), 0)
check.page(p, private, "copy0")
-- Protected, read by the file, written, cut off.
local u = p:userfaultfd {}
check(u:register(shared, 8 * K, { "wp" }))
check(u:writeprotect(shared, K, true))
check(p:madvise(shared, 8 * K, "willneed"))
check.eq(core(shared), "CCCCCCCC")
check.page(p, shared, "file0")
check.pagemap(p, shared, { present = true, uffd_wp = true })
check.eq(f:read(K, 5), "file1")
check(f:write(2 * K, "FILE"))
check.eq(f:resident(0, 8 * K), 3)
check.page(p, shared + 2 * K, "FILE2")
check(f:punch(3 * K, K))
check.eq(core(shared), "CCC-CCCC")
check(f:truncate(5 * K))
check(f:truncate(8 * K))
check.eq(core(shared), "CCC-C---")
check.page(p, shared + 4 * K, "file4")
check.page(p, shared + 5 * K, "")
