-- C18, D3: PAGEMAP_SCAN of memory that is not registered: categories, masks, regions. Empty entries are left out by a
-- mask wherever "written" would tell them apart: on Linux that depends on page tables.
local p = quire.process()
local K = 0x1000
local a = p:mmap{ length = "64K", prot = "rw" }
check(p:write(a, ("A"):rep(3 * K)))
check(p:touch(a + 3 * K, "r"))
check(p:madvise(a + 5 * K, 2 * K, "guard_install"))
check(p:write(a + 8 * K, "B"))
check(p:mprotect(a + K, K, "none")) -- A A A Z . G G . B . . .

local function scan(options)
	options.start, options.length = options.start or a, options.length or "64K"
	local regions, walk_end = p:scan(options)
	local text = {}
	for i, region in ipairs(regions) do
		text[i] = (region.start - a) // K .. " " .. region.length // K
		if #region.categories > 0 then
			text[i] = text[i] .. " " .. table.concat(region.categories, "+")
		end
	end
	return table.concat(text, ", "), (walk_end - a) // K
end
local somewhere = { "present", "swapped" } -- anywhere but in empty entries

-- Neighbours that are told the same are one region, across VMAs too.
local all = "0 3 written+present, 3 1 written+present+pfnzero, 5 2 written+swapped+guard, 8 1 written+present"
check.eq({ scan{ anyof = somewhere } }, { all, 16 })
check.eq({ scan{ anyof = somewhere, report = { "present" } } }, { "0 4 present, 5 2, 8 1 present", 16 })
check.eq({ scan{ anyof = somewhere, report = {} } }, { "0 4, 5 2, 8 1", 16 })
check.eq({ scan{ mask = { "pfnzero" } } }, { "3 1 written+present+pfnzero", 16 })
check.eq({ scan{ mask = { "guard" }, report = { "guard" } } }, { "5 2 guard", 16 })
check.eq({ scan{ mask = { "present", "pfnzero" }, inverted = { "pfnzero" }, report = { "pfnzero" } } },
	{ "0 3, 8 1", 16 })
check.eq({ scan{ anyof = { "pfnzero", "guard" }, report = { "guard" } } }, { "3 1, 5 2 guard", 16 })
check.eq({ scan{ mask = { "present" }, inverted = { "present" }, report = { "present" } } }, { "4 4, 9 7", 16 })
check.eq({ scan{ mask = { "wpallowed" } } }, { "", 16 })
check.eq({ scan{ anyof = { "file", "huge", "soft_dirty" } } }, { "", 16 })

-- The walk ends at the first page that there was no room for, not behind the last that there was.
check.eq({ scan{ mask = { "present" }, report = {}, vec_len = 1 } }, { "0 4", 8 })
check.eq({ scan{ mask = { "present" }, report = {}, vec_len = 2 } }, { "0 4, 8 1", 16 })
check.eq({ scan{ mask = { "present" }, report = {}, max_pages = 4 } }, { "0 4", 8 })
check.eq({ scan{ mask = { "present" }, report = {}, max_pages = 3 } }, { "0 3", 3 })
check.eq({ scan{ mask = { "present" }, report = {}, max_pages = 5 } }, { "0 4, 8 1", 16 })
check.eq({ scan{ mask = { "present" }, vec_len = 0, max_pages = 1 } }, { "", 16 })

-- Going on from there.
check.eq({ scan{ start = a + 3 * K, length = 13 * K, mask = { "present" }, report = {} } }, { "3 1, 8 1", 16 })

-- Protecting passes over it all; checking refuses it, but not before it gets there.
check.eq({ scan{ anyof = somewhere, wp = true } }, { "", 16 })
check.fails("EPERM", p:scan{ start = a, length = K, check_wpasync = true })
check.fails("EPERM", p:scan{ start = a, length = K, check_wpasync = true, vec_len = 0 })
check.fails("EPERM", p:scan{ start = a, length = K, wp = true, check_wpasync = true })
check.pagemap(p, a, { present = true, uffd_wp = false })

-- Holes are no pages at all.
check(p:munmap(a + 2 * K, 5 * K)) -- A A _ _ _ _ _ . B . . .
check.eq({ scan{ report = {} } }, { "0 2, 7 9", 16 })
check.eq({ scan{ report = {}, max_pages = 2 } }, { "0 2", 7 })
check.eq({ scan{ start = a + 2 * K, length = 5 * K } }, { "", 7 })
check.eq({ scan{ start = a + 2 * K, length = 5 * K, check_wpasync = true } }, { "", 7 })

-- Bounds: the start is aligned, the end is rounded up, and both lie in the address space.
check.eq({ scan{ length = 0 } }, { "", 0 })
check.eq({ scan{ length = 1 } }, { "0 1 written+present", 1 })
check.eq({ scan{ start = a + 16 * K, length = 0, check_wpasync = true } }, { "", 16 })
check.fails("EINVAL", p:scan{ start = a + 1, length = K })
check.fails("EINVAL", p:scan{ start = a + 1, length = -K })
check.fails("EFAULT", p:scan{ start = a, length = -1 })
check.fails("EFAULT", p:scan{ start = a, length = -K })
check.fails("EFAULT", p:scan{ start = a, length = -K, vec = false, vec_len = 4 })
check.fails("EINVAL", p:scan{ start = a, length = K, vec = false, vec_len = 4 })
check.fails("EFAULT", p:scan{ start = 0x7fffffffe000, length = 2 * K })
check.eq({ p:scan{ start = 0x7ffffffff000, length = 0 } }, { {}, 0x7ffffffff000 })
