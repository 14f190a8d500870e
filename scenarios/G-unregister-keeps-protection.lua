-- G: protection kept by mistake after unregister.  Marks that stay are in force when the memory is registered again, on pages that nobody has
-- protected since.
local K <const> = 4096
local p = quire.process()
local a = p:mmap { length = "12K", prot = "rw" }
p:write(a, "page")
p:read(a + K, 1)
local u = p:userfaultfd { features = { "wp_unpopulated" } }
check(u:register(a, "12K", { "wp" }))
check(u:writeprotect(a, "12K", true))
check(u:unregister(a, "12K"))
for i = 0, 2 do
	check.pagemap(p, a + i * K, { present = i < 2, swapped = false, uffd_wp = false })
end
check(u:register(a, "12K", { "wp" }))
for i = 0, 2 do
	check.eq(p:write(a + i * K, "x"), true)
end
check.fails("EAGAIN", u:read())
