-- B3: a COPY whose source is memory of the process may itself have to wait for a page.
local p = quire.process()
local K = 0x1000
local a = p:mmap{ length = "64K", prot = "rw" }
local source = p:mmap{ length = "16K", prot = "rw" }
local u = p:userfaultfd{}
check(u:register(a, "64K", { "missing" }))

-- A source that is there; a source that becomes there by being read.
check(p:write(source, ("S"):rep(K)))
check.eq(u:copy(a, source, K), K)
check.page(p, a, "SSSS")
check.eq(u:copy(a + K, source + K, K), K)
check.page(p, a + K, "\0\0\0\0")

-- A source that is missing: the copy waits, and others can answer.
check.fails("blocked", u:copy(a + 2 * K, a + 8 * K, K))
check.eq(u:read(), { event = "pagefault", address = a + 8 * K, write = false, wp = false, minor = false })
check.pagemap(p, a + 2 * K, { present = false })
check.eq(u:copy(a + 8 * K, ("T"):rep(K)), K)
check.eq(u:result(), K)
check.page(p, a + 2 * K, "TTTT")

-- Who waits for the destination is woken by it then.
local t = p:thread()
check.fails("blocked", t:read(a + 3 * K, 2))
check.eq(u:read().address, a + 3 * K)
check.fails("blocked", u:copy(a + 3 * K, a + 9 * K, K))
check.eq(u:read().address, a + 9 * K)
check.fails("blocked", t:result())
check.eq(u:zeropage(a + 9 * K, K), K)
check.eq(u:result(), K)
check.eq(t:result(), "\0\0")

-- Whoever waits for the destination of one that need not wait goes on as soon as it is done.
check.fails("blocked", t:read(a + 4 * K, 4))
check.eq(u:read().address, a + 4 * K)
check.eq(u:copy(a + 4 * K, source, K), K)
check.eq(t:result(), "SSSS")

-- The source is not pinned: a page that is shared with a child stays so, and memory that may only be written to can be read.
local c = p:fork()
check.pagemap(p, source, { exclusive = false })
check.eq(u:copy(a + 5 * K, source, K), K)
check.pagemap(p, source, { exclusive = false })
check.pagemap(c, source, { exclusive = false })
check(p:mprotect(source, "16K", "w"))
check.eq(u:copy(a + 6 * K, source, K), K)
check.eq(u:copy(a + 7 * K, source + 2 * K, K), K) -- nothing is there yet
check.pagemap(p, source + 2 * K, { present = true, exclusive = false })
check(p:mprotect(source, "16K", "none"))
check.fails("EFAULT", u:copy(a + 10 * K, source, K))

-- A source of several pages, of which some are missing: the copy goes on behind what it has done, and wakes who waits for that only at its end.
check(p:mprotect(source, "16K", "rw"))
check(p:write(source, ("U"):rep(2 * K)))
check(u:register(source, "16K", { "missing" }))
check(p:madvise(source + K, 3 * K, "dontneed"))
local first = p:thread()
check.fails("blocked", first:read(a + 12 * K, 2))
check.eq(u:read().address, a + 12 * K)
check.fails("blocked", u:copy(a + 12 * K, source, 3 * K))
check.eq(u:read().address, source + K)
check.fails("EAGAIN", u:read())
check.page(p, a + 12 * K, "UU")
check.fails("blocked", first:result())
check(u:wake(source + K, K)) -- not filled: it asks again
check.fails("blocked", u:result())
check.eq(u:read().address, source + K)
check(p:madvise(a + 12 * K, K, "dontneed")) -- what is done is not done again
check.eq(u:copy(source + K, ("V"):rep(K)), K)
check.fails("blocked", u:result())
check.eq(u:read().address, source + 2 * K)
check(p:munmap(source + 2 * K, 2 * K))
check(u:wake(source + 2 * K, K))
check.eq({ u:result() }, { nil, "EAGAIN", 2 * K })
check.pagemap(p, a + 12 * K, { present = false })
check.page(p, a + 13 * K, "VV")
check.fails("blocked", first:result())
