-- C10: what ends the protection of anonymous memory, and what does not.
local K <const> = 4096
local p = quire.process()
local a = p:mmap { length = "64K", prot = "rw" }
local u = p:userfaultfd { features = { "wp_unpopulated" } }
check(u:register(a, "64K", { "wp" }))
-- Page 0 holds something, page 1 the zero page, page 2 nothing; protected before each case.
local function prepare(at)
	check(u:writeprotect(at, 3 * K, false))
	check(p:madvise(at, 3 * K, "dontneed"))
	p:write(at, "page")
	p:read(at + K, 1)
	check(u:writeprotect(at, 3 * K, true))
end
local function look(at)
	local text = ""
	for i = 0, 2 do
		local page = p:pagemap(at + i * K)
		text = text .. (page.guard and "g" or page.uffd_wp and (page.present and "P" or "m") or page.present and "p" or "-")
	end
	return text
end

-- It outlives these.
for _, advice in ipairs { "cold", "free", "willneed", "populate_read", "normal", "dontfork", "dofork" } do
	prepare(a)
	check(p:madvise(a, 3 * K, advice))
	check.eq(look(a), advice == "populate_read" and "PPP" or "PPm", advice)
end
for _, prot in ipairs { "r", "none", "rx", "rw" } do
	prepare(a)
	check(p:mprotect(a, 3 * K, prot))
	check.eq(look(a), "PPm", prot)
	check(p:mprotect(a, 3 * K, "rw"))
	check.eq(look(a), "PPm", prot)
	check.fails("blocked", p:write(a, "x"))
	check(u:writeprotect(a, K, false))
	check.eq(p:thread_result(), true)
	u:read_all()
end

-- And ends with these.
prepare(a)
check(p:madvise(a, 3 * K, "dontneed"))
check.eq(look(a), "---")
prepare(a)
check(p:madvise(a, 3 * K, "guard_install"))
check.eq(look(a), "ggg")
check(p:madvise(a, 3 * K, "guard_remove"))
check.eq(look(a), "---")
prepare(a)
check.eq(u:copy(a + 2 * K, ("c"):rep(K)), K) -- onto the marker, without MODE_WP
check.eq(look(a), "PPp")
prepare(a)
check.eq(u:copy(a + 2 * K, ("c"):rep(K), { wp = true }), K)
check.eq(look(a), "PPP")
prepare(a)
check.eq(u:move(a + 4 * K, a, K), K) -- arrival by MOVE
check.eq(look(a + 4 * K), "p--")
check.eq(look(a), "-Pm")

-- Unmapped and mapped again; moved without the event.
prepare(a)
check(p:munmap(a, 3 * K))
check.eq(p:mmap { address = a, length = 3 * K, prot = "rw", fixed = true }, a)
check.eq(look(a), "---")
prepare(a + 8 * K)
local to = p:mmap { length = "64K", prot = "none" } + 8 * K
check.eq(p:mremap(a + 8 * K, 3 * K, 3 * K, { maymove = true, fixed = to }), to)
check.eq(look(to), "pp-")
check(p:write(to, "free"))

-- Unregistered in part, and closed.
prepare(a + 12 * K)
check(u:unregister(a + 13 * K, K))
check.eq(look(a + 12 * K), "Ppm")
u:close()
check.eq(look(a + 12 * K), "pp-")
check(p:write(a + 12 * K, "free"))
