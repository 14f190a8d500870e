-- G: a mark lost to a read.  Protected memory without a page has a marker; the read that puts the page of zeros in its place must hand the mark on, or
-- the write after it is not reported.
local K <const> = 4096
local p = quire.process()
local a = p:mmap { length = "8K", prot = "rw" }
local u = p:userfaultfd { features = { "wp_unpopulated" } }
check(u:register(a, "8K", { "wp" }))
check(u:writeprotect(a, "8K", true))
check.eq(p:read(a, 4), "\0\0\0\0")
check.pagemap(p, a, { present = true, uffd_wp = true })
for _, at in ipairs { a, a + K } do -- and so must the write that makes the page
	check.fails("blocked", p:write(at, "x"))
	check.eq(u:read(), { event = "pagefault", address = at, write = true, wp = true, minor = false })
	check.pagemap(p, at, { present = true, uffd_wp = true })
	check(u:writeprotect(at, K, false))
	check.eq(p:thread_result(), true)
	check.page(p, at, "x\0")
end
