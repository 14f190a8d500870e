-- C14: a read fault maps neighbours that the cache has, but none in memory registered for WP or MINOR.
local K <const> = 0x1000
local p = quire.process()
local f = quire.shmem { size = "64K" }
for i = 0, 15 do
	f:write(i * K, "page" .. i)
end
local function mapped(a)
	local count = 0
	for _, page in ipairs(p:pagemap(a, "64K")) do
		count = count + (page.present and 1 or 0)
	end
	return count
end
for _, shared in ipairs { true, false } do
	local function try(modes)
		-- Aligned to 64K, so that all sixteen are neighbours.
		local a = p:mmap { length = "128K", prot = "none" }
		a = (a + 0xffff) & ~0xffff
		check.eq(p:mmap { length = "64K", prot = "rw", shared = shared, file = f, address = a, fixed = true }, a)
		local u = p:userfaultfd {}
		if modes then
			check(u:register(a, "64K", modes))
		end
		if modes and modes[1] == "minor" then
			check.fails("blocked", p:read(a + 5 * K, 5))
			check.eq(u:continue(a + 5 * K, K), K)
			check.eq(p:thread_result(), "page5")
		else
			check.page(p, a + 5 * K, "page5")
		end
		return mapped(a), u, a
	end
	check.eq(try { "wp" }, 1)
	check.eq(try { "minor" }, 1)
	check(try { "missing" } >= 1)

	-- What was mapped before it was registered is protected with the rest.
	local count, u, a = try()
	check(count >= 1)
	-- As many where one of them stands already.
	check(p:madvise(a + K, "60K", "dontneed"))
	check.page(p, a + 9 * K, "page9")
	check(mapped(a) >= count, "fewer with a page table that was there")

	check(u:register(a, "64K", { "wp" }))
	check(u:writeprotect(a, "64K", true))
	for i = 0, 15 do
		check.pagemap(p, a + i * K, { uffd_wp = true })
	end
	-- A read of a marker maps that one page.
	check(p:madvise(a, "64K", "dontneed"))
	check.page(p, a + 9 * K, "page9")
	check.eq(mapped(a), 1)
end
