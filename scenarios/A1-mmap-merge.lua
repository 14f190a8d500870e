-- A1: a new mapping becomes one with its neighbours, where nothing tells them apart.
quire.setup { memory = "64M" }
local page = 4096
local p = quire.process()
local base = p:mmap { length = "8M", prot = "none" } + 0x100000
p:munmap(base - 0x100000, "8M")

-- Pages are numbered from `base` on; "0-2rw 4-6" are two VMAs, the second without any permission.
local function line(q)
	local vmas = {}
	for _, vma in ipairs((q or p):maps()) do
		local first = (vma.start - base) // page
		if first >= 0 and first < 256 then
			vmas[#vmas + 1] = ("%d-%d%s"):format(first, first + vma.length // page, (vma.prot:gsub("-", "")))
		end
	end
	return table.concat(vmas, " ")
end
local function at(n)
	return base + n * page
end
local function map(n, pages, prot, more)
	local options = more or {}
	options.address, options.length, options.prot, options.fixed = at(n), pages * page, prot or "rw", true
	return check.eq(p:mmap(options), at(n))
end
local function clear()
	p:munmap(base, "1M")
end

-- AA..AA
map(0, 2)
map(4, 2)
check.eq(line(), "0-2rw 4-6rw")
map(2, 2)
check.eq(line(), "0-6rw")
map(2, 2, "r")
check.eq(line(), "0-2rw 2-4r 4-6rw", "permissions do")
map(2, 2, "rw", { noreserve = true })
check.eq(line(), "0-2rw 2-4rw 4-6rw", "flags do")
map(2, 2)
check.eq(line(), "0-6rw")

-- Written to apart from one another (*), two VMAs have pages of different origin; what comes between goes to the first.
for _, case in ipairs {
	-- AA..BB
	{ "", "", "0-6rw" },
	{ "w", "", "0-6rw" },
	{ "", "w", "0-6rw" },
	{ "w", "w", "0-4rw 4-6rw" },
	{ "r", "w", "0-6rw" },
	{ "r", "r", "0-6rw" },
} do
	clear()
	map(0, 2)
	map(4, 2)
	if case[1] ~= "" then
		p:touch(at(0), case[1])
	end
	if case[2] ~= "" then
		p:touch(at(4), case[2])
	end
	map(2, 2)
	check.eq(line(), case[3], "before '" .. case[1] .. "', behind '" .. case[2] .. "'")
end

-- The first page of a VMA takes its origin from a neighbour that differs in permission only; of two, from the next.
clear()
map(0, 6)
p:mprotect(at(2), 2 * page, "rwx")
p:touch(at(0), "w")
p:touch(at(4), "w")
p:touch(at(2), "w")
p:mprotect(at(2), 2 * page, "rw")
check.eq(line(), "0-2rw 2-6rw")
clear()
map(0, 4)
p:mprotect(at(2), 2 * page, "rwx")
p:touch(at(0), "w")
p:touch(at(2), "w")
p:mprotect(at(2), 2 * page, "rw")
check.eq(line(), "0-4rw")

-- After fork the child's pages are of mixed origin: nothing joins them that is not of the same VMA.
clear()
map(0, 4)
map(8, 2)
p:touch(at(0), "w")
local c = p:fork()
map(4, 4)
check.eq(line(), "0-10rw", "the parent's are not")
check.eq(c:mmap { address = at(4), length = 4 * page, prot = "rw", fixed = true }, at(4))
check.eq(line(c), "0-4rw 4-10rw")
c:mprotect(at(1), page, "r")
check.eq(line(c), "0-1rw 1-2r 2-4rw 4-10rw")
c:mprotect(at(1), page, "rw")
check.eq(line(c), "0-4rw 4-10rw")
c:munmap(at(4), 4 * page)
check.eq(c:mremap(at(0), 4 * page, 8 * page), at(0))
check.eq(line(c), "0-10rw", "but they grow")
