-- B6: unregister drops protection and markers of its range. It wakes who waits, unless the memory was
-- registered for wp alone.
local p = quire.process()
local K = 0x1000
local t = p:thread()
local u = p:userfaultfd{ features = { "wp_unpopulated" } }
local a = p:mmap{ length = "64K", prot = "rw" }
check(p:write(a, ("A"):rep(4 * K)))
check(u:register(a, "64K", { "wp" }))
check(u:writeprotect(a, 8 * K, true))

check(u:unregister(a + K, 5 * K))
for page = 0, 8 do
	check.eq(p:pagemap(a + page * K).uffd_wp, page == 0 or page == 6 or page == 7, "page " .. page)
end
check.pagemap(p, a + 4 * K, { present = false, swapped = false })
check.eq(p:write(a + K, "x"), true)
check.eq(p:write(a + 4 * K, "x"), true)

-- Waiters: by the modes registered, and whether the report was read.
local function waiter(modes, wp, read)
	local page = p:mmap{ length = K, prot = "rw" }
	if wp then
		p:write(page, "A")
	end
	check(u:register(page, K, modes))
	if wp then
		check(u:writeprotect(page, K, true))
	end
	check.fails("blocked", t:write(page, "x"))
	if read then
		check.eq(u:read().wp, wp)
	end
	check(u:unregister(page, K))
	local woken, why = t:result()
	check(u:wake(page, K))
	if not woken then
		check.eq(why, "blocked")
		check.eq(t:result(), true)
	end
	return woken == true
end
for _, read in ipairs{ true, false } do
	check.eq(waiter({ "missing" }, false, read), true)
	check.eq(waiter({ "missing", "wp" }, false, read), true)
	check.eq(waiter({ "missing", "wp" }, true, read), true)
	check.eq(waiter({ "wp" }, true, read), false)
end
check.fails("EAGAIN", u:read())
