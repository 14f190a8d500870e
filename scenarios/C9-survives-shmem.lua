-- C9: protection of file memory outlives everything that only drops the mapping.
local K <const> = 0x1000
local function look(p, a)
	local page, text = p:pagemap(a), ""
	for _, bit in ipairs { "present", "swapped", "file", "uffd_wp", "exclusive", "guard" } do
		text = text .. (page[bit] and bit:sub(1, 1):upper() or "")
	end
	return text
end
-- What each does to: a protected page, a marker, a page without protection, nothing; on shared and on private memory.
local cases = {
	{ "dontneed", function(p, f, a) check(p:madvise(a, 4 * K, "dontneed")) end, "SU SU  ", "SU SU  " },
	{ "dontneed_locked", function(p, f, a) check(p:madvise(a, 4 * K, "dontneed_locked")) end, "SU SU  ", "SU SU  " },
	{ "cold", function(p, f, a) check(p:madvise(a, 4 * K, "cold")) end, "PFUE SU PFE ", "PUE SU PE " },
	{ "willneed", function(p, f, a) check(p:madvise(a, 4 * K, "willneed")) end, "PFUE SU PFE ", "PUE SU PE " },
	{ "remove", function(p, f, a) p:madvise(a, 4 * K, "remove") end, "SU SU  ", "PUE SU PE " },
	{ "punch", function(p, f, a) check(f:punch(0, 4 * K)) end, "SU SU  ", "PUE SU PE " },
	{ "truncate", function(p, f, a) check(f:truncate(0)) check(f:truncate("64K")) end, "SU SU  ", "SU SU  " },
	{ "truncate elsewhere", function(p, f, a) check(f:truncate(4 * K)) end, "PFUE SU PFE ", "PUE SU PE " },
	{ "allocate", function(p, f, a) check(f:allocate(0, 4 * K)) end, "PFUE SU PFE ", "PUE SU PE " },
	{ "file write", function(p, f, a) check(f:write(0, ("n"):rep(4 * K))) end, "PFUE SU PFE ", "PUE SU PE " },
	{ "mprotect r", function(p, f, a) check(p:mprotect(a, 4 * K, "r")) end, "PFUE SU PFE ", "PUE SU PE " },
	{ "mprotect none", function(p, f, a) check(p:mprotect(a, 4 * K, "none")) end, "PFUE SU PFE ", "PUE SU PE " },
	{ "mlock", function(p, f, a) check(p:mprotect(a, 4 * K, "none")) check.fails("ENOMEM", p:mlock(a, 4 * K)) check(p:munlock(a, 4 * K)) end,
		"PFUE SU PFE ", "PUE SU PE " },
	{ "grow", function(p, f, a) check.eq(p:mremap(a, 8 * K, 12 * K), a) end, "PFUE SU PFE ", "PUE SU PE " },
	{ "shrink", function(p, f, a) check.eq(p:mremap(a, 8 * K, 4 * K), a) end, "PFUE SU PFE ", "PUE SU PE " },
}
for _, case in ipairs(cases) do
	local name, act = case[1], case[2]
	for kind, shared in ipairs { true, false } do
		local p = quire.process()
		local f = quire.shmem { size = "64K" }
		local a = p:mmap { length = "64K", prot = "none" }
		check.eq(p:mmap { length = "32K", prot = "rw", shared = shared, file = f, address = a, fixed = true }, a)
		check(p:munmap(a + 8 * K, 8 * K))
		local u = p:userfaultfd {}
		check(u:register(a, "32K", { "wp" }))
		check(p:write(a, "page"))
		check(p:write(a + 2 * K, "page"))
		check(u:writeprotect(a, 2 * K, true))
		act(p, f, a)
		check.eq(look(p, a) .. " " .. look(p, a + K) .. " " .. look(p, a + 2 * K) .. " " .. look(p, a + 3 * K), case[2 + kind],
			name .. (shared and " shared" or " private"))
		-- The marks are still good: a write reports, on the page and on the marker.
		check(p:mprotect(a, 4 * K, "rw"))
		for i = 0, 1 do
			check.fails("blocked", p:write(a + i * K, "w"))
			check.eq(u:read(), { event = "pagefault", address = a + i * K, write = true, wp = true, minor = false }, name)
			check(u:writeprotect(a + i * K, K, false))
			check.eq(p:thread_result(), true)
		end
		check(p:write(a + 2 * K, "w"))
		check(p:write(a + 3 * K, "w"))
		check.fails("EAGAIN", u:read())
		p:exit()
		f:close()
	end
end

-- Behind the end of the file a mark waits until there is something again.
local p = quire.process()
local f = quire.shmem { size = "8K" }
local a = p:mmap { length = "8K", prot = "rw", shared = true, file = f }
local u = p:userfaultfd {}
check(u:register(a, 2 * K, { "wp" }))
check(p:write(a + K, "page"))
check(u:writeprotect(a + K, K, true))
check(f:truncate(K))
check.eq(look(p, a + K), "SU")
check.eq({ p:write(a + K, "w") }, { nil, "BUS", "ADRERR" })
check.eq(look(p, a + K), "SU")
check(f:truncate(2 * K))
check.fails("blocked", p:write(a + K, "w"))
check.eq(u:read().wp, true)

-- A move with the remap event takes registration, bits and markers along.
p = quire.process()
f = quire.shmem { size = "64K" }
for _, shared in ipairs { true, false } do
	a = p:mmap { length = "64K", prot = "rw", shared = shared, file = f }
	u = p:userfaultfd { features = { "event_remap" } }
	check(u:register(a, "64K", { "wp" }))
	check(p:write(a, "page"))
	check(u:writeprotect(a, 2 * K, true))
	local to = p:mmap { length = "64K", prot = "none" }
	local t = p:thread()
	check.fails("blocked", t:mremap(a, "64K", "64K", { maymove = true, fixed = to }))
	check.eq(u:read(), { event = "remap", from = a, to = to, length = 16 * K })
	check.eq(t:result(), to)
	check.eq(look(p, to) .. " " .. look(p, to + K) .. " " .. look(p, to + 2 * K), shared and "PFUE SU " or "PUE SU ")
	check.fails("blocked", t:write(to + K, "w"))
	check.eq(u:read(), { event = "pagefault", address = to + K, write = true, wp = true, minor = false })
	check(u:writeprotect(to + K, K, false))
	check.eq(t:result(), true)
end
