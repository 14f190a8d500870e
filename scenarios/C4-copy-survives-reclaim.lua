-- C4: what COPY with WP brings is protected and dirty: reclaim never throws it away, even if the mapping can't be written.  The same for CONTINUE.
quire.setup { swap = "64M" }
local K <const> = 0x1000
local function look(p, a)
	local page, text = p:pagemap(a), ""
	for _, bit in ipairs { "present", "swapped", "file", "uffd_wp", "exclusive", "guard" } do
		text = text .. (page[bit] and bit:sub(1, 1):upper() or "")
	end
	return text
end
for _, kind in ipairs { "anon", "shared", "private" } do
	for _, prot in ipairs { "rw", "r", "none" } do
		local name = kind .. " " .. prot
		local p = quire.process()
		local f = kind ~= "anon" and quire.shmem { size = "64K" } or nil
		local a = p:mmap { length = "64K", prot = "rw", shared = kind == "shared", file = f }
		local u = p:userfaultfd {}
		check(u:register(a, "64K", { "missing", "wp" }))
		check(p:mprotect(a, "64K", prot))
		for i = 0, 3 do
			check.eq(u:copy(a + i * K, ("C"):rep(K), { wp = i % 2 == 0 }), K, name)
		end
		check.eq(look(p, a), kind == "shared" and "PFUE" or "PUE", name)
		check.eq(p:smaps(a).Private_Dirty, 4 * K, name)
		check(p:madvise(a, 4 * K, "pageout"))
		check.eq(look(p, a), "SU", name)
		check.eq(look(p, a + K), kind == "shared" and "" or "S", name)
		if f then
			check.eq(f:resident(0, 4 * K), 0, name)
		end
		check(p:mprotect(a, "64K", "rw"))
		for i = 0, 3 do
			check.eq(p:read(a + i * K, K), ("C"):rep(K), name)
		end
		check.eq(look(p, a), kind == "shared" and "PFUE" or "PUE", name)
		check.fails("blocked", p:write(a, "w"))
		check.eq(u:read(), { event = "pagefault", address = a, write = true, wp = true, minor = false })
		check(u:writeprotect(a, K, false))
		check.eq(p:thread_result(), true)
		check.page(p, a, "wC")
		p:exit()
		if f then
			f:close()
		end
	end
end

-- CONTINUE: what the file holds is as safe.
local p = quire.process()
local f = quire.shmem { size = "64K" }
local a = p:mmap { length = "64K", prot = "r", shared = true, file = f }
local u = p:userfaultfd {}
f:write(0, "file")
check(u:register(a, "64K", { "minor", "wp" }))
check.eq(u:continue(a, K, { wp = true }), K)
check.eq(look(p, a), "PFUE")
check(p:madvise(a, K, "pageout"))
check.eq(look(p, a), "SU")
check.eq(f:resident(0, K), 0)
check.eq(f:read(0, 4), "file")
