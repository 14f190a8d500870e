-- C18, D3: guard pages and poison in tracked memory are "written" at first, and a protecting scan marks them as it
-- marks pages. The mark says nothing about access, and WRITEPROTECT neither sets nor clears it.
local p = quire.process()
local K = 0x1000
local a = p:mmap{ length = "32K", prot = "rw" }
local u = p:userfaultfd{ features = { "wp_async" } }
check(p:write(a, "A"))
check(p:madvise(a + K, 2 * K, "guard_install"))
check(u:register(a, "32K", { "wp" }))
check(u:poison(a + 4 * K, K)) -- A G G . X . . .

local function region(first, pages, ...)
	return { start = a + first * K, length = pages * K, categories = { ... } }
end
local function scan(options)
	options.start, options.length = a, "32K"
	return (p:scan(options))
end

check.eq(scan{ wp = true, mask = { "guard" }, max_pages = 1 },
	{ region(1, 1, "wpallowed", "written", "swapped", "guard") })
check.pagemap(p, a + K, { guard = true, swapped = true, uffd_wp = true })
check.pagemap(p, a + 2 * K, { guard = true, swapped = true, uffd_wp = false })
check.eq(scan{ wp = true, mask = { "written" } }, {
	region(0, 1, "wpallowed", "written", "present"),
	region(2, 1, "wpallowed", "written", "swapped", "guard"),
	region(3, 1, "wpallowed", "written"),
	region(4, 1, "wpallowed", "written", "swapped"),
	region(5, 3, "wpallowed", "written"),
})
check.eq(scan{ mask = { "written" } }, {})
check.eq(scan{}, {
	region(0, 1, "wpallowed", "present"),
	region(1, 2, "wpallowed", "swapped", "guard"),
	region(3, 5, "wpallowed", "swapped"),
})

-- They are what they were.
check.fails("SEGV", p:write(a + K, "x"))
check.fails("BUS", p:write(a + 4 * K, "x"))
check.eq(scan{ mask = { "written" } }, {})

-- WRITEPROTECT does not reach the mark.
check(u:writeprotect(a, 8 * K, false))
check.eq(scan{}, {
	region(0, 1, "wpallowed", "written", "present"),
	region(1, 2, "wpallowed", "swapped", "guard"),
	region(3, 1, "wpallowed", "written"),
	region(4, 1, "wpallowed", "swapped"),
	region(5, 3, "wpallowed", "written"),
})

-- dontneed leaves a guard page with its mark; its removal leaves nothing.
check(p:madvise(a, 3 * K, "dontneed"))
check.pagemap(p, a + K, { guard = true, swapped = true, uffd_wp = true })
check(p:madvise(a + K, K, "guard_remove"))
check.eq(scan{ mask = { "written" }, max_pages = 2, report = {} }, { region(0, 2) })
