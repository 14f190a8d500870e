-- E4: fork copies leaves of bare frames at their level and takes write permission from private ones alone; what has a file is refaulted.
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
		local name <const> = kind .. " " .. page
		local function map(shared, prot)
			return p:mmap { address = 0x10000000000, fixed = true, length = 2 * A, prot = prot or "rw", shared = shared, file = f }
		end
		local function entry(process, at)
			local e = process:entry(at)
			return { e.kind, 1 << (12 + 9 * e.level), e.writable, e.dirty }
		end
		f:write(0, "leaf")

		-- Shared: both write on, and see each other.
		local a = map(true)
		check(p:write(a, "LEAF"))
		check.eq(p:read(a + A, 1), "\0")
		local child = p:fork()
		if library then
			check.eq(entry(p, a), { "leaf", A, true, true }, name)
			if kind == "pfn" then
				local e = entry(child, a)
				check.eq({ e[1], e[2], e[3] }, { "leaf", A, true }, name)
				if A > K then
					check(e[4], "no bit of the entry is lost")
				end
				e = entry(child, a + A)
				check.eq({ e[1], e[2], e[3] }, { "leaf", A, true }, name)
			else
				check.eq(child:entry(a).kind, "absent", name)
			end
			local faults = quire.stats().faults
			check(p:write(a + 4, "parent"))
			check.eq(quire.stats().faults, faults, "the parent needs no fault")
		else
			check(p:write(a + 4, "parent"))
		end
		if kind ~= "pfn" then
			check(not child:pagemap(a, 1)[1].present)
		end
		check.eq(child:read(a, 10), "LEAFparent")
		check(child:write(a + A, "child"))
		check.eq(p:read(a + A, 5), "child")
		check.eq({ f:read(0, 10), f:read(A, 5) }, { "LEAFparent", "child" })

		-- Permissions are each one's own.
		check(child:mprotect(a, A, "r"))
		check.eq({ child:write(a, "x") }, { nil, "SEGV", "ACCERR" })
		check(p:write(a, "leaf"))
		check.eq(child:read(a, 4), "leaf")
		check(child:mprotect(a, A, "rw"))
		check(child:write(a, "Leaf"))
		check.eq(p:read(a, 4), "Leaf")

		-- What was protected before is so in the child.
		check(p:mprotect(a, A, "r"))
		local second = p:fork()
		check.eq({ second:write(a, "x") }, { nil, "SEGV", "ACCERR" })
		check.eq(second:read(a, 4), "Leaf")
		check(second:mprotect(a, A, "rw"))
		check(second:write(a, "LEAF"))
		check.eq({ p:write(a, "x") }, { nil, "SEGV", "ACCERR" })
		check.eq(p:read(a, 4), "LEAF")
		second:exit()
		child:exit()

		-- Not to be forked.
		check(p:madvise(a, 2 * A, "dontfork"))
		child = p:fork()
		check.eq({ child:read(a, 1) }, { nil, "SEGV", "MAPERR" })
		child:exit()
		check(p:munmap(a, 2 * A))

		-- Private: what was copied is each one's own, the rest is the device's.
		if kind ~= "dax" then
			a = map(false)
			check.eq(p:read(a + A, 5), "child")
			check(p:write(a, "mine"))
			child = p:fork()
			check.eq({ child:read(a, 10), child:read(a + A, 5) }, { "mineparent", "child" }, name)
			check(child:write(a, "hers"))
			check(child:write(a + A, "CHILD"))
			check(p:write(a + A - 1, "x"))
			check.eq({ p:read(a, 4), p:read(a + A, 5) }, { "mine", "child" }, name)
			check.eq({ child:read(a, 4), child:read(a + A, 5), child:read(a + A - 1, 1) }, { "hers", "CHILD", "\0" }, name)
			check.eq({ f:read(0, 4), f:read(A, 5), f:read(A - 1, 1) }, { "LEAF", "child", "\0" })
			child:exit()
			check(p:munmap(a, 2 * A))
			a = map(false, "r")
			check.eq(p:read(a, 4), "LEAF")
			child = p:fork()
			check.eq({ child:read(a, 4), child:write(a, "x") }, { "LEAF", nil, "SEGV", "ACCERR" })
			check(child:mprotect(a, A, "rw"))
			check(child:write(a, "own"))
			check.eq({ child:read(a, 4), p:read(a, 4), f:read(0, 4) }, { "ownF", "LEAF", "LEAF" }, name)
		end
		p:exit()
		::next::
	end
end
