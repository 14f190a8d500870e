-- C12: a marker whose page is gone, or over which there never was one, is an empty entry to everything but protection.
quire.setup { swap = "64M" }
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
	local a = p:mmap { length = "64K", prot = "rw", shared = shared, file = f }
	local u = p:userfaultfd {}
	check(u:register(a, "64K", { "missing", "wp", "minor" }))
	check(u:writeprotect(a, "64K", true))

	-- It is in no swap, in no memory, and counts for nothing.
	check.eq(look(p, a), "SU")
	check.eq(p:mincore(a, K), { false })
	check.eq({ p:smaps(a).Swap, p:smaps(a).Rss, p:rss().swap }, { 0, 0, 0 })
	for _, advice in ipairs { "willneed", "cold", "pageout", "dontneed" } do
		check(p:madvise(a, K, advice))
		check.eq(look(p, a), "SU", advice)
	end
	check.fails("EINVAL", p:madvise(a, K, "free"))
	if shared then
		check(quire.swapoff())
	end
	check.eq(look(p, a), "SU")

	-- What fills memory.
	check.eq({ u:poison(a, K) }, { nil, "EEXIST", -17 })
	check.eq({ u:zeropage(a, K) }, shared and { K } or { nil, "EEXIST", -17 })
	check.eq(u:copy(a + K, ("C"):rep(K)), K)
	check.eq({ u:continue(a + 2 * K, K) }, { nil, "EFAULT", -14 })
	f:write(3 * K, "cached")
	check.eq(u:continue(a + 3 * K, K), K)
	check.eq(look(p, a + 3 * K), "PFE")
	local b = p:mmap { length = "4K", prot = "rw" }
	check(p:write(b, "b"))
	check.fails("EINVAL", u:move(a + 4 * K, b, K))
	check.eq(look(p, a + 4 * K), "SU")

	-- The kernel's accesses see a missing page.
	check.fails("blocked", p:syscall_read(a + 5 * K, 1))
	check.eq(u:read(), { event = "pagefault", address = a + 5 * K, write = false, wp = false, minor = false })
	check.eq(u:copy(a + 5 * K, ("C"):rep(K), { wp = true }), K)
	check.eq(p:thread_result(), "C")
	check.eq(look(p, a + 5 * K), shared and "PFUE" or "PUE")

	-- A page that came and went.
	check(p:madvise(a + 5 * K, K, shared and "remove" or "dontneed"))
	check.eq(look(p, a + 5 * K), "SU")
	check.fails("blocked", p:read(a + 5 * K, 1))
	check.eq(u:read(), { event = "pagefault", address = a + 5 * K, write = false, wp = false, minor = false })
	check.eq(u:copy(a + 5 * K, ("D"):rep(K)), K)
	check.eq(p:thread_result(), "D")

	-- Unmapped with everything else.
	check(p:munmap(a, "64K"))
	f:close()
	p:exit()
end
