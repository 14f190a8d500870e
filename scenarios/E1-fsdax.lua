-- E1: a file in device memory: leaves as large as alignment, extents and mapping allow; read first, then written; holes; private copies.
quire.needs("device_fsdax")
local K <const>, M <const> = 0x1000, 2 << 20
local at_levels <const> = quire.target == "quire"
for page, leaf in pairs { ["4K"] = K, ["2M"] = M, ["1G"] = 1 << 30 } do
	local A <const> = math.max(leaf, 64 * K)
	local p = quire.process()
	local f = quire.device { size = 4 * A, page = page, kind = "fsdax" }
	if not f then -- a kernel has what it has
		check.eq(quire.target, "linux")
		goto next
	end
	local R <const> = 0x10000000000 + A -- of nobody, aligned
	local function map(length, options)
		options = options or {}
		options.length, options.file, options.fixed, options.address = length, f, true, options.address or R
		options.prot = options.prot or "rw"
		options.shared = options.shared == nil and true or options.shared
		return p:mmap(options)
	end
	local function there(at)
		return p:pagemap(at, 1)[1].present
	end
	local function level(at)
		return at_levels and 1 << (12 + 9 * p:entry(at).level)
	end

	-- A read maps a whole leaf that only can be read, a write one that can be written to.
	local a = map(4 * A)
	check.eq(p:read(a + leaf // 2, 1), "\0", page)
	check(there(a) and there(a + leaf - K))
	check(not there(a + A))
	if at_levels then
		check.eq(level(a), leaf)
		check(not p:entry(a).writable)
	end
	check(p:write(a, "first"))
	check(p:write(a + A, "second"))
	if at_levels then
		check.eq({ level(a), level(a + A), p:entry(a).writable, p:entry(a).dirty, p:entry(a + A).dirty }, { leaf, leaf, true, true, true })
	end
	check.eq(f:read(0, 5), "first")
	check.eq(p:rss().file + p:rss().shmem + p:rss().anon, 0)
	check.eq(p:smaps(a).Rss, 0)
	check(p:munmap(a, 4 * A))

	-- Neither the address, nor the offset, nor the length need fit: then leaves are smaller.
	a = map(2 * A, { address = R + K })
	check.eq(p:read(a, 5), "first")
	check(p:munmap(a, 2 * A))
	a = map(2 * A, { offset = K })
	check.eq(p:read(a + A - K, 6), "second")
	check(not there(a))
	check(p:munmap(a, 2 * A))
	a = map(A + K)
	check.eq(p:read(a, 5), "first")
	check(there(a + leaf - K))
	check.eq(p:read(a + A, 6), "second")
	check(p:munmap(a, A + K))

	-- The end of the file.
	a = map(5 * A)
	check(p:touch(a + 4 * A - 1, "w"))
	check.eq({ p:touch(a + 4 * A, "r") }, { nil, "BUS", "ADRERR" })
	check(p:write(a + 2 * A + 2 * K, "third"))
	check(f:truncate(2 * A + 2 * K + 2))
	check(not there(a + 3 * A))
	check.eq(p:read(a + 2 * A + 2 * K, 6), "th\0\0\0\0")
	check.eq({ p:touch(a + 2 * A + 3 * K, "r") }, { nil, "BUS", "ADRERR" })
	check.eq(p:read(a, 5), "first")
	check(f:truncate(4 * A))
	check.eq(p:read(a + 2 * A + 2 * K, 6), "th\0\0\0\0")
	check.eq(p:read(a + 3 * A, 4), "\0\0\0\0")
	check(p:write(a + 3 * A, "grown"))
	check.eq(f:read(3 * A, 5), "grown")

	-- Holes: zeros, and none any more when they are written to; what is beside them stays.
	check(p:write(a + A + K, "stays"))
	check(f:punch(A, K))
	check.eq(p:read(a + A, 6), ("\0"):rep(6))
	check.eq(f:read(A, 6), ("\0"):rep(6))
	check.eq(p:read(a + A + K, 5), "stays")
	check.eq(level(a + A + K), at_levels and K)
	check(p:write(a + A, "filled"))
	check.eq(f:read(A, 6), "filled")
	check(f:punch(0, A))
	check(not there(a))
	check.eq(p:read(a + leaf - K, 1), "\0")
	check(there(a) or leaf == K)
	check(there(a + leaf - K))
	if at_levels then
		check.eq({ level(a), p:entry(a).writable }, { leaf, false })
	end
	check(p:write(a + A // 2, "again"))
	check.eq(f:read(A // 2, 5), "again")
	check.eq(p:read(a, 4), "\0\0\0\0")
	check(f:write(0, "by the file"))
	check.eq(p:read(a, 11), "by the file")
	check(f:allocate(4 * A, A))
	check(p:write(a + 5 * A - 4, "tail"))
	check.eq(f:read(5 * A - 4, 10), "tail")
	check(p:munmap(a, 5 * A))

	-- Private: the file's pages until one is written to, which is copied alone.
	local b = map(2 * A, { shared = false })
	check.eq(p:read(b, 11), "by the file")
	check(there(b + leaf - K))
	check(p:write(b + 2 * K, "mine"))
	check.eq(f:read(2 * K, 4), "\0\0\0\0")
	check.eq(p:rss().anon, K)
	check.pagemap(p, b + 2 * K, { present = true, file = false })
	check(f:write(0, "changed"))
	check.eq(p:read(b, 7), "changed")
	check.eq(p:read(b + A, 6), "filled")
	check(p:write(b + A, "own"))
	check.eq(p:read(b + A, 6), "ownled")
	check.eq(f:read(A, 6), "filled")
	check(p:madvise(b, 2 * A, "dontneed"))
	check.eq(p:rss().anon, 0)
	check.eq(p:read(b + 2 * K, 4), "\0\0\0\0")
	check.eq(p:read(b + A, 6), "filled")
	f:close()
	check.eq(p:read(b + A, 6), "filled", "mappings outlive the name")
	p:exit()
	::next::
end
