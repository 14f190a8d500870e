-- B3: missing faults of file memory: only where the page cache has nothing, and what COPY and ZEROPAGE bring.
local K <const> = 0x1000
local function look(p, a)
	local page, text = p:pagemap(a), ""
	for _, bit in ipairs { "present", "swapped", "file", "uffd_wp", "exclusive", "guard" } do
		text = text .. (page[bit] and bit:sub(1, 1):upper() or "")
	end
	return text
end
for _, shared in ipairs { true, false } do
	local p = quire.process()
	local f = quire.shmem { size = "64K" }
	local a = p:mmap { length = "128K", prot = "rw", shared = shared, file = f }
	local u = p:userfaultfd {}
	local t = p:thread()
	f:write(0, "cached")
	check(u:register(a, "128K", { "missing" }))
	local function fault(offset, write)
		return { event = "pagefault", address = a + offset, write = write, wp = false, minor = false }
	end

	-- What the cache has is no missing page.
	check.page(p, a, "cached")
	check.fails("EAGAIN", u:read())
	check.eq(look(p, a), "PFE")

	-- A read and a write report alike; a copy into shared memory is the file's page.
	check.fails("blocked", t:read(a + K, 1))
	check.eq(u:read(), fault(K, false))
	check.eq(u:copy(a + K, ("C"):rep(K)), K)
	check.eq(t:result(), "C")
	check.fails("blocked", t:write(a + 2 * K, "w"))
	check.eq(u:read(), fault(2 * K, true))
	check.eq(u:copy(a + 2 * K, ("C"):rep(K)), K)
	check.eq(t:result(), true)
	check.page(p, a + 2 * K, "wC")
	check.eq(look(p, a + K), shared and "PFE" or "PE")
	check.eq(f:resident(0, "64K"), shared and 3 or 1)
	check.eq(f:read(K, 1), shared and "C" or "\0")

	-- A page of zeros: the file's, or the common one.
	check.fails("blocked", t:read(a + 3 * K, 1))
	check.eq(u:read(), fault(3 * K, false))
	check.eq(u:zeropage(a + 3 * K, K), K)
	check.eq(t:result(), "\0")
	check.eq(look(p, a + 3 * K), shared and "PFE" or "P")
	check.eq(f:resident(3 * K, K), shared and 1 or 0)

	-- Onto what is there.  Private memory may hide a page of the cache.
	check.fails("EEXIST", u:copy(a, ("D"):rep(K)))
	check.fails("EEXIST", u:zeropage(a + K, K))
	check(p:madvise(a, K, "dontneed"))
	if shared then
		check.fails("EEXIST", u:copy(a, ("D"):rep(K)))
		check.fails("EEXIST", u:zeropage(a, K))
		check.page(p, a, "cached")
	else
		check.eq(u:copy(a, ("D"):rep(K)), K)
		check.page(p, a, "DDDD")
		check.eq(f:read(0, 6), "cached")
	end
	f:write(6 * K, "cached")
	check.eq({ u:copy(a + 5 * K, ("E"):rep(3 * K)) }, shared and { nil, "EAGAIN", K } or { 3 * K })

	-- Behind the end of the file nothing is missing: there is nothing.
	check.eq({ t:read(a + 16 * K, 1) }, { nil, "BUS", "ADRERR" })
	check.eq({ u:copy(a + 16 * K, ("C"):rep(K)) }, { nil, "EFAULT", -14 })
	check.eq({ u:zeropage(a + 16 * K, K) }, { nil, "EFAULT", -14 })
	check.eq({ u:poison(a + 16 * K, K) }, { nil, "EFAULT", -14 })
	check.eq({ u:continue(a + 16 * K, K) }, { nil, "EINVAL", -22 })
	check.fails("EAGAIN", u:read())

	-- The file's own interface never reports; a punched page is missing again.
	check.eq(f:read(10 * K, 1), "\0")
	check(f:write(10 * K, "now"))
	check.page(p, a + 10 * K, "now")
	check(f:punch(10 * K, K))
	check.fails("blocked", t:read(a + 10 * K, 1))
	check.eq(u:read(), fault(10 * K, false))
	-- Another process fills the page meanwhile: a wake is enough.
	f:write(10 * K, "theirs")
	check(u:wake(a + 10 * K, K))
	check.eq(t:result(), "t")

	-- The kernel's accesses report too.
	check.fails("blocked", t:syscall_write(a + 11 * K, "k"))
	check.eq(u:read(), fault(11 * K, true))
	check.eq(u:zeropage(a + 11 * K, K), K)
	check.eq(t:result(), true)

	-- MOVE is for anonymous memory.
	local b = p:mmap { length = "4K", prot = "rw" }
	check(p:write(b, "b"))
	check.fails("EINVAL", u:move(a + 12 * K, b, K))

	-- Poison stands in this mapping only, and outlives a hole in the file.
	check.eq(u:poison(a + 12 * K, K), K)
	check.eq({ p:read(a + 12 * K, 1) }, { nil, "BUS", "ADRERR" })
	check.eq(look(p, a + 12 * K), "S")
	f:write(12 * K, "below")
	check(f:punch(12 * K, K))
	check.eq({ p:read(a + 12 * K, 1) }, { nil, "BUS", "ADRERR" })
	f:write(12 * K, "below")
	check(p:madvise(a + 12 * K, K, "dontneed"))
	check.page(p, a + 12 * K, "below")
	check.fails("EAGAIN", u:read())
	p:exit()
	f:close()
end

-- The page that a missing fault waits for comes by another process's mapping.
local p, q = quire.process(), quire.process()
local f = quire.shmem { size = "4K" }
local a = p:mmap { length = "4K", prot = "rw", shared = true, file = f }
local b = q:mmap { length = "4K", prot = "rw", shared = true, file = f }
local u = p:userfaultfd {}
check(u:register(a, K, { "missing" }))
check.fails("blocked", p:read(a, 1))
check(q:write(b, "q"))
check.eq({ u:copy(a, ("C"):rep(K)) }, { nil, "EEXIST", -17 })
check(u:wake(a, K))
check.eq(p:thread_result(), "q")
