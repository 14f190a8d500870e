-- C10: what ends the protection of file memory.
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
	local f = quire.shmem { size = "1M" }
	local a = p:mmap { length = "64K", prot = "rw", shared = shared, file = f }
	local u = p:userfaultfd {}
	local page, plain = shared and "PFUE" or "PUE", shared and "PFE" or "PE"
	local function three(at)
		return look(p, at) .. " " .. look(p, at + K) .. " " .. look(p, at + 2 * K)
	end
	-- A protected page, a marker over nothing, a marker over a page of the cache.
	local function prepare(at)
		local offset = at - a
		check(u:writeprotect(at, 3 * K, false))
		check(f:punch(offset, 3 * K))
		check(p:madvise(at, 3 * K, "dontneed"))
		check(p:write(at, "page"))
		f:write(offset + 2 * K, "cached")
		check(u:writeprotect(at, 3 * K, true))
		check.eq(three(at), page .. " SU SU")
	end
	check(u:register(a, "64K", { "wp" }))

	-- COPY without WP onto a marker; with WP it goes on.  The cache's page is in the way of shared memory.
	prepare(a)
	check.eq(u:copy(a + K, ("c"):rep(K)), K)
	check.eq({ u:copy(a + 2 * K, ("c"):rep(K)) }, shared and { nil, "EEXIST", -17 } or { K })
	check.eq(three(a), page .. " " .. plain .. " " .. (shared and "SU" or "PE"))
	check(p:write(a + K, "free"))
	prepare(a)
	check.eq(u:copy(a + K, ("c"):rep(K), { wp = true }), K)
	check.eq(three(a), page .. " " .. page .. " SU")

	-- CONTINUE, too.
	prepare(a)
	check.eq(u:continue(a + 2 * K, K), K)
	check.eq(three(a), page .. " SU PFE")
	check(p:write(a + 2 * K, "free"))
	prepare(a)
	check.eq(u:continue(a + 2 * K, K, { wp = true }), K)
	check.eq(three(a), page .. " SU PFUE")

	-- Unmapped and mapped again; moved without the event.
	prepare(a)
	check(p:munmap(a, 3 * K))
	check.eq(p:mmap { address = a, length = 3 * K, prot = "rw", shared = shared, file = f, fixed = true }, a)
	check.eq(three(a), "  ")
	check.fails("ENOENT", u:writeprotect(a, K, true))
	prepare(a + 4 * K)
	local to = p:mmap { length = "12K", prot = "none" }
	check.eq(p:mremap(a + 4 * K, 3 * K, 3 * K, { maymove = true, fixed = to }), to)
	check.eq(three(to), plain .. "  ")
	check(p:write(to, "free"))
	check(p:write(to + K, "free"))
	check.page(p, to + 2 * K, "cached")

	-- Unregistered in part, registered without WP and with it again, closed.
	prepare(a + 8 * K)
	check(u:unregister(a + 9 * K, K))
	check.eq(three(a + 8 * K), page .. "  SU")
	check(p:write(a + 9 * K, "free"))
	u:close()
	check.eq(three(a + 8 * K), plain .. " " .. plain .. " ")
	check(p:write(a + 8 * K, "free"))
	check.page(p, a + 10 * K, "cached")
	p:exit()
	f:close()
end

-- Registered again without WP: bits and markers are dormant, and revive.
for _, shared in ipairs { true, false } do
	local p = quire.process()
	local f = quire.shmem { size = "64K" }
	local a = p:mmap { length = "64K", prot = "rw", shared = shared, file = f }
	local u = p:userfaultfd {}
	check(u:register(a, "64K", { "wp" }))
	check(p:write(a, "page"))
	check(u:writeprotect(a, 2 * K, true))
	check(u:register(a, "64K", { "missing" }))
	check.eq(look(p, a), shared and "PFUE" or "PUE")
	check.eq(look(p, a + K), "SU")
	check(u:register(a, "64K", { "missing", "wp" }))
	check.fails("blocked", p:write(a, "w"))
	check.eq(u:read(), { event = "pagefault", address = a, write = true, wp = true, minor = false })
	p:exit()
	f:close()
end
