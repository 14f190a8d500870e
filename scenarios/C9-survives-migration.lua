-- C9: protection outlives migration: the page moves to another frame, and nothing that the process sees changes.  (Linux on one NUMA node has no
-- way to ask for that, and skips.)
local K <const> = 0x1000
for _, kind in ipairs { "anon", "private", "shared" } do
	local p = quire.process()
	local f = kind ~= "anon" and quire.shmem { size = "64K" } or nil
	local a = p:mmap { length = "64K", prot = "rw", shared = kind == "shared", file = f }
	local u = p:userfaultfd { features = { "wp_unpopulated" } }
	check(u:register(a, "64K", { "wp" }))
	for i = 0, 3 do
		check(p:write(a + i * K, "page" .. i))
	end
	check(u:writeprotect(a, 2 * K, true))
	check(u:writeprotect(a + 4 * K, K, true)) -- a marker, which is no page
	local before = p:pagemap(a, "32K")
	check.eq(p:migrate(a, "32K"), 4, kind)
	check.eq(p:pagemap(a, "32K"), before, kind)
	for i = 0, 3 do
		check.page(p, a + i * K, "page" .. i)
	end
	check.fails("blocked", p:write(a, "w"))
	check.eq(u:read(), { event = "pagefault", address = a, write = true, wp = true, minor = false }, kind)
	check(u:writeprotect(a, K, false))
	check.eq(p:thread_result(), true)
	check(p:write(a + 2 * K, "w"))
	check.fails("EAGAIN", u:read())

	-- A pinned page stays where it is.
	local pin = p:pin(a + 2 * K, K)
	check.eq(p:migrate(a, "32K"), 3, kind)
	check(pin:release())
	check.eq(p:migrate(a, "32K"), 4, kind)
	check.eq(p:migrate(a + 8 * K, K), 0, kind)
	p:exit()
	if f then
		f:close()
	end
end
