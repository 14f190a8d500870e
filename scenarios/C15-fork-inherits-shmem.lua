-- C15: fork of protected file memory, with the fork event and without.
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
	for _, event in ipairs { true, false } do
		local p = quire.process()
		local f = quire.shmem { size = "64K" }
		f:write(0, ("f"):rep(8 * K))
		local a = p:mmap { length = "64K", prot = "rw", shared = shared, file = f }
		local u = p:userfaultfd { features = event and { "event_fork" } or {} }
		local t = p:thread()
		local function row(q)
			local text = {}
			for i = 0, 4 do
				text[#text + 1] = look(q, a + i * K)
			end
			return table.concat(text, " ")
		end
		-- protected page, plain page, marker, protected and in swap, nothing
		check(u:register(a, "64K", { "wp" }))
		for i = 0, 3 do
			check(i == 2 or p:write(a + i * K, "page"))
		end
		check(u:writeprotect(a, K, true))
		check(u:writeprotect(a + 2 * K, 2 * K, true))
		check(p:madvise(a + 3 * K, K, "pageout"))
		check.eq(row(p), shared and "PFUE PFE SU SU " or "PUE PE SU SU ")

		local c, v
		if event then
			check.fails("blocked", t:fork())
			local message = u:read()
			check.eq(message.event, "fork")
			v = message.child
			c = t:result()
		else
			c = t:fork()
		end
		-- The parent is as before, but for what both map now.
		local parent = shared and (event and "PFU PF SU SU " or "PFUE PFE SU SU ") or "PU P SU SU "
		check.eq(row(p), parent)
		check.eq(row(c), event and parent or shared and "    " or "P P  S ")
		check.eq(c:smaps(a).VmFlags:match("uw"), event and "uw" or nil)

		if event then
			-- Markers and pages report to the child's own userfaultfd; resolving there leaves the parent's mark.
			for _, i in ipairs { 0, 2, 3 } do
				check.fails("blocked", c:write(a + i * K, "CHILD"))
				check.fails("EAGAIN", u:read())
				check.eq(v:read(), { event = "pagefault", address = a + i * K, write = true, wp = true, minor = false })
				check(v:writeprotect(a + i * K, K, false))
				check.eq(c:thread_result(), true)
				check.pagemap(p, a + i * K, { uffd_wp = true })
			end
			check(c:write(a + K, "free"))
			check.fails("EAGAIN", v:read())
		else
			for i = 0, 4 do
				check(c:write(a + i * K, "CHILD"))
			end
		end
		check.eq(p:read(a, 5), shared and "CHILD" or "pagef")
		check.eq(p:read(a + 2 * K, 5), shared and "CHILD" or "fffff")
		check.eq(p:read(a + 3 * K, 5), shared and "CHILD" or "pagef")
		for _, i in ipairs { 0, 2, 3 } do
			check.fails("blocked", p:write(a + i * K, "w"))
			check.eq(u:read(), { event = "pagefault", address = a + i * K, write = true, wp = true, minor = false })
			check(u:writeprotect(a + i * K, K, false))
			check.eq(p:thread_result(), true)
		end
		c:exit()
		p:exit()
		f:close()
	end
end
