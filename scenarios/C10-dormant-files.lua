-- C10: protection of memory of files that lies dormant: a page's goes when the page goes, a marker's with the first access.
local K <const> = 4096
for _, shared in ipairs { true, false } do
	for _, how in ipairs { "dontneed", "remove", "truncate", "punch" } do
		local p = quire.process()
		local f = quire.shmem { size = 4 * K }
		check(f:write(0, ("x"):rep(4 * K)))
		local a = p:mmap { length = 4 * K, prot = "rw", shared = shared, file = f }
		local u = p:userfaultfd { features = { "wp_unpopulated" } }
		check(u:register(a, 4 * K, { "wp" }))
		check(p:read(a + K, 1))
		check(p:write(a + 2 * K, "a"))
		check(u:writeprotect(a, 4 * K, true))
		check(u:register(a, 4 * K, { "minor" }))
		if how == "truncate" then
			check(f:truncate(0))
		elseif how == "punch" then
			check(f:punch(0, 4 * K))
		elseif how == "dontneed" or shared then
			check(p:madvise(a, 4 * K, how))
		end
		local kept = (how == "remove" or how == "punch") and not shared -- a copy stays, and in a private mapping there is no "remove"
		check.pagemap(p, a, { uffd_wp = true })
		check.pagemap(p, a + K, { uffd_wp = how == "remove" and not shared })
		check.pagemap(p, a + 2 * K, { uffd_wp = kept })
		check.pagemap(p, a + 3 * K, { uffd_wp = true })
		p:exit()
		f:close()
	end
end

-- The first access clears a marker, even one beyond the end of the file.
local p = quire.process()
local f = quire.shmem { size = 0 }
local a = p:mmap { length = 4 * K, prot = "rw", file = f }
local u = p:userfaultfd {}
check(u:register(a, 4 * K, { "wp" }))
check(u:writeprotect(a, 4 * K, true))
check(u:register(a, 4 * K, { "missing" }))
check.fails("BUS", p:touch(a, "r"))
check.pagemap(p, a, { uffd_wp = false })
check.pagemap(p, a + K, { uffd_wp = true })
check(u:close())

-- A marker in force: in a private mapping a write finds a copy there, protected.
check(f:truncate(4 * K))
local v = p:userfaultfd {}
check(v:register(a, 4 * K, { "wp" }))
check(v:writeprotect(a, 4 * K, true))
check.fails("blocked", p:write(a, "x"))
check.pagemap(p, a, { present = true, file = false, uffd_wp = true })
check.eq(v:read(), { event = "pagefault", address = a, write = true, wp = true, minor = false })
