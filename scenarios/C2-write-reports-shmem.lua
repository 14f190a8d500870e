-- C2, C5, C6, C16: what a read and a write of protected file memory do.
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
	local t = p:thread()
	check(u:register(a, "64K", { "wp" }))
	local function report(offset)
		return { event = "pagefault", address = a + offset, write = true, wp = true, minor = false }
	end
	-- Each state of a page, by the script's thread; the content before, and how it looks when protected.
	local states = {
		{ "written", function(at) check(p:write(a + at, "old!")) end, "old!", shared and "PFUE" or "PUE" },
		{ "read", function(at) f:write(at, "old!") check(p:touch(a + at, "r")) end, "old!", "PFUE" },
		{ "cached", function(at) f:write(at, "old!") end, "old!", "SU" },
		{ "nothing", function() end, "\0\0\0\0", "SU" },
	}
	for i, state in ipairs(states) do
		local name, prepare, content, protected = table.unpack(state)
		local at = (i - 1) * K
		prepare(at)
		check(u:writeprotect(a + at, K, true))
		check.eq(look(p, a + at), protected, name)

		-- A read brings the page in, still protected, and does not report.
		check.eq(p:read(a + at, 4), content, name)
		check.eq(look(p, a + at), protected == "PUE" and "PUE" or "PFUE", name)
		check.eq(p:syscall_read(a + at, 4), content, name)
		check.fails("EAGAIN", u:read())

		-- A write reports; the file has the old content until it is resolved, and the private copy comes after the report.
		check.fails("blocked", t:write(a + at, "new!"))
		check.eq(u:read(), report(at), name)
		check.eq(p:read(a + at, 4), content, name)
		check.eq(look(p, a + at), protected == "PUE" and "PUE" or "PFUE", name)
		check(u:writeprotect(a + at, K, false))
		check.eq(t:result(), true)
		check.page(p, a + at, "new!")
		check.eq(look(p, a + at), shared and "PFE" or "PE", name)
		check.eq(f:read(at, 4), shared and "new!" or name == "written" and "\0\0\0\0" or content, name)
		check(p:write(a + at, "free"))
		check.fails("EAGAIN", u:read())
	end

	-- The same with a write first.
	for i, state in ipairs(states) do
		local name, prepare, content = table.unpack(state)
		local at = (i + 3) * K
		prepare(at)
		check(u:writeprotect(a + at, K, true))
		check.fails("blocked", t:write(a + at + 8, "new!"))
		check.eq(u:read(), report(at), name)
		check.eq(p:read(a + at, 4), content, name)
		check(u:writeprotect(a + at, K, false))
		check.eq(t:result(), true)
		check.eq(p:read(a + at, 12), content .. "\0\0\0\0new!", name)
		check.eq(look(p, a + at), shared and "PFE" or "PE", name)
	end

	-- C6: a marker that is cleared leaves nothing: the next write faults normally.
	check(u:writeprotect(a + 8 * K, 2 * K, true))
	check.eq(look(p, a + 8 * K), "SU")
	check(u:writeprotect(a + 8 * K, 2 * K, false))
	check.eq(look(p, a + 8 * K), "")
	check(p:write(a + 8 * K, "free"))
	check.fails("EAGAIN", u:read())

	-- A wake without resolving reports again; the kernel's write waits like the user's.
	check(u:writeprotect(a + 10 * K, 2 * K, true))
	check.fails("blocked", t:write(a + 10 * K, "new!"))
	check.eq(u:read(), report(10 * K))
	check(u:wake(a + 10 * K, K))
	check.eq({ t:result() }, { nil, "blocked" })
	check.eq(u:read(), report(10 * K))
	check(u:writeprotect(a + 10 * K, K, false, { dontwake = true }))
	check.eq({ t:result() }, { nil, "blocked" })
	check(u:wake(a + 10 * K, K))
	check.eq(t:result(), true)
	check.fails("blocked", t:syscall_write(a + 11 * K, "new!"))
	check.eq(u:read(), report(11 * K))
	check(u:writeprotect(a + 11 * K, K, false))
	check.eq(t:result(), true)

	-- What does not go through this mapping is not held up.
	check(u:writeprotect(a + 12 * K, K, true))
	f:write(12 * K, "by file")
	check.eq(p:read(a + 12 * K, 7), "by file")
	check.eq(look(p, a + 12 * K), "PFUE")
	check.fails("EAGAIN", u:read())

	-- Populating: reading is fine, writing reports.
	check(u:writeprotect(a + 13 * K, K, true))
	check(p:madvise(a + 13 * K, K, "populate_read"))
	check.eq(look(p, a + 13 * K), "PFUE")
	check.fails("blocked", t:madvise(a + 13 * K, K, "populate_write"))
	check.eq(u:read(), report(13 * K))
	check(u:writeprotect(a + 13 * K, K, false))
	check.eq(t:result(), true)
	p:exit()
	f:close()
end
