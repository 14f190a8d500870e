-- E2: mremap moves whole leaves where both ends fit, and never into a wrong slot; what does not fit is refused, smaller, or dropped.
quire.needs("device_dax", "device_fsdax", "device_pfn")
local K <const> = 0x1000
local library <const> = quire.target == "quire"
for _, kind in ipairs { "dax", "fsdax", "pfn" } do
	for page, A in pairs { ["4K"] = K, ["2M"] = 2 << 20, ["1G"] = 1 << 30 } do
		local p = quire.process()
		local f = quire.device { size = 4 * A, page = page, kind = kind }
		if not f then -- a kernel has what it has
			check.eq(quire.target, "linux")
			goto next
		end
		local R <const> = 0x10000000000
		local S <const> = R + 16 * A
		local name <const> = kind .. " " .. page
		local function map(length, offset)
			return p:mmap { address = R, fixed = true, length = length, offset = offset, prot = "rw", shared = true, file = f }
		end
		local function move(from, old, new, options)
			return p:mremap(from, old, new, options)
		end
		local function size(at)
			return library and 1 << (12 + 9 * p:entry(at).level)
		end
		for i = 0, 3 do
			f:write(i * A, "leaf" .. i)
			f:write(i * A + A - 4, "end" .. i)
		end

		-- To where it fits: the entry goes along.
		local a = map(2 * A)
		check.eq(p:read(a, 5), "leaf0")
		check.eq(p:read(a + A, 5), "leaf1")
		check(p:touch(a, "w"))
		check.eq(move(a, 2 * A, 2 * A, { maymove = true, fixed = S }), S)
		local faults = library and quire.stats().faults
		check.eq({ p:read(S, 5), p:read(S + A, 5), size(S) }, { "leaf0", "leaf1", library and A }, name)
		check.eq(library and quire.stats().faults, faults, name)
		check.eq({ p:touch(a, "r") }, { nil, "SEGV", "MAPERR" })
		-- One of two.
		check.eq(move(S + A, A, A, { maymove = true, fixed = R }), R)
		check.eq({ p:read(R, 5), p:read(R + A - 4, 4), p:read(S, 5) }, { "leaf1", "end1", "leaf0" }, name)
		check(p:munmap(R, A))
		check(p:munmap(S, A))

		-- To where it does not.
		if A > K then
			a = map(2 * A)
			check.eq(p:read(a, 5), "leaf0")
			check.eq(p:read(a + A, 5), "leaf1")
			check.eq(move(a, 2 * A, 2 * A, { maymove = true, fixed = S + K }), S + K)
			for i = 0, 1 do
				if kind == "dax" then
					check.eq({ p:read(S + K + i * A, 5) }, { nil, "BUS", "ADRERR" })
				else
					check.eq({ p:read(S + K + i * A, 5), p:read(S + K + i * A + A - 4, 4) }, { "leaf" .. i, "end" .. i }, name)
					check(p:write(S + K + i * A + 4, "LEAF"))
					check.eq(f:read(i * A + 4, 4), "LEAF")
					check(f:write(i * A, "leaf" .. i))
				end
			end
			check.eq({ p:touch(a, "r") }, { nil, "SEGV", "MAPERR" })
			check(p:munmap(S + K, 2 * A))

			-- A part.
			a = map(2 * A)
			check.eq(p:read(a, 5), "leaf0")
			if kind == "dax" then
				check.fails("EINVAL", move(a + K, K, K, { maymove = true, fixed = S }))
				check.fails("EINVAL", move(a, K, K, { maymove = true, fixed = S }))
				check.fails("EINVAL", move(a, 2 * A, A + K, {}))
				check.fails("EINVAL", move(a, 2 * A, A // 2, {}))
				check.eq({ p:read(a, 5), size(a) }, { "leaf0", library and A })
			else
				check.eq(move(a + A - K, 2 * K, 2 * K, { maymove = true, fixed = S + K }), S + K)
				check.eq({ p:read(S + K + K - 4, 4), p:read(S + 2 * K, 5) }, { "end0", "leaf1" }, name)
				check.eq({ p:touch(a + A, "r") }, { nil, "SEGV", "MAPERR" })
				check.eq({ p:read(a, 5), p:read(a + 2 * A - 4, 4) }, { "leaf0", "end1" })
				check(p:munmap(S + K, 2 * K))
			end
			check(p:munmap(a, 2 * A))
		end

		-- Shrinking and growing.
		a = map(2 * A)
		check(p:write(a, "Leaf0"))
		check.eq(p:read(a + A, 5), "leaf1")
		check.eq(move(a, 2 * A, A, {}), a)
		check.eq({ p:touch(a + A, "r") }, { nil, "SEGV", "MAPERR" })
		check.eq({ p:read(a, 5), size(a) }, { "Leaf0", library and A })
		if kind == "pfn" then
			check.fails("EFAULT", move(a, A, 2 * A, { maymove = true }))
			check.fails("EFAULT", move(a, 0, A, { maymove = true }))
			check.fails("EINVAL", move(a, A, A, { maymove = true, dontunmap = true }))
			check.eq(p:read(a, 5), "Leaf0")
			check(p:munmap(a, A))
		else
			check.eq(move(a, A, 2 * A, {}), a)
			check.eq({ p:read(a, 5), p:read(a + A, 5) }, { "Leaf0", "leaf1" })
			-- A second mapping of the same.
			local b = move(a, 0, A, { maymove = true })
			check(b and b ~= a, name)
			check.eq(p:read(b, 5), "Leaf0")
			check(p:write(b, "LEAF0"))
			check.eq(p:read(a, 5), "LEAF0")
			check.eq(b % A, kind == "dax" and 0 or b % A, name)
			check(p:munmap(b, A))
			-- The old place stays mapped.
			local c = move(a, A, A, { maymove = true, dontunmap = true })
			check(c and c ~= a, name)
			check(not p:pagemap(a, 1)[1].present)
			check.eq({ p:read(a, 5), p:read(c, 5) }, { "LEAF0", "LEAF0" })
			check(p:munmap(c, A))
			check(p:munmap(a, 2 * A))
			if kind == "dax" and A > K then
				-- What reaches over the end of the mapping is not accessible.
				a = map(A)
				check.eq(move(a, A, A + K, {}), a)
				check.eq(p:read(a, 5), "LEAF0")
				check.eq({ p:touch(a + A, "r") }, { nil, "BUS", "ADRERR" })
				check(p:munmap(a, A + K))
			end
		end
		f:write(0, "leaf0")
		check.eq(#p:maps(), 0, name)
		p:exit()
		::next::
	end
end
