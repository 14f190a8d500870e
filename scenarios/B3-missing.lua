-- B3: a missing page. The access is reported once and waits; COPY or ZEROPAGE resolves it.
local p = quire.process()
local a = p:mmap{ length = "64K", prot = "rw" }
local u = p:userfaultfd{}
local K = 0x1000
check(u:register(a, "64K", { "missing" }))

local function fault(page, write)
	return { event = "pagefault", address = a + page * K, write = write, wp = false, minor = false }
end

-- A read.  The address is that of the page.
check.fails("blocked", p:read(a + 8, 4))
check.eq(u:poll(), { readable = true, error = false, hangup = false })
check.eq(u:read(), fault(0, false))
check.fails("EAGAIN", u:read())
check.eq(u:poll(), { readable = false, error = false, hangup = false })
check.fails("blocked", p:thread_result())
check.pagemap(p, a, { present = false, swapped = false })
check.eq(u:copy(a, ("C"):rep(K)), K)
check.eq(p:thread_result(), "CCCC")
check.pagemap(p, a, { present = true, exclusive = true, file = false, uffd_wp = false })
check.eq(p:write(a, "own"), true) -- it came writable

-- A write.
check.fails("blocked", p:write(a + K + 8, "new"))
check.eq(u:read(), fault(1, true))
check.eq(u:copy(a + K, ("D"):rep(K)), K)
check.eq(p:thread_result(), true)
check.page(p, a + K, "DDDDDDDDnewDDDDD")

-- The page of zeros: read through, and then written without another report.
check.fails("blocked", p:read(a + 2 * K, 4))
check.eq(u:read(), fault(2, false))
check.eq(u:zeropage(a + 2 * K, K), K)
check.eq(p:thread_result(), "\0\0\0\0")
check.pagemap(p, a + 2 * K, { present = true, exclusive = false })
check.eq(p:write(a + 2 * K, "x"), true)
check.pagemap(p, a + 2 * K, { present = true, exclusive = true })

-- A write that is given the page of zeros gets its own at once.
check.fails("blocked", p:write(a + 3 * K, "x"))
check.eq(u:read(), fault(3, true))
check.eq(u:zeropage(a + 3 * K, K), K)
check.eq(p:thread_result(), true)
check.fails("EAGAIN", u:read())
check.page(p, a + 3 * K, "x\0\0\0")

-- Over two pages: one report after the other.
check.fails("blocked", p:write(a + 5 * K - 2, "abcd"))
check.eq(u:read(), fault(4, true))
check.eq(u:copy(a + 4 * K, ("E"):rep(K)), K)
check.fails("blocked", p:thread_result())
check.eq(u:read(), fault(5, true))
check.eq(u:copy(a + 5 * K, ("F"):rep(K)), K)
check.eq(p:thread_result(), true)
check.page(p, a + 5 * K - 4, "EEabcdFF")

-- Several pages at once, before anybody asks.
check.eq(u:copy(a + 6 * K, ("G"):rep(3 * K)), 3 * K)
check.eq(p:read(a + 8 * K + K - 1, 1), "G")
check.fails("EAGAIN", u:read())
check.eq(p:rss().anon, 9 * K)

-- A page dropped is missing again.
check(p:madvise(a, K, "dontneed"))
check.fails("blocked", p:touch(a, "w"))
check.eq(u:read(), fault(0, true))
check.eq(u:zeropage(a, K), K)
check.eq(p:thread_result(), true)

-- A range that is not registered any more just faults; so does one that never was.
check(u:unregister(a + 9 * K, K))
check.eq(p:touch(a + 9 * K, "w"), true)
check.fails("blocked", p:touch(a + 10 * K, "w"))
check.eq(u:read(), fault(10, true))
check(u:zeropage(a + 10 * K, K))
check.eq(p:thread_result(), true)

-- Where an access is not allowed, there is nothing to report.
check(p:mprotect(a + 11 * K, K, "r"))
check.fails("SEGV", p:write(a + 11 * K, "x"))
check.fails("EAGAIN", u:read())
