-- G: fork need not copy the entries of memory that was never written to, for a fault would make them again.  Not so where they are protected: a fork
-- that looks for pages alone leaves the child's memory without protection.
local K <const> = 4096
local p = quire.process()
local a = p:mmap { length = "16K", prot = "rw" }
p:read(a + K, 1)
local u = p:userfaultfd { features = { "wp_unpopulated", "event_fork" } }
check(u:register(a, "16K", { "wp" }))
check(u:writeprotect(a, "12K", true))
local t = p:thread()
check.fails("blocked", t:fork())
local v = u:read().child
local c = t:result()
for i = 0, 3 do
	check.pagemap(c, a + i * K, { present = i == 1, uffd_wp = i < 3 })
end
check.fails("blocked", c:write(a, "x"))
check.eq(v:read(), { event = "pagefault", address = a, write = true, wp = true, minor = false })
