-- C2: what resolves a reported write, and what does not.
local p = quire.process()
local K = 0x1000
local a = p:mmap{ length = "64K", prot = "rw" }
local u = p:userfaultfd{}
local t, v = p:thread(), p:thread()
check(u:register(a, "64K", { "missing", "wp" }))
local fault = { event = "pagefault", address = a, write = true, wp = true, minor = false }

local function protected_page()
	check(p:madvise(a, K, "dontneed"))
	check.eq(u:copy(a, ("A"):rep(K)), K)
	check(u:writeprotect(a, K, true))
	check.fails("blocked", t:write(a, "x"))
	check.eq(u:read(), fault)
end

-- WAKE alone: it faults and is reported again.
protected_page()
check(u:wake(a, K))
check.eq(u:read(), fault)
check.fails("blocked", t:result())
check(u:writeprotect(a, K, false))
check.eq(t:result(), true)

-- DONTWAKE: the page is writable, the thread sleeps on.
protected_page()
check(u:writeprotect(a, K, false, { dontwake = true }))
check.fails("blocked", t:result())
check(u:wake(a, K))
check.eq(t:result(), true)
check.page(p, a, "xAAA")

-- Protecting again, registering again, a COPY onto it: nothing.
protected_page()
check(u:writeprotect(a, K, true))
check(u:register(a, "64K", { "missing", "wp" }))
check.fails("EEXIST", u:copy(a, ("B"):rep(K)))
check.fails("EEXIST", u:zeropage(a, K))
check.fails("blocked", t:result())
check.fails("EAGAIN", u:read())
check.pagemap(p, a, { uffd_wp = true })
check(u:writeprotect(a, K, false))
check.eq(t:result(), true)

-- Two that wait for one page: two reports, one answer.
protected_page()
check.fails("blocked", v:write(a + 1, "y"))
check.eq(u:read_all(), { fault })
check(u:writeprotect(a, K, false))
check.eq(t:result(), true)
check.eq(v:result(), true)
check.page(p, a, "xyAA")

-- The page was dropped meanwhile: clearing wakes, and the write finds nothing there.
protected_page()
check(p:madvise(a, K, "dontneed"))
check.fails("blocked", t:result())
check(u:writeprotect(a, K, false))
check.eq(u:read(), { event = "pagefault", address = a, write = true, wp = false, minor = false })
check.eq(u:zeropage(a, K), K)
check.eq(t:result(), true)
check.page(p, a, "x\0\0\0")

-- The protection of the memory was lowered meanwhile: the write fails then.
protected_page()
check(p:mprotect(a, K, "r"))
check.fails("blocked", t:result())
check(u:writeprotect(a, K, false))
check.eq({ t:result() }, { nil, "SEGV", "ACCERR" })
check(p:mprotect(a, K, "rw"))

-- Un-protecting wakes whoever waits for a missing page, too: it is reported again.
check.fails("blocked", t:touch(a + K, "r"))
check.eq(u:read().wp, false)
check(u:writeprotect(a + K, K, false))
check.eq(u:read(), { event = "pagefault", address = a + K, write = false, wp = false, minor = false })
check(u:writeprotect(a + K, K, true))
check.fails("EAGAIN", u:read())
check.eq(u:zeropage(a + K, K), K)
check.eq(t:result(), true)

-- A missing page answered by COPY with wp: the write is reported a second time, now as protected.
check.fails("blocked", t:write(a + 2 * K, "x"))
check.eq(u:read(), { event = "pagefault", address = a + 2 * K, write = true, wp = false, minor = false })
check.eq(u:copy(a + 2 * K, ("C"):rep(K), { wp = true }), K)
check.eq(u:read(), { event = "pagefault", address = a + 2 * K, write = true, wp = true, minor = false })
check.pagemap(p, a + 2 * K, { present = true, uffd_wp = true })
check(u:writeprotect(a + 2 * K, K, false))
check.eq(t:result(), true)
check.page(p, a + 2 * K, "xCCC")
