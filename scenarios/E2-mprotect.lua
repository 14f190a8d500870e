-- E2: permissions change in the one entry of a leaf, at every level, and nothing of it is lost; a part of it is refused, or cut out.
quire.needs("device_dax", "device_fsdax", "device_pfn")
local K <const> = 0x1000
local library <const> = quire.target == "quire"
for _, kind in ipairs { "dax", "fsdax", "pfn" } do
	for page, A in pairs { ["4K"] = K, ["2M"] = 2 << 20, ["1G"] = 1 << 30 } do
		local p = quire.process()
		local f = quire.device { size = 2 * A, page = page, kind = kind }
		if not f then -- a kernel has what it has
			check.eq(quire.target, "linux")
			goto next
		end
		local a = p:mmap { address = 0x10000000000, fixed = true, length = 2 * A, prot = "rw", shared = true, file = f }
		local name <const> = kind .. " " .. page
		local function entry(at)
			local e = p:entry(at)
			return { e.kind, 1 << (12 + 9 * e.level), e.writable, e.dirty }
		end
		local function is(at, writable, dirty)
			if library then
				check.eq(entry(at), { "leaf", A, writable, dirty }, name)
			end
		end
		local function quietly(run)
			local faults = library and quire.stats().faults
			run()
			check.eq(library and quire.stats().faults, faults, name .. ": no fault")
		end

		-- Written to, then protected: dirty it stays, and the next write needs no fault.
		check(p:write(a, "data"))
		is(a, true, true)
		check(p:mprotect(a, A, "r"))
		is(a, false, true)
		check.eq(p:read(a, 4), "data")
		check.eq({ p:touch(a + A - 1, "w") }, { nil, "SEGV", "ACCERR" })
		check(p:mprotect(a, A, "rw"))
		is(a, true, true)
		quietly(function()
			check(p:write(a + A - 1, "e"))
		end)

		-- No access at all, and back.
		check(p:mprotect(a, A, "none"))
		check.eq({ p:read(a, 4) }, { nil, "SEGV", "ACCERR" })
		check.eq({ p:write(a + A // 2, "x") }, { nil, "SEGV", "ACCERR" })
		is(a, false, true)
		check(p:mprotect(a, A, "rw"))
		is(a, true, true)
		quietly(function()
			check.eq(p:read(a, 4), "data")
			check(p:write(a, "DATA"))
		end)
		check.eq(f:read(0, 4), "DATA")

		-- Clean ones, too; and the other leaf knows nothing of it.
		check.eq(p:read(a + A, 1), "\0")
		check(p:mprotect(a, A, "r"))
		check(p:write(a + A, "other"))
		check(p:mprotect(a, 2 * A, "r"))
		check.eq({ p:touch(a + A, "w") }, { nil, "SEGV", "ACCERR" })
		check(p:mprotect(a, 2 * A, "rw"))
		check(p:write(a, "both"))
		check(p:write(a + A, "BOTH"))
		check.eq({ f:read(0, 4), f:read(A, 4) }, { "both", "BOTH" })

		-- Mapped to be read, and writable later.
		check(p:munmap(a, 2 * A))
		check(p:mmap { address = a, fixed = true, length = 2 * A, prot = "r", shared = true, file = f })
		check.eq(p:read(a, 4), "both")
		check(p:mprotect(a, A, "rw"))
		check(p:write(a, "open"))
		check.eq({ p:touch(a + A, "w") }, { nil, "SEGV", "ACCERR" })
		check(p:mprotect(a, 2 * A, "rw"))
		check(p:write(a + A, "OPEN"))

		-- A part.
		local before = p:maps()
		for _, part in ipairs(A == K and {} or { { 0, K }, { K, K }, { A // 2, A // 2 }, { A - K, K }, { 0, A + K }, { A + K, K } }) do
			local at, length = a + part[1], part[2]
			if kind == "dax" then
				check.fails("EINVAL", p:mprotect(at, length, "r"))
				check.eq(p:maps(), before, name)
				is(a, true, true)
				is(a + A, true, true)
				check(p:mprotect(at, length, "rw"), "nothing to be done, nothing to be cut")
			else
				check(p:write(a, "left"))
				check(p:write(at, "middle"))
				check(p:write(a + 2 * A - 5, "right"))
				check(p:mprotect(at, length, "r"))
				check.eq({ p:touch(at, "w") }, { nil, "SEGV", "ACCERR" }, name)
				check.eq({ p:touch(at + length - 1, "w") }, { nil, "SEGV", "ACCERR" }, name)
				if at > a then
					check(p:write(at - 4, "left"))
				end
				check(p:write(at + length, "right"))
				check.eq(p:read(at, 6), "middle")
				check(p:mprotect(at, length, "rw"))
				check(p:write(at, "MIDDLE"))
				check.eq(f:read(part[1], 6), "MIDDLE")
				check.eq(f:read(2 * A - 5, 5), "right")
			end
		end
		check(p:munmap(a, 2 * A))
		p:exit()
		::next::
	end
end
