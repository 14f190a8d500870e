-- B5: mremap moves several VMAs, but no registered one among them; a shrinking move tells of the move first.  A piece of madvise that was
-- split while its message waited is done as far as it goes, and the rest is told again.
local p = quire.process()
local K = 0x1000
local a = p:mmap{ length = "64K", prot = "rw" }
local b = p:mmap{ length = "64K", prot = "rw" }
local u = p:userfaultfd{ features = { "event_remap", "event_unmap", "event_remove" } }
local t = p:thread()
check(u:register(a, 4 * K, { "missing" }))
check.fails("EFAULT", p:mremap(a, 8 * K, 8 * K, { maymove = true, fixed = b }))
check.fails("blocked", t:mremap(a, 3 * K, K, { maymove = true, fixed = b }))
check.eq(u:read(), { event = "remap", from = a, to = b, length = K })
check.fails("blocked", t:result())
check.eq(u:read(), { event = "unmap", start = a + K, finish = a + 3 * K })
check.fails("blocked", t:result())
check.eq(u:read(), { event = "unmap", start = a, finish = a + K })
check.eq(t:result(), b)

check(u:register(a + 8 * K, 4 * K, { "wp" }))
check.fails("blocked", t:madvise(a + 8 * K, 4 * K, "dontneed"))
check(u:register(a + 10 * K, 2 * K, { "missing" }))
check.eq(u:read(), { event = "remove", start = a + 8 * K, finish = a + 12 * K })
check.fails("blocked", t:result())
check.eq(u:read(), { event = "remove", start = a + 10 * K, finish = a + 12 * K })
check.eq(t:result(), true)
