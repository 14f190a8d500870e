-- B3, B5, A3, A4: what mmap, mremap and mprotect fault in when all else is done, where userfaultfd hears of it.
local K = 0x1000
local p = quire.process()
local t = p:thread()

-- mmap: the new memory is registered by someone else while the call waits for its event to be read.
do
	local a = p:mmap{ length = "16K", prot = "rw" }
	local u = p:userfaultfd{ features = { "event_unmap" } }
	local v = p:userfaultfd{}
	check(u:register(a, 4 * K, { "missing" }))
	check.fails("blocked", t:mmap{ length = "16K", prot = "rw", address = a, fixed = true, populate = true })
	check(v:register(a, 4 * K, { "missing" }))
	check.eq(u:read().event, "unmap")
	for page = a, a + 3 * K, K do
		check.fails("blocked", t:result())
		check.eq(v:read().address, page)
		if page == a + 2 * K then -- no error: what is gone is passed over
			check(p:munmap(page, K))
			check(v:wake(page, K))
		else
			check(v:copy(page, ("C"):rep(K)))
		end
		if page == a + K then
			check(p:madvise(a, K, "dontneed"))
		end
	end
	check.eq(t:result(), a)
	check.pagemap(p, a, { present = false })
	check.pagemap(p, a + K, { present = true })
	check(v:close())
end

-- mremap: locked memory grows in place.
local a = p:mmap{ length = "32K", prot = "rw" }
check(p:munmap(a + 4 * K, 4 * K))
check(p:mlock(a, 4 * K))
local u = p:userfaultfd{}
check(u:register(a, 4 * K, { "missing" }))
check.fails("blocked", t:mremap(a, 4 * K, 6 * K, {}))
check.eq(u:read().address, a + 4 * K)
check(u:copy(a + 4 * K, ("C"):rep(K)))
check.fails("blocked", t:result())
check.eq(u:read().address, a + 5 * K)
check(p:madvise(a + 4 * K, K, "dontneed_locked"))
check(u:copy(a + 5 * K, ("C"):rep(K)))
check.eq(t:result(), a)
check.pagemap(p, a + 4 * K, { present = false })
check(u:close())

-- It moves and grows: that is faulted in before the move is told, and until it is told nothing can be filled.
local to = p:mmap{ length = "64K", prot = "none" }
u = p:userfaultfd{ features = { "event_remap", "event_unmap" } }
check(u:register(a, 6 * K, { "missing" }))
check.fails("blocked", t:mremap(a, 6 * K, 8 * K, { maymove = true, fixed = to }))
check.eq(u:read(), { event = "pagefault", address = to + 6 * K, write = true, wp = false, minor = false })
check.fails("EAGAIN", u:zeropage(to + 6 * K, K))
check.fails("EAGAIN", u:read())
check(u:unregister(to, 8 * K))
check.fails("blocked", t:result())
check.eq(u:read().event, "remap")
check.fails("blocked", t:result())
check.eq(u:read().event, "unmap")
check.eq(t:result(), to)
check(u:close())

-- mprotect: locked memory that becomes writable is written to, up to the first page that would be reported.  Nobody hears of it.
for _, mode in ipairs{ "missing", "wp" } do
	a = p:mmap{ length = "16K", prot = "r" }
	check(p:mlock(a, 4 * K))
	u = p:userfaultfd{}
	check(u:register(a, 4 * K, { mode }))
	if mode == "wp" then
		check(u:writeprotect(a, K, true))
	else
		check(p:madvise(a, K, "dontneed_locked"))
	end
	check.eq(t:mprotect(a, 4 * K, "rw"), true)
	check.fails("EAGAIN", u:read())
	check.pagemap(p, a, { present = mode == "wp", uffd_wp = mode == "wp" })
	check.pagemap(p, a + K, { present = true, exclusive = false })
	check(u:close())
end
