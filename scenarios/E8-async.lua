-- E8: write protection on devices is asynchronous or not at all; a protected leaf stays one, or refaults; a write is never a BUS, and never lost.
quire.needs("device_dax", "device_fsdax", "device_pfn", "wp_async")
local K <const> = 0x1000
local library <const> = quire.target == "quire"

-- Who may register what.
for _, kind in ipairs { "dax", "fsdax", "pfn" } do
	local A <const> = 2 << 20
	local p = quire.process()
	local f = quire.device { size = 2 * A, page = "2M", kind = kind }
	local a = p:mmap { address = 0x10000000000, fixed = true, length = 2 * A, prot = "rw", shared = true, file = f }
	local u = p:userfaultfd { features = { "wp_async" } }
	for _, modes in ipairs { { "missing" }, { "minor" }, { "missing", "wp" }, { "minor", "wp" } } do
		check.fails("EINVAL", u:register(a, A, modes))
	end
	local synchronous = p:userfaultfd { features = { "pagefault_flag_wp" } }
	check.fails("EINVAL", synchronous:register(a, 2 * A, { "wp" }))
	if kind == "pfn" then
		check.fails("EINVAL", u:register(a, 2 * A, { "wp" }))
	else
		if kind == "dax" then
			check.fails("EINVAL", u:register(a, A // 2, { "wp" }))
		end
		check(u:register(a, 2 * A, { "wp" }))
		check(p:maps()[1].flags:find("uw") ~= nil)
		check.fails("EINVAL", u:copy(a, ("c"):rep(K)))
		check.fails("EINVAL", u:zeropage(a, K))
		check(u:unregister(a, 2 * A))
	end
	p:exit()
end

local function case(kind, page, A)
	local p = quire.process()
	local f = quire.device { size = 2 * A, page = page, kind = kind }
	if not f then -- a kernel has what it has
		check.eq(quire.target, "linux")
		return
	end
	local a = p:mmap { address = 0x10000000000, fixed = true, length = 2 * A, prot = "rw", shared = true, file = f }
	local name <const> = kind .. " " .. page
	local u = p:userfaultfd { features = { "wp_async", "wp_unpopulated" } }
	check(u:register(a, 2 * A, { "wp" }))
	local function protect(at, length)
		return (p:scan { start = at or a, length = length or 2 * A, wp = true, check_wpasync = true, mask = { "written" }, report = { "written" } })
	end
	-- Spans of what was written to, in bytes from `a`.
	local function written()
		local spans = {}
		for i, region in ipairs((p:scan { start = a, length = 2 * A, mask = { "written" }, report = { "written" } })) do
			spans[i] = { region.start - a, region.length }
		end
		return spans
	end
	local function wrote(at) -- what a write there makes of a protected leaf
		return kind == "dax" and { at // A * A, A } or { at // K * K, K }
	end
	local function leaf(at, protected)
		check.pagemap(p, at, { present = true, uffd_wp = protected })
		if library then
			check.eq({ p:entry(at).kind, 1 << (12 + 9 * p:entry(at).level), p:entry(at).uffd_wp }, { "leaf", A, protected }, name)
		end
	end

	-- Everything is written to, until it is protected; a leaf stays one.
	check(p:write(a, "data"))
	check.eq(p:read(a + A, 1), "\0")
	check.eq(written(), { { 0, 2 * A } }, name)
	check.eq(#protect(), 1, name)
	check.eq(written(), {}, name)
	leaf(a, true)
	leaf(a + A, true)
	check.eq({ p:read(a, 4), p:read(a + A, 1) }, { "data", "\0" })
	check.eq(written(), {}, name)

	-- A write goes on; it is found, once.
	check(p:write(a + A // 2, "W"))
	check.eq(written(), { wrote(A // 2) }, name)
	check.eq(f:read(A // 2, 1), "W")
	check(p:write(a + A // 2, "V"))
	check(p:syscall_write(a + A + A - K, "S"))
	check.eq(written(), (kind == "dax" or A == K) and { { 0, 2 * A } } or { wrote(A // 2), wrote(2 * A - K) }, name)
	protect()
	check.eq(written(), {}, name)
	check(p:write(a + A // 2, "U"))
	check.eq({ written(), p:read(a, 4), f:read(A // 2, 1), f:read(2 * A - K, 1) }, { { wrote(A // 2) }, "data", "U", "S" }, name)

	-- Permissions come and go; the protection stays.
	protect()
	check(p:mprotect(a, 2 * A, "r"))
	check(p:mprotect(a, 2 * A, "rw"))
	check.eq(written(), {}, name)
	check(p:write(a + A, "more"))
	check.eq(written(), { wrote(A) }, name)

	-- What goes comes back protected.
	protect()
	check(p:madvise(a, 2 * A, "dontneed"))
	check.eq(written(), {}, name)
	check.eq(p:read(a, 4), "data")
	check.eq(written(), {}, name)
	check.pagemap(p, a, { present = true, uffd_wp = true })
	check(p:write(a, "Data"))
	check.eq({ written(), p:read(a + A, 4) }, { { wrote(0) }, "more" }, name)
	check(p:write(a + A, "More"))
	check.eq({ f:read(0, 4), f:read(A, 4) }, { "Data", "More" }, name)

	-- By request, and back.
	check(u:writeprotect(a, 2 * A, true))
	check.eq(written(), {}, name)
	check(p:write(a + A, "again"))
	check.eq(written(), { wrote(A) }, name)
	check(u:writeprotect(a, 2 * A, false))
	check.eq(written(), { { 0, 2 * A } }, name)
	check(p:write(a, "free"))
	check(p:write(a + A - 1, "xx"))
	check.eq(f:read(A - 1, 6), "xxgain")

	-- A part.
	if A > K then
		check(p:write(a, "part"))
		if kind == "dax" then
			check.fails("EINVAL", u:writeprotect(a, A // 2, true))
			check.eq(written(), { { 0, 2 * A } }, name)
			protect(a, A + A // 2)
			check.eq(written(), { { A, A } }, name)
			check(p:write(a + K, "X"))
		else
			check(u:writeprotect(a + K, K, true))
			check.eq(written(), { { 0, K }, { 2 * K, 2 * A - 2 * K } }, name)
			check(p:write(a + K, "X"))
		end
		check.eq({ written(), p:read(a, 4), f:read(K, 1) }, { { { 0, 2 * A } }, "part", "X" }, name)
	end

	-- Never touched, and protected.
	check(p:munmap(a, 2 * A))
	check(p:mmap { address = a, fixed = true, length = 2 * A, prot = "rw", shared = true, file = f })
	check(u:register(a, 2 * A, { "wp" }))
	protect()
	check.eq(written(), {}, name)
	check(p:write(a + A - K, "first"))
	check.eq({ written(), f:read(A - K, 5), p:read(a + A, 5) }, { { wrote(A - K) }, "first", "xgain" }, name)

	-- It ends with the registration.
	protect()
	check(u:unregister(a, 2 * A))
	check(p:write(a, "end"))
	check.eq({ f:read(0, 3), p:read(a + A, 5) }, { "end", "xgain" }, name)
	check.pagemap(p, a, { uffd_wp = false })
	u:close()
	p:exit()
end
for _, kind in ipairs { "dax", "fsdax" } do
	for page, A in pairs { ["4K"] = K, ["2M"] = 2 << 20, ["1G"] = 1 << 30 } do
		case(kind, page, A)
	end
end
