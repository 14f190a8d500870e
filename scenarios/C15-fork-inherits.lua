-- C15: with the fork event the child's memory is registered and inherits protection and markers; without it the child has
-- neither.  The parent is unchanged in both.
local K <const> = 4096
local p = quire.process()
for _, event in ipairs { true, false } do
	local a = p:mmap { length = "16K", prot = "rw" }
	p:write(a, "written")
	p:read(a + K, 1)
	local u = p:userfaultfd { features = event and { "wp_unpopulated", "event_fork" } or { "wp_unpopulated" } }
	check(u:register(a, "16K", { "wp" }))
	check(u:writeprotect(a, 3 * K, true))
	local t = p:thread()
	local c, v = t:fork(), nil
	if event then
		check.eq(c, nil)
		v = u:read().child
		c = t:result()
	end
	for i = 0, 2 do
		check.pagemap(p, a + i * K, { uffd_wp = true, present = i < 2 })
		check.pagemap(c, a + i * K, { uffd_wp = event, present = i < 2 })
	end
	check.eq((" " .. c:smaps(a).VmFlags .. " "):find(" uw ", 1, true) ~= nil, event)
	check.pagemap(c, a + 3 * K, { uffd_wp = false, present = false })

	-- The child's writes are reported to its own context, or to none; the parent's stay as they were.
	for i = 0, 2 do
		if event then
			check.fails("blocked", c:write(a + i * K, "child"))
			check.eq(v:read(), { event = "pagefault", address = a + i * K, write = true, wp = true, minor = false })
			check(v:writeprotect(a + i * K, K, false))
			check.eq(c:thread_result(), true)
		else
			check(c:write(a + i * K, "child"))
		end
		check.page(c, a + i * K, "child")
		check.pagemap(p, a + i * K, { uffd_wp = true })
	end
	check.fails("EAGAIN", u:read())
	check.page(p, a, "written")
	check.fails("blocked", p:write(a, "parent"))
	check.eq(u:read().wp, true)
	check(u:writeprotect(a, K, false))
	check.eq(p:thread_result(), true)
	u:close()
end
