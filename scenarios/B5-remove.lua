-- B5: the remove event. The call waits until it is read; only then the pages go.
local p = quire.process()
local K = 0x1000
local a = p:mmap{ length = "32K", prot = "rw" }
local u = p:userfaultfd{ features = { "event_remove" } }
local t = p:thread()
check(p:write(a, ("A"):rep(8 * K)))
check(u:register(a, "32K", { "missing" }))

local function remove(first, last)
	return { event = "remove", start = a + first * K, finish = a + last * K }
end

-- The advices that lose pages.
for _, advice in ipairs{ "dontneed", "dontneed_locked" } do
	check.fails("blocked", t:madvise(a + K, 2 * K, advice))
	check.eq(u:poll().readable, true)
	check.pagemap(p, a + K, { present = true }, "not yet")
	check.eq(p:read(a + K, 1), "A")
	check.eq(u:read(), remove(1, 3))
	check.eq(t:result(), true)
	check.pagemap(p, a + K, { present = false })
	check.pagemap(p, a + 3 * K, { present = true })
	check.eq(u:copy(a + K, ("A"):rep(2 * K)), 2 * K)
end
check.fails("blocked", t:madvise(a + K, 2 * K, "free"))
check.eq(u:read(), remove(1, 3))
check.eq(t:result(), true)
check.pagemap(p, a + K, { present = true }) -- until the memory is needed

-- Those that do not, and remove, which is for files.
check(t:madvise(a, K, "cold"))
check(t:madvise(a + 7 * K, K, "guard_install"))
check(t:madvise(a + 7 * K, K, "guard_remove"))
check.fails("EINVAL", t:madvise(a, K, "remove"))
check.fails("EAGAIN", u:read())

-- One event for each piece that is registered, one after the other.  u u . v v u u u
local v = p:userfaultfd{ features = { "event_remove" } }
check(u:unregister(a + 2 * K, 3 * K))
check(v:register(a + 3 * K, 2 * K, { "missing" }))
check.fails("blocked", t:madvise(a, "32K", "dontneed"))
check.fails("EAGAIN", v:read())
check.eq(u:read(), remove(0, 2))
check.fails("EAGAIN", u:read())
check.fails("blocked", t:result())
check.pagemap(p, a + 2 * K, { present = false })
check.pagemap(p, a + 3 * K, { present = true })
check.eq(v:read(), remove(3, 5))
check.eq(u:read(), remove(5, 8))
check.eq(t:result(), true)
check.pagemap(p, a + 5 * K, { present = false })

-- Without the feature there is no event.
local b = p:mmap{ length = "8K", prot = "rw" }
local w = p:userfaultfd{}
check(w:register(b, "8K", { "missing" }))
check(t:madvise(b, "8K", "dontneed"))
check.fails("EAGAIN", w:read())

-- Closing lets the call go on.
check.fails("blocked", t:madvise(a + 5 * K, K, "dontneed"))
check(u:close())
check.eq(t:result(), true)
