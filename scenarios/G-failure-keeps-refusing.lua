-- G: a call that failed and left the context refusing.  From an event's making until it is read the context answers EAGAIN to who would change memory;
-- if the call then fails there is no event, and nobody to read it, and every answer is EAGAIN for ever.  Most to the point with allocations failing
-- (--fail-sweep).
local K <const> = 4096
quire.needs("commit_limit")
local p = quire.process()
local t = p:thread()
local u = p:userfaultfd { features = { "event_fork", "event_remap", "event_unmap", "event_remove" } }
local a = p:mmap { length = "64K", prot = "rw" }
check(u:register(a, "64K", { "missing", "wp" }))
local page = 0
local function check_willing(why)
	check.fails("EAGAIN", u:read())
	check.eq(u:copy(a + page * K, ("c"):rep(K)), K, why)
	check.eq(u:writeprotect(a + page * K, K, true), true, why)
	page = page + 1
end

-- Refused from the start.
check.fails("EINVAL", p:mremap(a, "4K", "4K", { maymove = true, fixed = a + 1 }))
check.fails("ENOMEM", p:mremap(a, "4K", "1T"))
check.fails("ENOMEM", p:mremap(a, "4K", 1 << 46, { maymove = true }))
check.fails("EINVAL", p:munmap(a + 1, "4K"))
check.fails("EINVAL", p:madvise(a, "4K", "remove"))
check_willing("refused")

-- Done, perhaps at the second attempt.
local to = p:mmap { length = "8K", prot = "none" }
check.fails("blocked", t:mremap(a + 12 * K, "8K", "8K", { maymove = true, fixed = to }))
check.eq(u:read(), { event = "remap", from = a + 12 * K, to = to, length = 2 * K })
check.fails("blocked", t:result())
check.eq(u:read(), { event = "unmap", start = a + 12 * K, finish = a + 14 * K })
check.eq(t:result(), to)
check_willing("mremap")
check.fails("blocked", t:munmap(a + 9 * K, "4K"))
check.eq(u:read(), { event = "unmap", start = a + 9 * K, finish = a + 10 * K })
check.eq(t:result(), true)
check_willing("munmap")
check.fails("blocked", t:madvise(a, "4K", "dontneed"))
check.eq(u:read(), { event = "remove", start = a, finish = a + K })
check.eq(t:result(), true)
check_willing("madvise")
check.fails("blocked", t:fork())
check.eq(u:read().event, "fork")
check(t:result())
check_willing("fork")
