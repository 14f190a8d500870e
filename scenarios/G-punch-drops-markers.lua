-- A hole punch takes the page, and leaves the protection: at no moment may a write slip through.
local K <const> = 0x1000
local p = quire.process()
local f = quire.shmem { size = "16K" }
local a = p:mmap { length = "16K", prot = "rw", shared = true, file = f }
local u = p:userfaultfd {}
check(u:register(a, "16K", { "wp" }))
check(p:write(a, "page"))
check(u:writeprotect(a, 2 * K, true))
check(f:punch(0, "16K"))
for i = 0, 1 do
	check.pagemap(p, a + i * K, { present = false, uffd_wp = true })
	check.fails("blocked", p:write(a + i * K, "w"))
	check.eq(u:read(), { event = "pagefault", address = a + i * K, write = true, wp = true, minor = false })
	check(u:writeprotect(a + i * K, K, false))
	check.eq(p:thread_result(), true)
end
check(p:write(a + 2 * K, "w"))
