-- B2: REGISTER on private anonymous memory: the modes, the requests that each lets be made, and the
-- letters that smaps shows.
local p = quire.process()
local a = p:mmap{ length = "16K", prot = "rw" }

local missing = { wake = true, copy = true, zeropage = true, move = true, poison = true }
local wp = { wake = true, copy = true, zeropage = true, move = true, poison = true, writeprotect = true }

local function letters()
	local flags = " " .. p:smaps(a).VmFlags .. " "
	return { um = flags:find(" um ", 1, true) ~= nil, uw = flags:find(" uw ", 1, true) ~= nil,
		ui = flags:find(" ui ", 1, true) ~= nil }
end

-- Which features were asked for does not matter.
for _, features in ipairs{ {}, { "pagefault_flag_wp" }, { "wp_unpopulated" }, { "wp_hugetlbfs_shmem" },
	{ "missing_shmem" }, { "minor_shmem" }, { "wp_async" } } do
	local u = p:userfaultfd{ features = features }
	check.eq(u:register(a, "16K", { "missing" }), missing)
	check.eq(letters(), { um = true, uw = false, ui = false })
	check(u:unregister(a, "16K"))
	check.eq(u:register(a, "16K", { "wp" }), wp)
	check.eq(letters(), { um = false, uw = true, ui = false })
	check(u:unregister(a, "16K"))
	check.eq(u:register(a, "16K", { "missing", "wp" }), wp)
	check.eq(letters(), { um = true, uw = true, ui = false })
	check(u:unregister(a, "16K"))
	check.eq(letters(), { um = false, uw = false, ui = false })

	-- Private anonymous memory has no page cache, hence no minor faults.
	check.fails("EINVAL", u:register(a, "16K", { "minor" }))
	check.fails("EINVAL", u:register(a, "16K", { "missing", "minor" }))
	check.fails("EINVAL", u:register(a, "16K", { "wp", "minor" }))
	check.fails("EINVAL", u:register(a, "16K", { "missing", "wp", "minor" }))
	-- No mode, and one that is none.
	check.fails("EINVAL", u:register(a, "16K", {}))
	check.fails("EINVAL", u:register(a, "16K", 8))
	check.fails("EINVAL", u:register(a, "16K", 9))
	check.eq(letters(), { um = false, uw = false, ui = false })
	u:close()
end

-- The protection of the memory does not matter either.
local u = p:userfaultfd{}
for _, prot in ipairs{ "r", "none", "rwx" } do
	check(p:mprotect(a, "16K", prot))
	check.eq(u:register(a, "16K", { "missing", "wp" }), wp, prot)
	check(u:unregister(a, "16K"))
end

-- Registering again replaces the modes.
check(p:mprotect(a, "16K", "rw"))
check(u:register(a, "16K", { "missing" }))
check(u:register(a, "16K", { "missing" }))
check.eq(letters(), { um = true, uw = false, ui = false })
check(u:register(a, "16K", { "wp" }))
check.eq(letters(), { um = false, uw = true, ui = false })
check(u:register(a, "16K", { "missing", "wp" }))
check.eq(letters(), { um = true, uw = true, ui = false })

-- Closing unregisters.
u:close()
check.eq(letters(), { um = false, uw = false, ui = false })
