-- G: protection kept by mistake at fork.  Without the fork event the child's memory is not registered; marks that come along lie in wait, and are in
-- force when the child registers the memory itself, on pages that it never protected.
local K <const> = 4096
local p = quire.process()
local a = p:mmap { length = "12K", prot = "rw" }
p:write(a, "written")
p:read(a + K, 1)
local u = p:userfaultfd { features = { "wp_unpopulated" } }
check(u:register(a, "12K", { "wp" }))
check(u:writeprotect(a, "12K", true))
local c = p:fork()
for i = 0, 2 do
	check.pagemap(p, a + i * K, { uffd_wp = true })
	check.pagemap(c, a + i * K, { uffd_wp = false })
end
local v = c:userfaultfd { features = { "wp_unpopulated" } }
check(v:register(a, "12K", { "wp" }))
for i = 0, 2 do
	check.eq(c:write(a + i * K, "child"), true)
end
check.fails("EAGAIN", v:read())
