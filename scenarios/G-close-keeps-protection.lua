-- G: protection kept by mistake after close.  Whoever protected the memory is gone; marks that stay are in force for the next context that registers
-- it, on pages that it never protected.
local K <const> = 4096
local p = quire.process()
local a = p:mmap { length = "12K", prot = "rw" }
p:write(a, "page")
p:read(a + K, 1)
local u = p:userfaultfd { features = { "wp_unpopulated" } }
check(u:register(a, "12K", { "wp" }))
check(u:writeprotect(a, "12K", true))
u:close()
for i = 0, 2 do
	check.pagemap(p, a + i * K, { present = i < 2, swapped = false, uffd_wp = false })
end
u = p:userfaultfd { features = { "wp_unpopulated" } }
check(u:register(a, "12K", { "wp" }))
for i = 0, 2 do
	check.eq(p:write(a + i * K, "x"), true)
end
check.fails("EAGAIN", u:read())
