-- G: protection lost at a split.  One entry speaks for 2M; when one page of it comes to be there, the entry gives way to a table, and whoever fills
-- that table with nothing has lost the protection of the 511 others.
local K <const> = 4096
local M <const> = 1 << 20
local p = quire.process()
local a = (p:mmap { length = "6M", prot = "rw" } + 2 * M - 1) & ~(2 * M - 1)
local u = p:userfaultfd { features = { "wp_unpopulated" } }
check(u:register(a, "4M", { "wp" }))
check(u:writeprotect(a, "4M", true))
p:read(a + 5 * K, 1) -- by a fault
check(u:writeprotect(a + 3 * M, K, false)) -- by a clearing of a part
for _, at in ipairs { a, a + 4 * K, a + 6 * K, a + 2 * M - K, a + 2 * M, a + 3 * M - K, a + 3 * M + K, a + 4 * M - K } do
	check.pagemap(p, at, { present = false, uffd_wp = true })
end
check.pagemap(p, a + 5 * K, { present = true, uffd_wp = true })
check.pagemap(p, a + 3 * M, { present = false, uffd_wp = false })
check.fails("blocked", p:write(a + 6 * K, "x"))
check.eq(u:read(), { event = "pagefault", address = a + 6 * K, write = true, wp = true, minor = false })
