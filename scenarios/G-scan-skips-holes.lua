-- G: the scan's fast path.  PAGEMAP_SCAN has a short way for the question that is asked most, what was written, and a general one for all others; where
-- nothing is populated, and where there is not even a table, they have disagreed.  All ways of asking the same must give the same.
local K <const> = 4096
local M <const> = 1 << 20
local p = quire.process()
local a = (p:mmap { length = "4G", prot = "rw", noreserve = true } + (1 << 30) - 1) & ~((1 << 30) - 1)
local size <const> = 8 * M
local u = p:userfaultfd { features = { "wp_async" } }
check(u:register(a, size, { "wp" }))

-- What was found, as "first+pages" of each stretch, whatever its categories.
local function found(options)
	options.start, options.length = a, size
	local text, stop = {}, nil
	for _, region in ipairs(p:scan(options)) do
		if region.start == stop then
			local first = text[#text]:match("^[^+]+")
			text[#text] = ("%s+%d"):format(first, (region.start + region.length - a) // K - tonumber(first))
		else
			table.insert(text, ("%d+%d"):format((region.start - a) // K, region.length // K))
		end
		stop = region.start + region.length
	end
	return table.concat(text, " ")
end
local function check_found(written, rest, why)
	check.eq(found { mask = { "written" } }, written, why)
	check.eq(found { mask = { "written" }, report = { "written" } }, written, why)
	check.eq(found { anyof = { "written" } }, written, why)
	check.eq(found { mask = { "written", "wpallowed" } }, written, why)
	check.eq(found { anyof = { "written", "huge" }, report = { "present" } }, written, why)
	check.eq(found { mask = { "written", "file" }, inverted = { "file" } }, written, why)
	check.eq(found { mask = { "written" }, inverted = { "written" } }, rest, why)
	check.eq(found { anyof = { "written" }, inverted = { "written" } }, rest, why)
	check.eq(found {}, "0+2048", why)
	check.eq(found { anyof = { "written", "wpallowed" } }, "0+2048", why)
end

check_found("0+2048", "", "nothing is there, no table either")
p:write(a + 3 * M, "x")
check_found("0+2048", "", "one table")
check(u:writeprotect(a + 2 * M, 2 * M, true))
check_found("0+512 1024+1024", "512+512", "a table's span protected")
check(u:writeprotect(a + 5 * M, K, true))
check_found("0+512 1024+256 1281+767", "512+512 1280+1", "one page in a hole")
check.eq(found { mask = { "written" }, report = { "written" }, wp = true, check_wpasync = true }, "0+512 1024+256 1281+767")
check_found("", "0+2048", "everything protected by the scan")
p:write(a + 4 * M - K, "x")
p:write(a + 4 * M, "x")
check_found("1023+2", "0+1023 1025+1023", "written to on both sides of an edge")
check(p:madvise(a + 6 * M, 2 * M, "dontneed"))
check_found("1023+2 1536+512", "0+1023 1025+511", "emptied")
