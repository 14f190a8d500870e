-- E2: the middle page of a mapped 1G leaf is protected: every page beside it keeps its permission, its content and its dirty bit.
quire.needs("device_fsdax", "device_pfn")
local K <const>, M <const>, G <const> = 0x1000, 2 << 20, 1 << 30
local library <const> = quire.target == "quire"
for _, kind in ipairs { "fsdax", "pfn" } do
	for _, dirty in ipairs { true, false } do
		local p = quire.process()
		local f = quire.device { size = G, page = "1G", kind = kind }
		if not f then -- a kernel has what it has
			check.eq(quire.target, "linux")
			goto next
		end
		local a = p:mmap { address = 0x10000000000, fixed = true, length = G, prot = "rw", shared = true, file = f }
		local middle <const> = a + G // 2
		local near <const> = { 0, K, M - K, M, G // 2 - M - K, G // 2 - M, G // 2 - K, G // 2, G // 2 + K, G // 2 + M - K, G // 2 + M, G - M, G - K }
		for _, offset in ipairs(near) do
			f:write(offset, ("at %d"):format(offset))
		end
		check.eq(p:read(a, 4), "at 0")
		if dirty then
			check(p:touch(a, "w"))
		end
		local bytes = library and p:tables().bytes
		check(p:mprotect(middle, K, "r"))
		if library then
			check.eq(p:tables().bytes, bytes + 2 * K, "one table a level")
			-- Every page, on both sides.
			for at = a, a + G - M, M do
				local e = p:entry(at)
				check.eq({ e.kind, e.level, e.dirty }, { "leaf", at == middle and 0 or 1, dirty })
			end
			for at = middle, middle + M - K, K do
				local e = p:entry(at)
				check.eq({ e.kind, e.level, e.dirty, e.young }, { "leaf", 0, dirty, true })
				check.eq(e.writable, at ~= middle and (dirty or kind == "pfn"))
			end
		end
		for _, offset in ipairs(near) do
			local text = ("at %d"):format(offset)
			check.eq(p:read(a + offset, #text), text)
			if offset == G // 2 then
				check.eq({ p:touch(a + offset, "w") }, { nil, "SEGV", "ACCERR" })
			else
				check(p:write(a + offset, "At"))
				check.eq(f:read(offset, #text), "A" .. text:sub(2))
			end
		end
		check(p:mprotect(middle, K, "none"))
		check.eq({ p:read(middle, 1) }, { nil, "SEGV", "ACCERR" })
		check(p:mprotect(a, G, "rw"))
		check(p:write(middle, "AT"))
		check.eq(f:read(G // 2, 4), "AT " .. tostring(G // 2):sub(1, 1))
		p:exit()
		::next::
	end
end
