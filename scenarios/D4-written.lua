-- D4: asynchronous write protection over file memory: what changed content is reported as written, but for what goes past the mapping.
quire.setup { swap = "64M" }
local K <const> = 0x1000
for _, kind in ipairs { "anon", "private", "shared", "anonshared" } do
	local p = quire.process()
	local f = (kind == "shared" or kind == "private") and quire.shmem { size = "64K" } or nil
	local a = p:mmap { length = "64K", prot = "rw", shared = kind:find("shared") ~= nil, file = f }
	local u = p:userfaultfd { features = { "wp_async", "wp_unpopulated" } }
	for i = 0, 15, 2 do -- every other page is there
		check(p:write(a + i * K, "page"))
	end
	check(u:register(a, "64K", { "wp" }))
	local function protect()
		check((p:scan { start = a, length = "64K", wp = true, check_wpasync = true, mask = { "written" } }))
	end
	local function written()
		local text = {}
		for _, region in ipairs((p:scan { start = a, length = "64K", mask = { "written" }, report = { "written" } })) do
			for at = region.start, region.start + region.length - 1, K do
				text[#text + 1] = tostring((at - a) // K)
			end
		end
		return table.concat(text, " ")
	end

	-- Everything is written until it is protected, and what was not there is protected with the rest.
	check.eq(written(), "0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15", kind)
	protect()
	check.eq(written(), "", kind)

	-- Reads are no writes; writes by the user and by the kernel are, on what was there and what was not.
	check(p:touch(a, "r"))
	check(p:touch(a + K, "r"))
	check.eq(p:syscall_read(a + 2 * K, 4), "page")
	check.eq(written(), "", kind)
	check(p:write(a, "W"))
	check(p:write(a + K, "W"))
	check(p:syscall_write(a + 6 * K, "W"))
	check(p:syscall_write(a + 7 * K, "W"))
	check.eq(written(), "0 1 6 7", kind)

	-- Swapped out and in: as it was, written or not.
	check(p:madvise(a, "64K", "pageout"))
	check.eq(p:read(a, 1), "W")
	check.eq(p:read(a + 2 * K, 4), "page")
	protect()
	check.eq(written(), "", kind)
	check(p:madvise(a, "64K", "pageout"))
	check.eq(written(), "", kind)
	check(p:write(a + 2 * K, "W"))
	check.eq(written(), "2", kind)
	check(p:madvise(a, "64K", "pageout"))
	check.eq(p:read(a + 2 * K, 5), "Wage\0")
	check.eq(written(), "2", kind)

	-- The exceptions: the file's own interface and another mapping write without being seen.
	if f and kind == "shared" then
		protect()
		f:write(4 * K, "file")
		local b = p:mmap { length = "64K", prot = "rw", shared = true, file = f }
		check(p:write(b + 8 * K, "other"))
		check(f:punch(10 * K, K))
		check.eq(written(), "", kind)
		check.page(p, a + 8 * K, "other")
	end

	-- Dontneed: anonymous memory has changed.
	protect()
	check(p:madvise(a + 12 * K, K, "dontneed"))
	check.eq(written(), kind == "anon" and "12" or "", kind)
	p:exit()
	if f then
		f:close()
	end
end
