-- C15, A4: a child that inherits protection inherits it for pages and for what is not there, but not that of guard pages and poison.
local p = quire.process()
local K = 0x1000
local a = p:mmap{ length = "16K", prot = "rw" }
local u = p:userfaultfd{ features = { "event_fork", "wp_async", "wp_unpopulated", "poison" } }

check(u:register(a, "16K", { "missing", "wp" }))
check(p:madvise(a, K, "guard_install"))
check.eq(u:poison(a + K, K), K)
check.eq(u:zeropage(a + 2 * K, K), K)
check((p:scan{ start = a, length = 2 * K, wp = true }))
check(u:writeprotect(a + 2 * K, 2 * K, true))
for i, page in ipairs(p:pagemap(a, 4)) do
	check(page.uffd_wp, "page " .. i .. " of the parent")
end

local t = p:thread()
check.fails("blocked", t:fork())
check.eq(u:read().event, "fork")
local c = t:result()
check.pagemap(c, a, { guard = true, uffd_wp = false })
check.pagemap(c, a + K, { swapped = true, guard = false, uffd_wp = false })
check.pagemap(c, a + 2 * K, { present = true, uffd_wp = true })
check.pagemap(c, a + 3 * K, { present = false, uffd_wp = true })
for i, page in ipairs(p:pagemap(a, 4)) do
	check(page.uffd_wp, "page " .. i .. " of the parent, afterwards")
end
check.fails("SEGV", c:touch(a, "r"))
check.fails("BUS", c:touch(a + K, "r"))
