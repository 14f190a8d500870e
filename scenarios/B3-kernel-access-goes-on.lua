-- B3, A4, A6: a call that waits for a page goes on where it stopped.  What it did before is done, whatever has become of it meanwhile; what is
-- mapped further on counts as it is when the call comes to it.
local K = 0x1000
local p = quire.process()
local t = p:thread()
local a, u

local function begin(prot)
	if u then
		check(u:close())
		check(p:munmap(a, 8 * K))
	end
	a = p:mmap{ length = "32K", prot = prot or "rw" }
	u = p:userfaultfd{}
	check(u:register(a, 8 * K, { "missing" }))
end
-- The call sleeps at the page, which is now filled.
local function fill(page)
	check.eq(u:read().address, a + page * K)
	check(u:copy(a + page * K, ("C"):rep(K)))
end
local function goes(page)
	check.pagemap(p, a + page * K, { present = false })
end

-- Populate: the first page goes while the call waits for the second.
for _, advice in ipairs{ "populate_read", "populate_write" } do
	begin()
	check.fails("blocked", t:madvise(a, 3 * K, advice))
	fill(0)
	check.fails("blocked", t:result())
	check(p:madvise(a, K, "dontneed"))
	fill(1)
	check.fails("blocked", t:result())
	fill(2)
	check.eq(t:result(), true)
	goes(0)
end

-- What is unmapped before the call comes to it is refused, as is what loses its permission.
begin()
check.fails("blocked", t:madvise(a, 4 * K, "populate_write"))
check(p:munmap(a + K, K))
fill(0)
check.fails("ENOMEM", t:result())
begin()
check.fails("blocked", t:madvise(a, 4 * K, "populate_write"))
check(p:mprotect(a, K, "r"))
check(u:wake(a, K))
check.fails("EINVAL", t:result())

-- mlock has locked its VMAs, and does not do it again.
begin()
check.fails("blocked", t:mlock(a, 2 * K))
fill(0)
check.fails("blocked", t:result())
check(p:munlock(a, K))
check(p:madvise(a, K, "dontneed"))
fill(1)
check.eq(t:result(), true)
check.eq(p:smaps(a).VmFlags:find("lo") == nil, true)
goes(0)

-- A hole that is there when it comes to it is passed over.
begin()
check.fails("blocked", t:mlock(a, 4 * K))
check(p:munmap(a, K))
check(u:wake(a, K))
check.fails("blocked", t:result())
fill(1)
check.fails("blocked", t:result())
check(p:munmap(a + 2 * K, 2 * K))
check(u:wake(a + 2 * K, 2 * K))
check.eq(t:result(), true)

-- It goes on by what the memory allows now: as a reader, as a writer, or not at all.
begin()
check.fails("blocked", t:mlock(a, 3 * K))
check.eq(u:read().write, true)
check(p:mprotect(a, 2 * K, "r"))
check(u:wake(a, K))
check.fails("blocked", t:result())
check.eq(u:read(), { event = "pagefault", address = a, write = false, wp = false, minor = false })
check(p:mprotect(a, 2 * K, "rw"))
check(u:wake(a, K))
check.fails("blocked", t:result())
check.eq(u:read().write, true)
check(p:mprotect(a, K, "none"))
check(u:wake(a, K))
check.fails("ENOMEM", t:result())

-- Transfers: what was moved stays moved, and counts.
begin()
check.fails("blocked", t:syscall_write(a + 0x800, ("s"):rep(2 * K)))
fill(0)
check.fails("blocked", t:result())
check(p:madvise(a, K, "dontneed"))
fill(1)
check.fails("blocked", t:result())
check(p:munmap(a + 2 * K, K))
check(u:wake(a + 2 * K, K))
check.fails("EFAULT", t:result())
goes(0)
check.page(p, a + K, ("s"):rep(16))
begin()
check.fails("blocked", t:syscall_read(a, 2 * K))
fill(0)
check.fails("blocked", t:result())
check(p:madvise(a, K, "dontneed"))
fill(1)
check.eq(t:result(), ("C"):rep(2 * K))
goes(0)
