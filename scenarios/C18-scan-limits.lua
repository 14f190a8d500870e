-- C18: a scan that protects what it finds, with too little room: only what was told is protected.
local p = quire.process()
local K = 0x1000
local a = p:mmap{ length = "24K", prot = "rw" }
local u = p:userfaultfd{ features = { "wp_async" } }
check(u:register(a, "24K", { "wp" }))
check.eq(#p:scan{ start = a, length = "24K", wp = true }, 1) -- all is protected

local function write()
	for page = 0, 4, 2 do
		check(p:write(a + page * K, "x")) -- x . x . x .
	end
end
local function marks()
	local text = ""
	for page = 0, 5 do
		text = text .. (p:pagemap(a + page * K).uffd_wp and "W" or ".")
	end
	return text
end
local function region(page)
	return { start = a + page * K, length = K, categories = { "written" } }
end
local function scan(options)
	options.start, options.length = a, "24K"
	options.mask, options.report, options.wp = { "written" }, { "written" }, true
	return p:scan(options)
end

write()
check.eq(marks(), ".W.W.W")
local regions, walk_end = scan{ vec_len = 2 }
check.eq(regions, { region(0), region(2) })
check.eq(marks(), "WWWW.W")
check.eq(walk_end, a + 4 * K)

write()
regions, walk_end = scan{ max_pages = 1 }
check.eq(regions, { region(0) })
check.eq(marks(), "WW.W.W")

-- Going on where it ended.
regions = p:scan{ start = walk_end, length = a + 6 * K - walk_end, mask = { "written" },
	report = { "written" }, wp = true }
check.eq(regions, { region(2), region(4) })
check.eq(marks(), "WWWWWW")
check.eq(scan{}, {})
