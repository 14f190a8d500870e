-- C18, D3: PAGEMAP_SCAN: which pages match, what is reported of them, and where a walk ends.
local p = quire.process()
local K = 0x1000
local a = p:mmap{ length = "64K", prot = "rw" }
local u = p:userfaultfd{} -- registered: whether an empty entry is "written" does not depend on its page table
check(u:register(a, "64K", { "wp" }))
for page = 0, 14, 2 do
	check(p:write(a + page * K, "A")) -- A . A . A . A . A . A . A . A .
end
local stop = a + 16 * K

-- The regions as text: "0 1 present" for one page at 0.
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
local function every(offset, categories)
	local text = {}
	for page = offset, 15, 2 do
		text[#text + 1] = page .. " 1" .. (categories == "" and "" or " " .. categories)
	end
	return table.concat(text, ", ")
end

-- mask: all of them.  inverted: the other way round.  anyof: one is enough.
check.eq({ scan{ mask = { "present" } } }, { every(0, "written+present"), 16 })
check.eq({ scan{ mask = { "present" }, inverted = { "present" } } }, { every(1, "written"), 16 })
check.eq({ scan{ mask = { "present", "written" } } }, { every(0, "written+present"), 16 })
check.eq({ scan{ mask = { "present", "swapped" } } }, { "", 16 })
check.eq({ scan{ anyof = { "present", "swapped" } } }, { every(0, "written+present"), 16 })
check.eq({ scan{ anyof = { "file", "huge", "guard", "soft_dirty", "pfnzero" } } }, { "", 16 })
check.eq({ scan{ mask = { "written" }, anyof = { "present", "swapped" }, inverted = { "present" } } },
	{ every(1, "written"), 16 })

-- report: what is told of them; neighbours of whom the same is told are one region.
check.eq({ scan{ mask = { "present" }, report = { "present" } } }, { every(0, "present"), 16 })
check.eq({ scan{ report = { "written" } } }, { "0 16 written", 16 })
check.eq({ scan{ report = {} } }, { "0 16", 16 })
check.eq({ scan{ report = { "huge" } } }, { "0 16", 16 })
check.eq({ scan{ report = { "present" }, length = 3 * K } }, { "0 1 present, 1 1, 2 1 present", 3 })

-- Room for a few regions, a few pages.
check.eq({ scan{ mask = { "present" }, report = { "present" }, vec_len = 3 } },
	{ "0 1 present, 2 1 present, 4 1 present", 6 })
check.eq({ scan{ mask = { "present" }, report = { "present" }, max_pages = 2 } }, { "0 1 present, 2 1 present", 4 })
check.eq({ scan{ mask = { "present" }, max_pages = 0 } }, { every(0, "written+present"), 16 })
check.eq({ scan{ vec_len = 0 } }, { "", 16 })
check.eq({ scan{ report = { "written" }, max_pages = 5 } }, { "0 5 written", 5 })
check.eq({ scan{ report = { "written" }, max_pages = 5, start = a + 2 * K, length = 14 * K } }, { "2 5 written", 7 })

-- Bounds.
check.eq({ scan{ length = 0 } }, { "", 0 })
check.eq({ scan{ length = 2 * K - 1 } }, { "0 1 written+present, 1 1 written", 2 })
check.fails("EINVAL", p:scan{ start = a + 1, length = K })
check.fails("EFAULT", p:scan{ start = a, length = -K })

-- Holes.
check(p:munmap(a + 4 * K, 4 * K)) -- A . A . _ _ _ _ A . A . A . A .
check.eq({ scan{ report = { "written" } } }, { "0 4 written, 8 8 written", 16 })
check.eq({ scan{ start = a + 4 * K, length = 4 * K } }, { "", 8 })
check.eq({ scan{ start = a + 6 * K, length = 3 * K } }, { "8 1 written+present", 9 })
check.eq({ scan{ start = a + 2 * K, length = 4 * K } }, { "2 1 written+present, 3 1 written", 6 })

-- What is not defined.
check.fails("EINVAL", p:scan{ start = a, length = K, size = 0 })
check.fails("EINVAL", p:scan{ start = a, length = K, size = 88 })
check.fails("EINVAL", p:scan{ start = a, length = K, size = 104 })
check.fails("EINVAL", p:scan{ start = a, length = K, flags = 4 })
check.fails("EINVAL", p:scan{ start = a, length = K, mask = 1 << 9 })
check.fails("EINVAL", p:scan{ start = a, length = K, inverted = 1 << 9 })
check.fails("EINVAL", p:scan{ start = a, length = K, anyof = 1 << 9 })
check.fails("EINVAL", p:scan{ start = a, length = K, report = 1 << 9 })
check.fails("EINVAL", p:scan{ start = a, length = K, vec = false, vec_len = 4 })
