-- B3: several threads that wait. Each has its report, in the order of their faults; one page wakes all that
-- wait for it.
local p = quire.process()
local K = 0x1000
local a = p:mmap{ length = "64K", prot = "rw" }
local u = p:userfaultfd{ features = { "thread_id" } }
check(u:register(a, "64K", { "missing" }))
local t1, t2, t3, t4 = p:thread(), p:thread(), p:thread(), p:thread()

local function fault(page, write, thread)
	return { event = "pagefault", address = a + page * K, write = write, wp = false, minor = false,
		thread = thread }
end

-- Two on one page: two reports, one answer.
check.fails("blocked", t1:read(a, 1))
check.fails("blocked", t2:write(a + 8, "two"))
check.eq(u:read_all(), { fault(0, false, 1), fault(0, true, 2) })
check.eq(u:copy(a, ("C"):rep(K)), K)
check.eq(t1:result(), "C")
check.eq(t2:result(), true)
check.page(p, a + 6, "CCtwoC")
check.fails("EAGAIN", u:read())

-- Four on four pages, first come first told.
check.fails("blocked", t3:touch(a + 1 * K, "r"))
check.fails("blocked", t1:touch(a + 4 * K, "r"))
check.fails("blocked", t4:touch(a + 2 * K, "w"))
check.fails("blocked", t2:touch(a + 3 * K, "r"))
check.eq(u:read(), fault(1, false, 3))
check.eq(u:read(), fault(4, false, 1))
check.eq(u:poll().readable, true)
check.eq(u:read(), fault(2, true, 4))
check.eq(u:read(), fault(3, false, 2))
check.eq(u:poll().readable, false)

-- Each is woken by its own page.
check.eq(u:zeropage(a + 3 * K, K), K)
check.eq(t2:result(), true)
check.fails("blocked", t1:result())
check.fails("blocked", t3:result())
check.fails("blocked", t4:result())
check(u:zeropage(a + 1 * K, 2 * K))
check.eq(t3:result(), true)
check.eq(t4:result(), true)
check.fails("blocked", t1:result())
check.eq(u:zeropage(a + 4 * K, K), K)
check.eq(t1:result(), true)
check.fails("EAGAIN", u:read())

-- The first thread is number 0.
check.fails("blocked", p:touch(a + 5 * K, "w"))
check.eq(u:read(), fault(5, true, 0))
check.eq(u:zeropage(a + 5 * K, K), K)
check.eq(p:thread_result(), true)

-- What is seen of the process does not wait for them.
check.fails("blocked", t1:touch(a + 6 * K, "w"))
check.eq(p:mincore(a + 5 * K, 2 * K), { true, false })
check.pagemap(p, a + 6 * K, { present = false })
check.eq(p:smaps(a).Rss, 3 * K) -- without pages of zeros
check.eq(p:rss().anon, 3 * K)
check.eq(#p:maps(), 1)
check.eq(p:scan{ start = a + 5 * K, length = K, report = { "present" } },
	{ { start = a + 5 * K, length = K, categories = { "present" } } })
-- Nor does what other threads do.
check.eq(t2:write(a, "busy"), true)
check(t2:mprotect(a, K, "r"))
check.eq(u:zeropage(a + 6 * K, K), K)
check.eq(t1:result(), true)
