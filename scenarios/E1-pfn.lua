-- E1: bare frames of a device: leaves by congruence of address, offset and length; nobody reports of them, the kernel keeps away from them.
quire.needs("device_pfn")
local K <const>, M <const> = 0x1000, 2 << 20
local at_levels <const> = quire.target == "quire"
for page, A in pairs { ["4K"] = K, ["2M"] = M, ["1G"] = 1 << 30 } do
	local p = quire.process()
	local f = quire.device { size = 4 * A, page = page, kind = "pfn" }
	if not f then -- a kernel has what it has
		check.eq(quire.target, "linux")
		goto next
	end
	local R <const> = 0x10000000000 + A
	local function map(length, options)
		options = options or {}
		options.length, options.file, options.fixed, options.address = length, f, true, options.address or R
		options.prot = options.prot or "rw"
		options.shared = options.shared == nil and true or options.shared
		return p:mmap(options)
	end
	local function size(at)
		return at_levels and 1 << (12 + 9 * p:entry(at).level)
	end
	local function largest(...)
		return at_levels and math.min(A, ...)
	end

	-- A read maps what can be written to; whatever fits is one leaf.
	local a = map(2 * A)
	check.eq(p:read(a + A // 2, 1), "\0", page)
	check.eq(size(a), largest(A))
	if at_levels then
		check.eq({ p:entry(a).writable, p:entry(a).dirty }, { true, false })
		local faults = quire.stats().faults
		check(p:write(a, "first"))
		check.eq(quire.stats().faults, faults)
	else
		check(p:write(a, "first"))
	end
	check.eq(f:read(0, 5), "first")
	check(p:munmap(a, 2 * A))
	a = map(2 * A, { address = R + K })
	check.eq(p:read(a, 5), "first")
	check.eq(size(a), largest(K))
	check(p:munmap(a, 2 * A))
	a = map(2 * A, { address = R + K, offset = K })
	check.eq({ p:read(a + A - K, 1), size(a + A - K) }, { "\0", largest(A) })
	check.eq({ p:read(a, 1), size(a) }, { "\0", largest(A > M and K or K) })
	check(p:munmap(a, 2 * A))
	if A > M then
		a = map(2 * A, { address = R + M, offset = 0 })
		check.eq({ p:read(a, 5), size(a) }, { "first", largest(M) })
		check(p:munmap(a, 2 * A))
		a = map(A - M)
		check.eq({ p:read(a, 5), size(a) }, { "first", largest(M) })
		check(p:munmap(a, A - M))
	end

	-- Nothing is told of it.
	a = map(2 * A)
	check(p:write(a, "there"))
	check.pagemap(p, a, { present = false, file = false, swapped = false })
	check.eq(p:mincore(a, 2 * K), { false, false })
	check.eq((p:scan { start = a, length = 2 * A }), {})
	check.eq({ p:smaps(a).Rss, p:smaps(a).KernelPageSize, p:rss().anon, p:rss().file, p:rss().shmem }, { 0, K, 0, 0, 0 })
	local flags = p:maps()[1].flags
	for _, flag in ipairs { "sh", "pf", "io", "de", "dd" } do
		check(flags:find(flag), flags)
	end

	-- The kernel has no page to hold.
	check.fails("EFAULT", p:syscall_read(a, 5))
	check.fails("EFAULT", p:syscall_write(a, "x"))
	check.fails("EFAULT", p:pin(a, K))
	check(p:mlock(a, 2 * A))
	check.eq(p:smaps(a).Locked, 0)
	check(not p:maps()[1].flags:find("lo"))
	check.eq(p:read(a, 5), "there")

	-- The end.
	check(p:munmap(a, 2 * A))
	a = map(2 * A, { offset = 3 * A })
	check(p:write(a + A - 1, "z"))
	check.eq({ p:touch(a + A, "r") }, { nil, "BUS", "ADRERR" })
	check.fails("EINVAL", f:truncate(A))
	check.fails("ENODEV", f:punch(0, A))
	check(p:munmap(a, 2 * A))

	-- Private: the first write copies 4K from the device.
	local b = map(2 * A, { shared = false })
	check.eq(p:read(b, 5), "there")
	check.eq(size(b), largest(K))
	check(p:write(b + 2, "copy"))
	check.eq(p:read(b, 6), "thcopy")
	check(p:write(b + A, "X"))
	check.eq(f:read(0, 5), "there")
	check.eq(f:read(A, 1), "\0")
	check.eq(p:smaps(b).Anonymous, 2 * K)
	check.pagemap(p, b, { present = false })
	check(f:write(K, "new"))
	if A > K then
		check.eq(p:read(b + K, 3), "new")
	end
	p:exit()
	::next::
end
