-- E2: advice, locking and unmapping, of whole leaves and of parts of them.
quire.needs("device_dax", "device_fsdax", "device_pfn")
local K <const> = 0x1000
local library <const> = quire.target == "quire"
local flagged <const> = { "normal", "random", "sequential", "dontfork", "dofork", "mergeable", "unmergeable", "hugepage", "nohugepage", "dontdump", "dodump", "keeponfork" }
local unlike <const> = { random = true, sequential = true, dontfork = true, nohugepage = true, dontdump = true } -- what memory of a device is at first
for _, kind in ipairs { "dax", "fsdax", "pfn" } do
	for page, A in pairs { ["4K"] = K, ["2M"] = 2 << 20, ["1G"] = 1 << 30 } do
		local p = quire.process()
		local f = quire.device { size = 4 * A, page = page, kind = kind }
		if not f then -- a kernel has what it has
			check.eq(quire.target, "linux")
			goto next
		end
		local R <const> = 0x10000000000
		local name <const> = kind .. " " .. page
		local function map(length, options)
			options = options or {}
			options.address, options.fixed, options.length, options.file, options.prot = R, true, length, f, options.prot or "rw"
			options.shared = options.shared == nil and true or options.shared
			return p:mmap(options)
		end
		local function there(at)
			if kind == "pfn" then
				return library and p:entry(at).kind == "leaf"
			end
			return p:pagemap(at, 1)[1].present
		end
		local function advice_of(at, length, advice)
			local result, why = p:madvise(at, length, advice)
			return result and "OK" or why
		end
		f:write(0, "zero")
		f:write(A, "one")

		-- Of the whole: what is a flag has no effect on the entry.
		for _, advice in ipairs(page == "1G" and { "nohugepage", "dofork" } or flagged) do
			local a = map(A)
			check.eq(p:read(a, 4), "zero")
			local refused = kind == "pfn" and (advice == "dofork" or advice == "dodump")
			check.eq(advice_of(a, A, advice), refused and "EINVAL" or "OK", name .. " " .. advice)
			if library then
				check.eq({ p:entry(a).kind, 1 << (12 + 9 * p:entry(a).level) }, { "leaf", A }, name .. " " .. advice)
			end
			check.eq(p:read(a, 4), "zero")
			-- Of a part: where memory of one size would have to be cut it is refused.
			if A > K and kind == "dax" then
				a = map(A)
				check.eq(p:read(a, 4), "zero")
				check.eq(advice_of(a, A // 2, advice), unlike[advice] and "EINVAL" or "OK", name .. " " .. advice)
				check.eq(#p:maps(), 1)
				check(there(a) and there(a + A - K))
			end
			check(p:munmap(a, A))
		end

		-- Advice about pages.
		local function expect(advice, whole, part)
			local a = map(2 * A)
			check(p:write(a, "zero"))
			check.eq(p:read(a + A, 3), "one")
			check.eq(advice_of(a, A, advice), whole, name .. " " .. advice)
			local stays = whole ~= "OK" or not part
			if library or kind ~= "pfn" then
				check.eq(there(a), stays, name .. " " .. advice)
				check.eq(there(a + A), true, name .. " " .. advice)
			end
			check.eq({ p:read(a, 4), p:read(a + A, 3) }, { "zero", "one" })
			if A > K then
				check.eq(advice_of(a, A // 2, advice), whole, name .. " " .. advice)
				if kind == "dax" then
					check.eq({ there(a), there(a + A - K) }, { stays, stays }, name .. " " .. advice)
				end
				check.eq({ p:read(a, 4), p:read(a + A - 1, 4) }, { "zero", "\0one" })
			end
			check(p:munmap(a, 2 * A))
		end
		local ok <const> = kind == "pfn" and "EINVAL" or "OK"
		expect("dontneed", ok, true)
		expect("dontneed_locked", ok, true)
		expect("cold", ok)
		expect("pageout", ok)
		expect("free", "EINVAL")
		expect("wipeonfork", "EINVAL")
		expect("willneed", "OK")
		local a = map(2 * A)
		if kind == "fsdax" then
			check(p:madvise(a, A, "remove"))
			check.eq(f:read(0, 4), "\0\0\0\0")
			check(f:allocate(0, A))
			f:write(0, "zero")
		else
			check.fails("ENODEV", p:madvise(a, A, "remove"))
		end
		check(p:munmap(a, 2 * A))

		-- Populating.
		for _, advice in ipairs { "populate_read", "populate_write" } do
			a = map(2 * A)
			check.eq(advice_of(a, math.max(A // 2, K), advice), ok, name)
			if kind ~= "pfn" then
				check(there(a) and not there(a + A))
				if kind == "dax" or page == "4K" then
					check(there(a + A - K))
				end
			end
			if library and kind ~= "pfn" then
				local e = p:entry(a)
				check.eq({ e.level, e.writable, e.dirty }, { ({ ["4K"] = 0, ["2M"] = 1, ["1G"] = 2 })[page], kind == "dax" or advice == "populate_write", advice == "populate_write" }, name)
			end
			check(p:munmap(a, 2 * A))
		end

		-- Locked it is not, but filled.
		a = map(2 * A)
		check(p:mlock(a, math.max(A // 2, K)))
		check.eq(#p:maps(), 1)
		check(not p:maps()[1].flags:find("lo"))
		if kind ~= "pfn" then
			check(there(a))
		end
		check(p:munlock(a, 2 * A))

		-- Unmapping a part.
		check.eq(p:read(a + A, 3), "one")
		if A > K then
			for _, part in ipairs { { 0, K }, { K, K }, { A // 2, A // 2 }, { 0, A + K } } do
				if kind == "dax" then
					check.fails("EINVAL", p:munmap(a + part[1], part[2]))
					check.fails("EINVAL", p:mmap { address = a + part[1], fixed = true, length = part[2], prot = "rw" })
				else
					a = map(2 * A)
					check(p:write(a, "zero"))
					check(p:munmap(a + part[1], part[2]))
					check.eq({ p:touch(a + part[1], "r") }, { nil, "SEGV", "MAPERR" })
					check.eq({ p:touch(a + part[1] + part[2] - 1, "r") }, { nil, "SEGV", "MAPERR" })
					check.eq(p:read(a + part[1] + part[2], 1), part[1] + part[2] == A and "o" or "\0")
					if part[1] > 0 then
						check.eq(p:read(a, 4), "zero")
						check(p:write(a + part[1] - K, "\0"))
					end
				end
			end
		end
		a = map(2 * A)
		check.eq(p:read(a + A, 3), "one")
		check(p:munmap(a, A))
		check.eq({ p:touch(a, "r") }, { nil, "SEGV", "MAPERR" })
		if library then
			check.eq({ p:entry(a + A).kind, 1 << (12 + 9 * p:entry(a + A).level) }, { "leaf", A }, name)
		end
		check.eq(p:read(a + A, 3), "one")
		p:exit()
		::next::
	end
end
