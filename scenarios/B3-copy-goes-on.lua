-- B3: a COPY that waits for its source goes on with the page that it waits for: what it has done before stays done, and the destination
-- is looked at again only when the source is there.
local p = quire.process()
local K = 0x1000
local a = p:mmap{ length = "64K", prot = "rw" }
local source = p:mmap{ length = "16K", prot = "rw" }
local u = p:userfaultfd{ features = { "event_unmap" } }
check(u:register(a, "64K", { "missing" }))
check(u:register(source, "16K", { "missing" }))

local function give(page, letter)
	check.eq(u:read(), { event = "pagefault", address = page, write = false, wp = false, minor = false })
	check.eq(u:copy(page, letter:rep(K)), K)
end

-- One call, that waits for every page; nobody in its destination is woken before its end.
local t = p:thread()
check.fails("blocked", t:read(a, 1))
check.eq(u:read().address, a)
check.fails("blocked", u:copy(a, source, 3 * K))
for page, letter in ipairs { "A", "B", "C" } do
	check.fails("blocked", t:result())
	check.pagemap(p, a + (page - 1) * K, { present = false })
	give(source + (page - 1) * K, letter)
end
check.eq(u:result(), 3 * K)
check.eq(t:result(), "A")
check.page(p, a + 2 * K, "CCCC")

-- What it has done and is lost again is not done again.
check(p:madvise(source, 3 * K, "dontneed"))
check.fails("blocked", u:copy(a + 3 * K, source, 2 * K))
give(source, "D")
check.eq(u:read().address, source + K)
check(p:madvise(a + 3 * K, K, "dontneed"))
check.eq(u:copy(source + K, ("E"):rep(K)), K)
check.eq(u:result(), 2 * K)
check.pagemap(p, a + 3 * K, { present = false })
check.page(p, a + 4 * K, "EEEE")

-- Its source goes, and its destination too: the source is what it misses.
check.fails("blocked", u:copy(a + 8 * K, source + 3 * K, K))
check.eq(u:read().address, source + 3 * K)
check.fails("blocked", t:munmap(a + 8 * K, K))
check.eq(u:read().event, "unmap")
check.eq(t:result(), true)
check.fails("blocked", t:munmap(source + 3 * K, K))
check(u:wake(source + 3 * K, K))
check.fails("EFAULT", u:result())
check.eq(u:read().event, "unmap")
check.eq(t:result(), true)

-- Its destination alone.
check.fails("blocked", u:copy(a + 9 * K, source + 2 * K, K))
check.eq(u:read().address, source + 2 * K)
check.fails("blocked", t:munmap(a + 9 * K, K))
check.eq(u:read().event, "unmap")
check.eq(t:result(), true)
check(u:wake(source + 2 * K, K))
check.fails("blocked", u:result())
give(source + 2 * K, "F")
check.fails("ENOENT", u:result())

-- An event that nobody has read: it finds that out when it has its source.
check(p:madvise(source, K, "dontneed"))
check.fails("blocked", u:copy(a + 12 * K, source, K))
check.eq(u:read().address, source)
check.fails("blocked", t:munmap(a + 15 * K, K))
check(u:wake(source, K))
check.fails("blocked", u:result())
check.eq(u:read().address, source)
check(u:unregister(source, K))
check.fails("EAGAIN", u:result())
check.eq(u:read().event, "unmap")
check.eq(t:result(), true)
check.pagemap(p, a + 12 * K, { present = false })
