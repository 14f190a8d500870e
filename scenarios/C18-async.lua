-- C18: wp_async. A write clears the mark and goes on; nothing is reported, also for the kernel's writes. It implies
-- markers where nothing is.
local p = quire.process()
local K = 0x1000
local a = p:mmap{ length = "64K", prot = "rw" }
local u = p:userfaultfd{ features = { "wp_async" } }
check(p:write(a, ("A"):rep(2 * K)))
check(u:register(a, "64K", { "wp" }))
check(u:writeprotect(a, 8 * K, true))

local function page(n)
	local region = p:scan{ start = a + n * K, length = K }
	return table.concat(region[1].categories, "+")
end

check.eq(page(0), "wpallowed+present")
check.eq(page(2), "wpallowed+swapped") -- a marker
check.eq(page(8), "wpallowed+written") -- nothing, and not protected

-- Reads keep the mark.
check.eq(p:read(a + K, 1), "A")
check.eq(page(1), "wpallowed+present")
check.eq(p:read(a + 3 * K, 1), "\0")
check.eq(page(3), "wpallowed+present+pfnzero")
check.pagemap(p, a + 3 * K, { present = true, uffd_wp = true })

-- Writes drop it: to a page, to the page of zeros, to a marker; by the process and by the kernel.
check.eq(p:write(a, "x"), true)
check.eq(p:write(a + 3 * K, "x"), true)
check.eq(p:write(a + 2 * K, "x"), true)
check.eq(p:syscall_write(a + K, "x"), true)
check.eq(p:syscall_write(a + 4 * K, "x"), true)
check(p:madvise(a + 5 * K, K, "populate_write"))
for n = 0, 5 do
	check.eq(page(n), "wpallowed+written+present", "page " .. n)
	check.pagemap(p, a + n * K, { uffd_wp = false })
end
check.eq(page(6), "wpallowed+swapped")
check.page(p, a, "xAAA")
check.page(p, a + 2 * K, "x\0\0\0")
check.fails("EAGAIN", u:read())
check.eq(u:poll().readable, false)

-- By request.
check(u:writeprotect(a, 2 * K, true))
check.eq(page(0), "wpallowed+present")
check(u:writeprotect(a, 2 * K, false))
check.eq(page(0), "wpallowed+written+present")

-- Missing pages are reported as ever.
check(u:register(a + 8 * K, 8 * K, { "missing", "wp" }))
check(u:writeprotect(a + 8 * K, 2 * K, true))
check.fails("blocked", p:write(a + 8 * K, "x"))
check.eq(u:read(), { event = "pagefault", address = a + 8 * K, write = true, wp = false, minor = false })
check.eq(u:copy(a + 8 * K, ("C"):rep(K)), K)
check.eq(p:thread_result(), true)
check.eq(page(8), "wpallowed+written+present")
check.fails("blocked", p:write(a + 9 * K, "x"))
check.eq(u:read().wp, false)
check.eq(u:copy(a + 9 * K, ("C"):rep(K), { wp = true }), K)
check.eq(p:thread_result(), true)
check.eq(page(9), "wpallowed+written+present")
check.fails("EAGAIN", u:read())

-- A child has no protection; the parent keeps its own, and its next write is still without a report.
check(u:writeprotect(a, K, true))
local c = p:fork()
check.pagemap(c, a, { present = true, uffd_wp = false })
check.eq(page(0), "wpallowed+present")
check.eq(c:write(a, "child"), true)
check.eq(page(0), "wpallowed+present")
check.eq(p:write(a, "parent"), true)
check.eq(page(0), "wpallowed+written+present")
check.page(c, a, "childA")
