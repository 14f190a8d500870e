-- E1: a device of one page size: what must fit it, one fault a page, writable from the first read on, the end.
quire.needs("device_dax")
local K <const> = 0x1000
for page, A in pairs { ["4K"] = K, ["2M"] = 2 << 20, ["1G"] = 1 << 30 } do
	local p = quire.process()
	local f = quire.device { size = 2 * A, page = page, kind = "dax" }
	if not f then -- a kernel has what it has
		check.eq(quire.target, "linux")
		goto next
	end
	local function map(options)
		options.length, options.prot, options.file = options.length or A, options.prot or "rw", f
		options.shared = options.shared == nil and true or options.shared
		return p:mmap(options)
	end
	local function there(at)
		return p:pagemap(at, 1)[1].present
	end

	-- Addresses, lengths and offsets are multiples of the page; none is private.
	local a = map {}
	check.eq(a % A, 0, page)
	check(p:munmap(a, A))
	for _, prot in ipairs { "rw", "r", "none" } do
		check.fails("EINVAL", map { shared = false, prot = prot })
	end
	if A > K then
		check.fails("EINVAL", map { length = K })
		check.fails("EINVAL", map { length = A + K })
		check.fails("EINVAL", map { length = A + A // 2 })
		check.fails("EINVAL", map { address = a + K, fixed = true })
		check.fails("EINVAL", map { address = a + A // 2, fixed = true })
		check.fails("EINVAL", map { address = a + K })
		check.fails("EINVAL", map { offset = K })
		check.fails("EINVAL", map { offset = A // 2 })
	end
	check.eq(#p:maps(), 0, page)

	-- One fault is for one page of the device, and nothing counts as resident.
	a = map { length = 2 * A }
	check(not there(a))
	check.eq(p:read(a + A - 1, 1), "\0", page)
	check(there(a) and there(a + A - K))
	check(not there(a + A))
	check.eq(p:mincore(a, K), { true })
	check.eq(p:mincore(a + A, K), { false })
	if quire.target == "quire" then
		local entry = p:entry(a)
		check.eq({ entry.kind, entry.writable, entry.dirty, entry.young }, { "leaf", true, false, true }, page)
		check.eq(1 << (12 + 9 * entry.level), A)
		local faults = quire.stats().faults
		check(p:write(a, "first"))
		check.eq(quire.stats().faults, faults, "a write to what was read needs no fault")
		check(p:entry(a).dirty)
		check.eq(p:tables().bytes, (4 - p:entry(a).level) * K, "no table below the leaf")
	else
		check(p:write(a, "first"))
	end
	check(p:write(a + A + A // 2, "half"))
	check(there(a + A) and there(a + 2 * A - K))
	local rss = p:rss()
	check.eq({ rss.anon, rss.file, rss.shmem, rss.swap }, { 0, 0, 0, 0 }, page)
	local smaps = p:smaps(a)
	check.eq({ smaps.Size, smaps.KernelPageSize, smaps.MMUPageSize }, { 2 * A, A, A }, page)
	check.eq({ smaps.Rss, smaps.Pss, smaps.Referenced, smaps.Anonymous, smaps.Swap, smaps.Locked }, { 0, 0, 0, 0, 0, 0 }, page)

	-- The content is the device's, whichever way it is reached.
	check.eq(f:read(0, 6), "first\0")
	check.eq(f:read(A + A // 2, 4), "half")
	check(f:write(A - 3, "across"))
	check.eq(p:read(a + A - 3, 6), "across")
	check(p:munmap(a, 2 * A))
	local b = map { length = A, offset = A }
	check.eq(p:read(b, 3), "oss")
	check.eq(p:read(b + A // 2, 4), "half")
	check(p:munmap(b, A))

	-- The end: mapped, and not accessible.
	local c = map { length = 3 * A }
	check.eq(p:read(c + A, 3), "oss")
	check.eq({ p:read(c + 2 * A, 1) }, { nil, "BUS", "ADRERR" })
	check.eq({ p:write(c + 3 * A - 1, "x") }, { nil, "BUS", "ADRERR" })
	check(not there(c + 2 * A))
	local d = map { offset = 4 * A }
	check.eq({ p:touch(d, "w") }, { nil, "BUS", "ADRERR" })

	-- What is mapped to be read only is.
	local r = map { prot = "r" }
	check.eq(p:read(r, 5), "first")
	check.eq({ p:write(r, "x") }, { nil, "SEGV", "ACCERR" })
	check.fails("EFAULT", p:syscall_write(r, "x"))
	check(p:mprotect(r, A, "rw"))
	check(p:write(r, "First"))
	check.eq(p:read(c, 5), "First")

	-- Populating and locking fill whole pages; locked it is not.
	local q = map { length = 2 * A, populate = true }
	check(there(q) and there(q + 2 * A - K))
	check(p:munmap(q, 2 * A))
	q = map { length = 2 * A }
	check(p:mlock(q, K))
	check(there(q) and there(q + A - K))
	check(not there(q + A))
	check(p:mlock(q, 2 * A))
	check(there(q + A))
	check.eq(p:smaps(q).Locked, 0)
	for _, vma in ipairs(p:maps()) do
		check(not vma.flags:find("lo"), vma.flags)
	end
	check(p:munlock(q, 2 * A))

	-- The kernel reaches it, too, untouched or not.
	local s = map {}
	check.eq(p:syscall_read(s, 5), "First")
	check(p:syscall_write(s + A // 2, "kernel"))
	check.eq(f:read(A // 2, 6), "kernel")

	-- It is not a file that one could read, cut or fill.
	check.fails("EINVAL", f:truncate(A))
	check.fails("ENODEV", f:punch(0, A))
	check.fails("ENODEV", f:allocate(0, A))
	p:exit()
	::next::
end
