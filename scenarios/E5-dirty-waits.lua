-- E5: an entry that loses write permission is not left as a shadow stack's would be: its dirty bit waits, at every level, and comes back with the permission.
quire.needs("device_dax", "device_fsdax", "device_pfn")
local K <const> = 0x1000
local library <const> = quire.target == "quire"
for _, kind in ipairs { "dax", "fsdax", "pfn" } do
	for page, A in pairs { ["4K"] = K, ["2M"] = 2 << 20, ["1G"] = 1 << 30 } do
		local p = quire.process()
		local f = quire.device { size = A, page = page, kind = kind }
		if not f then -- a kernel has what it has
			check.eq(quire.target, "linux")
			goto next
		end
		local a = p:mmap { address = 0x10000000000, fixed = true, length = A, prot = "rw", shared = true, file = f }
		local name <const> = kind .. " " .. page
		local function is(process, writable, dirty)
			if library then
				local e = process:entry(a)
				check.eq({ e.kind, 1 << (12 + 9 * e.level), e.writable, e.dirty }, { "leaf", A, writable, dirty }, name)
			end
		end
		local ways <const> = {
			{ function() check(p:mprotect(a, A, "r")) end, function() check(p:mprotect(a, A, "rw")) end },
			{ function() check(p:mprotect(a, A, "none")) end, function() check(p:mprotect(a, A, "rw")) end },
			{ function() check(p:mprotect(a, A, "none")) check(p:mprotect(a, A, "r")) end, function() check(p:mprotect(a, A, "rw")) end },
			{ function() check(p:mprotect(a, A, "rx") or kind == "pfn") check(p:mprotect(a, A, "r")) end, function() check(p:mprotect(a, A, "rw")) end },
		}
		for _, way in ipairs(ways) do
			check(p:write(a, "data"))
			is(p, true, true)
			way[1]()
			is(p, false, true)
			local child = p:fork()
			if kind == "pfn" and A > K then
				is(child, false, true)
			end
			child:exit()
			way[2]()
			is(p, true, true)
			check(p:write(a, "DATA"))
			check.eq(f:read(0, 4), "DATA")
		end
		-- A clean one is clean when it comes back.
		check(p:munmap(a, A))
		check(p:mmap { address = a, fixed = true, length = A, prot = "rw", shared = true, file = f })
		check.eq(p:read(a, 4), "DATA")
		is(p, kind ~= "fsdax", false)
		ways[1][1]()
		is(p, false, false)
		ways[1][2]()
		if kind == "dax" then
			is(p, true, false)
		end
		check(p:write(a, "data"))
		is(p, true, true)
		p:exit()
		::next::
	end
end
