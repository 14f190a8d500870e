-- B4: minor faults: the page is in the cache, but not mapped; CONTINUE maps it.
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
	for i = 0, 7 do
		f:write(i * K, "page" .. i)
	end
	local a = p:mmap { length = "128K", prot = "rw", shared = shared, file = f }
	local u = p:userfaultfd {}
	local t = p:thread()
	check(u:register(a, "128K", { "minor", "wp" }))
	local function fault(offset, write)
		return { event = "pagefault", address = a + offset, write = write, wp = false, minor = true }
	end

	-- A read.
	check.fails("blocked", t:read(a, 5))
	check.eq(u:read(), fault(0, false))
	check.eq(look(p, a), "")
	check.eq(u:continue(a, K), K)
	check.eq(t:result(), "page0")
	check.eq(look(p, a), "PFE")
	check.eq(look(p, a + K), "") -- no neighbour was mapped

	-- A write, into the file or into a copy.
	check.fails("blocked", t:write(a + K, "PAGE"))
	check.eq(u:read(), fault(K, true))
	check.eq(u:continue(a + K, K), K)
	check.eq(t:result(), true)
	check.page(p, a + K, "PAGE1")
	check.eq(f:read(K, 5), shared and "PAGE1" or "page1")
	check.eq(look(p, a + K), shared and "PFE" or "PE")

	-- Protected at once.
	check.fails("blocked", t:write(a + 2 * K, "PAGE"))
	check.eq(u:read(), fault(2 * K, true))
	check.eq(u:continue(a + 2 * K, K, { wp = true }), K)
	check.fails("blocked", t:result())
	check.eq(u:read(), { event = "pagefault", address = a + 2 * K, write = true, wp = true, minor = false })
	check.eq(look(p, a + 2 * K), "PFUE")
	check.eq(f:read(2 * K, 5), "page2")
	check(u:writeprotect(a + 2 * K, K, false))
	check.eq(t:result(), true)
	check.page(p, a + 2 * K, "PAGE2")

	-- What the cache does not have is no minor fault, and without "missing" no fault to report.
	check.eq(p:read(a + 8 * K, 1), "\0")
	check.fails("EAGAIN", u:read())
	check.eq({ u:continue(a + 9 * K, K) }, { nil, "EFAULT", -14 })

	-- What is mapped already; progress up to there; several at once.
	check.eq({ u:continue(a, K) }, { nil, "EEXIST", -17 })
	check.eq(u:continue(a + 3 * K, 2 * K), 2 * K)
	check.eq({ u:continue(a + 7 * K, 4 * K) }, { nil, "EAGAIN", K })
	check.eq({ u:continue(a + 5 * K, 3 * K) }, { nil, "EAGAIN", 2 * K })
	check.page(p, a + 5 * K, "page5")

	-- Bad requests.
	check.fails("EINVAL", u:continue(a + 1, K))
	check.fails("EINVAL", u:continue(a, 1))
	check.fails("EINVAL", u:continue(a, 0))
	check.fails("EINVAL", u:continue(a, K, { mode = 4 }))
	check.eq({ u:continue(a + 16 * K, K) }, { nil, "EINVAL", -22 }) -- behind the end of the file
	check.eq({ u:continue(a + 32 * K, K) }, { nil, "ENOENT", -2 })
	check(u:unregister(a, "128K"))
	check.eq({ u:continue(a + 5 * K, K) }, { nil, "ENOENT", -2 })

	-- Without WP mode there is no protecting; what else the range is registered for does not matter.
	check(p:madvise(a, "64K", "dontneed"))
	check(u:register(a, "64K", { "minor" }))
	check.eq({ u:continue(a, K, { wp = true }) }, { nil, "EINVAL", -22 })
	check(u:unregister(a, "64K"))
	check(u:register(a, "64K", { "missing" }))
	check.eq(u:continue(a, K), K)
	check.eq(look(p, a), "PFE")

	-- COPY gives private memory a page of its own; the cache's page is in the way of shared memory.
	check(u:register(a, "64K", { "minor" }))
	check.eq({ u:copy(a + 4 * K, ("C"):rep(K)) }, shared and { nil, "EEXIST", -17 } or { K })

	-- Missing and minor: each fault is what it is.
	check(u:register(a, "64K", { "missing", "minor" }))
	check.fails("blocked", t:read(a + 6 * K, 1))
	check.eq(u:read(), fault(6 * K, false))
	check.eq(u:continue(a + 6 * K, K, { dontwake = true }), K)
	check.eq({ t:result() }, { nil, "blocked" })
	check(u:wake(a + 6 * K, K))
	check.eq(t:result(), "p")
	check.fails("blocked", t:read(a + 12 * K, 1))
	check.eq(u:read(), { event = "pagefault", address = a + 12 * K, write = false, wp = false, minor = false })
	check.eq(u:zeropage(a + 12 * K, K), K)
	check.eq(t:result(), "\0")

	-- The kernel's access waits as well.
	check.fails("blocked", t:syscall_read(a + 7 * K, 5))
	check.eq(u:read(), fault(7 * K, false))
	check.eq(u:continue(a + 7 * K, K), K)
	check.eq(t:result(), "page7")
	p:exit()
	f:close()
end

-- Anonymous memory has no cache, also where it is registered; a page in swap is not in the cache either.
local p = quire.process()
local a = p:mmap { length = "4K", prot = "rw" }
local u = p:userfaultfd {}
check(u:register(a, K, { "missing", "wp" }))
check.eq({ u:continue(a, K) }, { nil, "EINVAL", -22 })

-- A post-copy: one process fills the file while the other waits.
local f = quire.shmem { size = "8K" }
local q = quire.process()
local to = p:mmap { length = "8K", prot = "rw", shared = true, file = f }
local from = q:mmap { length = "8K", prot = "rw", shared = true, file = f }
check(u:register(to, 2 * K, { "missing", "minor" }))
check.fails("blocked", p:read(to + K, 4))
check.eq(u:read().minor, false)
check(q:write(from + K, "late"))
check.eq(u:continue(to + K, K), K)
check.eq(p:thread_result(), "late")

-- A page that was only allocated counts as resident when CONTINUE has used it, not when its fault has been reported.
do
	local f = quire.shmem { size = 8192 }
	check(f:allocate(0, 4096))
	check(f:allocate(4096, 4096))
	local p, other = quire.process(), quire.process()
	local a = p:mmap { file = f, length = 8192, prot = "rw" }
	local b = other:mmap { file = f, length = 8192, prot = "rw" }
	local u = p:userfaultfd {}
	check(u:register(a, 8192, { "minor" }))
	local t = p:thread()
	check.fails("blocked", t:read(a, 1))
	check.eq(other:mincore(b, 8192), { false, false })
	check.eq(u:continue(a, 4096), 4096)
	check.eq(other:mincore(b, 8192), { true, false })
	check.eq(t:result(), "\0")
end
