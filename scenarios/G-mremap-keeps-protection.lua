-- G: protection kept by mistake after mremap.  Without the remap event the registration stays behind, and marks must too: later they would be in force
-- for another context, on pages that it never protected, or be taken for something else.
local K <const> = 4096
local p = quire.process()
local a = p:mmap { length = "12K", prot = "rw" }
local to = p:mmap { length = "12K", prot = "none" }
p:write(a, "page")
p:read(a + K, 1)
local u = p:userfaultfd { features = { "wp_unpopulated" } }
check(u:register(a, "12K", { "wp" }))
check(u:writeprotect(a, "12K", true))
check.eq(p:mremap(a, "12K", "12K", { maymove = true, fixed = to }), to)
for i = 0, 2 do
	check.pagemap(p, to + i * K, { present = i < 2, swapped = false, uffd_wp = false })
end
local v = p:userfaultfd { features = { "wp_unpopulated" } }
check(v:register(to, "12K", { "wp" }))
for i = 0, 2 do
	check.eq(p:write(to + i * K, "x"), true)
end
check.fails("EAGAIN", v:read())
