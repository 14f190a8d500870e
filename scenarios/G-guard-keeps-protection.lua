-- G: guard pages over protected memory.  They end its protection, as dontneed does; a guard that goes on saying "protected" is found by the scan for
-- what was not written, and one that is not put over a marker leaves a hole in the guard.
local K <const> = 4096
local p = quire.process()
local a = p:mmap { length = "12K", prot = "rw" }
p:write(a, "page")
p:read(a + K, 1)
local u = p:userfaultfd { features = { "wp_unpopulated" } }
check(u:register(a, "12K", { "wp" }))
check(u:writeprotect(a, "12K", true))
check(p:madvise(a, "12K", "guard_install"))
for i = 0, 2 do
	check.pagemap(p, a + i * K, { present = false, guard = true, uffd_wp = false })
	check.fails("SEGV", p:read(a + i * K, 1))
end
check(p:madvise(a, "12K", "guard_remove"))
for i = 0, 2 do
	check.pagemap(p, a + i * K, { present = false, guard = false, uffd_wp = false })
	check.eq(p:write(a + i * K, "x"), true)
end
check.fails("EAGAIN", u:read())
