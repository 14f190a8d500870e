-- C5, C6: file memory that is not mapped now can be protected, wherever its page is: a marker stands where it would be.
quire.setup { swap = "64M" }
local K <const> = 0x1000
local function look(p, a)
	local page, text = p:pagemap(a), ""
	for _, bit in ipairs { "present", "swapped", "file", "uffd_wp", "exclusive", "guard" } do
		text = text .. (page[bit] and bit:sub(1, 1):upper() or "")
	end
	return text
end
for _, shared in ipairs { true, false } do
	for _, where in ipairs { "cache", "swap", "hole" } do
		local name = where .. (shared and " shared" or " private")
		local q = quire.process()
		local p = quire.process()
		local f = quire.shmem { size = "64K" }
		local a = p:mmap { length = "64K", prot = "rw", shared = shared, file = f }
		local b = q:mmap { length = "64K", prot = "rw", shared = true, file = f }
		local u = p:userfaultfd {}
		local want = where == "hole" and "\0\0\0\0" or "page"
		check(u:register(a, "64K", { "wp" }))
		if where ~= "hole" then
			for i = 0, 3 do
				check(q:write(b + i * K, "page"))
			end
		end
		if where == "swap" then
			check(q:madvise(b, 4 * K, "pageout"))
		end
		local cached = where == "cache" and 4 or 0
		check.eq(f:resident(0, 4 * K), cached, name)
		check(u:writeprotect(a, 4 * K, true))
		for i = 0, 3 do
			check.eq(look(p, a + i * K), "SU", name)
		end
		check.eq(f:resident(0, 4 * K), cached, name) -- nothing was brought in for that

		-- A read: in, protected, no report.
		check.eq(p:read(a, 4), want, name)
		check.eq(look(p, a), where == "cache" and "PFU" or "PFUE", name)
		-- A write: in read-only, a report, and then the write.
		check.fails("blocked", p:write(a + K, "PAGE"))
		check.eq(u:read(), { event = "pagefault", address = a + K, write = true, wp = true, minor = false }, name)
		check.eq(q:read(b + K, 4), want, name)
		check(u:writeprotect(a + K, K, false))
		check.eq(p:thread_result(), true)
		check.eq(p:read(a + K, 4), "PAGE", name)
		check.eq(q:read(b + K, 4), shared and "PAGE" or want, name)

		-- C6: cleared before anybody looked, the entry is empty: the next write does not report.
		check(u:writeprotect(a + 2 * K, 2 * K, false))
		check.eq(look(p, a + 2 * K), "", name)
		check(p:write(a + 2 * K, "PAGE"))
		check.eq(p:read(a + 3 * K, 4), want, name)
		check(p:write(a + 3 * K, "PAGE"))
		check.fails("EAGAIN", u:read())
		p:exit()
		q:exit()
		f:close()
	end
end
