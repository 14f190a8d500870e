-- C7: protecting private anonymous memory where nothing is. By default nothing happens; with WP_UNPOPULATED a
-- marker stands for the page.
local K = 0x1000

local function fault(address)
	return { event = "pagefault", address = address, write = true, wp = true, minor = false }
end

-- Without: passed over.  A later write is not reported.
local p = quire.process()
local a = p:mmap{ length = "16K", prot = "rw" }
local u = p:userfaultfd{}
check(u:register(a, "16K", { "wp" }))
check(u:writeprotect(a, "16K", true))
check.pagemap(p, a, { present = false, swapped = false, uffd_wp = false })
check.eq(p:read(a, 1), "\0")
check.eq(p:write(a, "x"), true)
check.pagemap(p, a, { present = true, uffd_wp = false })
check.eq(p:write(a + K, "x"), true)
check.fails("EAGAIN", u:read())
u:close()

-- With.
p = quire.process()
a = p:mmap{ length = "64K", prot = "rw" }
u = p:userfaultfd{ features = { "wp_unpopulated" } }
check(u:register(a, "64K", { "wp" }))
check(u:writeprotect(a, "32K", true))
check.pagemap(p, a, { present = false, swapped = true, uffd_wp = true, file = false, exclusive = false })
check.pagemap(p, a + 8 * K, { present = false, swapped = false, uffd_wp = false })
check.eq(p:mincore(a, 2 * K), { false, false })
check.eq(p:rss().anon, 0)
check.eq(p:rss().swap, 0)
check.eq(p:smaps(a).Swap, 0)

-- A read gives the page of zeros, still protected; the write is then reported.
check.eq(p:read(a, 1), "\0")
check.pagemap(p, a, { present = true, exclusive = false, uffd_wp = true })
check.fails("EAGAIN", u:read())
check.fails("blocked", p:write(a, "x"))
check.eq(u:read(), fault(a))
check(u:writeprotect(a, K, false))
check.eq(p:thread_result(), true)
check.page(p, a, "x\0\0\0")
check.pagemap(p, a, { present = true, exclusive = true, uffd_wp = false })

-- A write at once is reported, too.
check.fails("blocked", p:write(a + K + 8, "y"))
check.eq(u:read(), fault(a + K))
check(u:writeprotect(a + K, K, false))
check.eq(p:thread_result(), true)
check.page(p, a + K + 8, "y")
check.eq(p:write(a + K, "again"), true)

-- Cleared: an empty entry, and nothing is reported.
check(u:writeprotect(a + 2 * K, 2 * K, false))
check.pagemap(p, a + 2 * K, { present = false, swapped = false, uffd_wp = false })
check.eq(p:read(a + 2 * K, 1), "\0")
check.eq(p:write(a + 3 * K, "z"), true)
check.fails("EAGAIN", u:read())

-- The kernel's accesses: reading finds zeros, writing waits.
check.eq(p:syscall_read(a + 4 * K, 1), "\0")
check.pagemap(p, a + 4 * K, { present = true, uffd_wp = true })
check.fails("blocked", p:syscall_write(a + 5 * K, "k"))
check.eq(u:read(), fault(a + 5 * K))
check(u:writeprotect(a + 5 * K, K, false))
check.eq(p:thread_result(), true)

-- dontneed drops a marker; mprotect keeps it.
check(p:mprotect(a + 6 * K, 2 * K, "none"))
check(p:mprotect(a + 6 * K, 2 * K, "rw"))
check.pagemap(p, a + 6 * K, { uffd_wp = true })
check(p:madvise(a + 6 * K, K, "dontneed"))
check.pagemap(p, a + 6 * K, { present = false, swapped = false, uffd_wp = false })
check.pagemap(p, a + 7 * K, { uffd_wp = true })

-- What is there already is protected as ever.
check(p:write(a + 8 * K, "A"))
check(u:writeprotect(a + 8 * K, 2 * K, true))
check.pagemap(p, a + 8 * K, { present = true, uffd_wp = true })
check.pagemap(p, a + 9 * K, { present = false, uffd_wp = true })

-- Far from any page, where no page table is.
local b = p:mmap{ length = "1G", prot = "rw", noreserve = true }
check(u:register(b, "1G", { "wp" }))
check(u:writeprotect(b, "1G", true))
for _, offset in ipairs{ 0, 0x12345000, 0x3ffff000 } do
	check.pagemap(p, b + offset, { present = false, uffd_wp = true })
	check.eq(p:read(b + offset, 1), "\0")
	check.pagemap(p, b + offset, { present = true, uffd_wp = true })
end
check(u:writeprotect(b + 0x10000000, 0x10000000, false))
check.pagemap(p, b + 0x10000000, { uffd_wp = false })
check.pagemap(p, b + 0x12345000, { present = true, uffd_wp = false })
check.pagemap(p, b + 0x0ffff000, { uffd_wp = true })
check.pagemap(p, b + 0x20000000, { uffd_wp = true })
check.eq(p:rss().anon, 5 * K)
