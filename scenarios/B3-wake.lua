-- B3: who is woken, and by what.
local p = quire.process()
local K = 0x1000
local a = p:mmap{ length = "64K", prot = "rw" }
local u = p:userfaultfd{}
check(u:register(a, "64K", { "missing" }))
local t = p:thread()
local page = ("C"):rep(K)
local fault = { event = "pagefault", address = a, write = true, wp = false, minor = false }

-- WAKE without a page: the access faults again, and is reported again.
check.fails("blocked", t:write(a, "x"))
check.eq(u:read(), fault)
check(u:wake(a, K))
check.eq(u:read(), fault)
check.fails("blocked", t:result())

-- WAKE of other pages.
check(u:wake(a + K, 15 * K))
check.fails("EAGAIN", u:read())
check.fails("EINVAL", u:wake(a, 0))
check.fails("EINVAL", u:wake(a + 1, K))
check(u:wake(1 << 20, K)) -- nothing is there, and nobody waits

-- COPY with DONTWAKE: the page is there, and the thread sleeps on.
check.eq(u:copy(a, page, { dontwake = true }), K)
check.fails("blocked", t:result())
-- A COPY that finds it there does not wake.
check.fails("EEXIST", u:copy(a, page))
check.fails("blocked", t:result())
check.fails("EAGAIN", u:read())
check(u:wake(a, K))
check.eq(t:result(), true)
check.page(p, a, "xCCC")

-- ZEROPAGE with DONTWAKE.
check.fails("blocked", t:write(a + K, "x"))
check.eq(u:read().address, a + K)
check.eq(u:zeropage(a + K, K, { dontwake = true }), K)
check.fails("blocked", t:result())
check(u:wake(a, "64K"))
check.eq(t:result(), true)

-- A COPY that gets only so far wakes for what it has done.  . C
check.eq(u:copy(a + 3 * K, page), K)
check.fails("blocked", t:write(a + 2 * K, "x"))
check.eq({ u:copy(a + 2 * K, page .. page) }, { nil, "EAGAIN", K })
check.eq(t:result(), true)

-- A fault resolved before its report was read: the report is gone.
check.fails("blocked", t:write(a + 4 * K, "x"))
check.eq(u:poll().readable, true)
check.eq(u:copy(a + 4 * K, page), K)
check.eq(t:result(), true)
check.eq(u:poll().readable, false)
check.fails("EAGAIN", u:read())

-- Dropping the page, changing the protection, registering again: nobody is woken.
check.fails("blocked", t:touch(a + 5 * K, "r"))
check(p:madvise(a + 5 * K, K, "dontneed"))
check(p:mprotect(a + 5 * K, K, "r"))
check(p:mprotect(a + 5 * K, K, "rw"))
check(u:register(a, "64K", { "missing" }))
check.fails("blocked", t:result())
check.eq(#u:read_all(), 1)
check.eq(u:copy(a + 5 * K, page), K)
check.eq(t:result(), true)
