-- C16: a page that is copy-on-write and protected: the report comes before the copy, and resolving keeps the copy private.
quire.setup { memory = "64M" }
local p = quire.process()
local a = p:mmap { length = "16K", prot = "rw" }
p:write(a, "shared")
p:read(a + 4096, 1)
local u = p:userfaultfd { features = { "wp_unpopulated" } }
check(u:register(a, "16K", { "wp" }))
local c = p:fork() -- without the event: the child is not registered
check(u:writeprotect(a, "16K", true))
check.pagemap(p, a, { present = true, exclusive = false, uffd_wp = true })

check.fails("blocked", p:write(a, "parent"))
check.pagemap(p, a, { present = true, exclusive = false, uffd_wp = true }, "not copied yet")
check.eq(u:read(), { event = "pagefault", address = a, write = true, wp = true, minor = false })
-- Meanwhile the child writes without a report.
check(c:write(a + 6, "!"))
check(u:writeprotect(a, "4K", false))
check.eq(p:thread_result(), true)
check.page(p, a, "parent\0")
check.page(c, a, "shared!")
check.pagemap(p, a, { exclusive = true, uffd_wp = false })

-- The zero page, and what is not there at all.
for _, at in ipairs { a + 4096, a + 8192 } do
	check.fails("blocked", p:write(at, "x"))
	check.eq(u:read().wp, true)
	check(u:writeprotect(at, "4K", false))
	check.eq(p:thread_result(), true)
	check.page(p, at, "x\0")
	check.eq(c:read(at, 1), "\0")
end

-- Protected while exclusive, shared after that, protected still.
check(u:writeprotect(a, "4K", true))
local d = p:fork()
check.pagemap(p, a, { exclusive = false, uffd_wp = true })
check.pagemap(d, a, { exclusive = false, uffd_wp = false })
check(d:write(a, "child2"))
check.page(p, a, "parent")
check.fails("blocked", p:write(a, "again!"))
check(u:writeprotect(a, "4K", false))
check.eq(p:thread_result(), true)
check.page(d, a, "child2")
