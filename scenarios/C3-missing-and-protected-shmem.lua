-- C3: file memory that is registered for more than protection: which report comes first, and what the answer installs.
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
	local t = p:thread()
	local function report(offset, wp, minor)
		return { event = "pagefault", address = a + offset, write = true, wp = wp, minor = minor }
	end
	check(u:register(a, "64K", { "missing", "wp" }))
	check(u:writeprotect(a, "64K", true))
	check.eq(look(p, a), "SU")

	-- Missing first.  A copy without WP ends the protection, one with it reports once more.
	check.fails("blocked", t:write(a, "w"))
	check.eq(u:read(), report(0, false, false))
	check.eq(u:copy(a, ("C"):rep(K)), K)
	check.eq(t:result(), true)
	check.eq(look(p, a), shared and "PFE" or "PE")
	check.fails("blocked", t:write(a + K, "w"))
	check.eq(u:read(), report(K, false, false))
	check.eq(u:copy(a + K, ("C"):rep(K), { wp = true }), K)
	check.fails("blocked", t:result())
	check.eq(u:read(), report(K, true, false))
	check.eq(look(p, a + K), shared and "PFUE" or "PUE")
	check(u:writeprotect(a + K, K, false))
	check.eq(t:result(), true)
	check.page(p, a + K, "wC")

	-- What the cache has is not missing: protection is the first report.
	f:write(2 * K, "cached")
	check.fails("blocked", t:write(a + 2 * K, "w"))
	check.eq(u:read(), report(2 * K, true, false))
	check(u:writeprotect(a + 2 * K, K, false))
	check.eq(t:result(), true)
	check.page(p, a + 2 * K, "wached")

	-- A page of zeros goes over a marker of shared memory, where it ends the protection.
	check.eq({ u:zeropage(a + 3 * K, K) }, shared and { K } or { nil, "EEXIST", -17 })
	check.eq(look(p, a + 3 * K), shared and "PFE" or "SU")

	-- Minor before protection, with the same choice.
	check(u:unregister(a, "64K"))
	check(p:madvise(a, "64K", "dontneed"))
	check(u:register(a, "64K", { "minor", "wp" }))
	for i = 8, 11 do
		f:write(i * K, "cached")
	end
	check(u:writeprotect(a + 8 * K, 4 * K, true))
	check.fails("blocked", t:write(a + 8 * K, "w"))
	check.eq(u:read(), report(8 * K, false, true))
	check.eq(u:continue(a + 8 * K, K), K)
	check.eq(t:result(), true)
	check.eq(look(p, a + 8 * K), shared and "PFE" or "PE")
	check.fails("blocked", t:write(a + 9 * K, "w"))
	check.eq(u:read(), report(9 * K, false, true))
	check.eq(u:continue(a + 9 * K, K, { wp = true }), K)
	check.fails("blocked", t:result())
	check.eq(u:read(), report(9 * K, true, false))
	check(u:writeprotect(a + 9 * K, K, false))
	check.eq(t:result(), true)
	check.page(p, a + 9 * K, "wached")
	p:exit()
	f:close()
end
