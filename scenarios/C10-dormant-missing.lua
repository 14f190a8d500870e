-- C10: a marker that lies dormant, in memory that is registered for missing pages only, goes with the first access, before that is reported.
local K = 0x1000
local p = quire.process()
local t = p:thread()
for _, access in ipairs{ "r", "w" } do
	local a = p:mmap{ length = "16K", prot = "rw" }
	local u = p:userfaultfd{ features = { "wp_unpopulated" } }
	check(u:register(a, 4 * K, { "wp" }))
	check(u:writeprotect(a, 4 * K, true))
	check(u:register(a, 4 * K, { "missing" }))
	check.pagemap(p, a + K, { present = false, uffd_wp = true })
	check.fails("blocked", t:touch(a + K, access))
	check.pagemap(p, a, { uffd_wp = true })
	check.pagemap(p, a + K, { present = false, uffd_wp = false })
	check.pagemap(p, a + 2 * K, { uffd_wp = true })
	check.eq(u:read(), { event = "pagefault", address = a + K, write = access == "w", wp = false, minor = false })
	-- Nor does it come back with the registration.
	check(u:register(a, 4 * K, { "missing", "wp" }))
	check(u:zeropage(a + K, K))
	check.eq(t:result(), true)
	check.pagemap(p, a + K, { present = true, uffd_wp = false })
	check(u:close())
end
local a = p:mmap{ length = "16K", prot = "rw" }
local u = p:userfaultfd{ features = { "wp_unpopulated", "sigbus" } }
check(u:register(a, 4 * K, { "wp" }))
check(u:writeprotect(a, 4 * K, true))
check(u:register(a, 4 * K, { "missing" }))
check.fails("BUS", p:touch(a, "r"))
check.pagemap(p, a, { uffd_wp = false })
check.pagemap(p, a + K, { uffd_wp = true })
-- The kernel's accesses are no others.
check.fails("EFAULT", p:syscall_read(a + K, 1))
check.pagemap(p, a + K, { uffd_wp = false })
