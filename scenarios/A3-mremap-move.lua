-- A3: mremap to a given place.
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
local function flags(n)
	return p:smaps(at(n)).VmFlags
end

local function move(from, old, new, to)
	return p:mremap(at(from), old * page, new * page, { maymove = true, fixed = at(to) })
end
-- AAAA......
map(0, 4)
for i = 0, 3 do
	p:write(at(i), "page" .. i)
end
check.eq(move(0, 4, 4, 10), at(10))
check.eq(line(), "10-14rw")
check.page(p, at(12), "page2")
check.fails("SEGV", p:read(at(2), 1))
check.eq(move(11, 2, 2, 20), at(20))
check.eq(line(), "10-11rw 13-14rw 20-22rw")
check.page(p, at(20), "page1")
check.page(p, at(21), "page2")
check.eq(move(20, 2, 2, 11), at(11), "back")
check.eq(line(), "10-14rw", "and what was split is one again")

-- What stands at the new place goes.
map(20, 6, "x")
check.eq(move(10, 1, 3, 21), at(21))
check.eq(line(), "11-14rw 20-21x 21-24rw 24-26x")
check.page(p, at(21), "page0")
check.eq(p:read(at(22), 1), "\0")
check.eq(move(11, 3, 1, 30), at(30), "shrinking")
check.eq(line(), "20-21x 21-24rw 24-26x 30-31rw")
check.page(p, at(30), "page1")

-- A VMA without pages is numbered by its new place and merges; one with pages is not, and does not.
clear()
map(0, 2)
map(10, 2)
check.eq(move(10, 2, 2, 2), at(2))
check.eq(line(), "0-4rw")
map(10, 2)
p:touch(at(10), "r")
check.eq(move(10, 2, 2, 4), at(4))
check.eq(line(), "0-6rw", "the page of zeros is none")
map(10, 2)
p:touch(at(10), "w")
check.eq(move(10, 2, 2, 6), at(6))
check.eq(line(), "0-6rw 6-8rw")

-- Moving beside itself: through the source the new VMA reaches what lies beyond.
clear()
map(0, 1)
p:touch(at(0), "w")
map(3, 7)
check.eq(move(4, 2, 2, 1), at(1))
check.eq(line(), "0-4rw 6-10rw")
p:mprotect(at(6), 4 * page, "r")
check.eq(flags(6), "rd mr mw me ac")

-- Copy-on-write goes along.
clear()
map(0, 2)
p:write(at(0), "shared")
local c = p:fork()
check.eq(move(0, 2, 2, 8), at(8))
check.page(c, at(0), "shared")
p:write(at(8), "parent")
check.page(c, at(0), "shared")
check.pagemap(c, at(0), { exclusive = true })
check.eq(p:madvise(at(8), page, "guard_install"), true)
check.eq(move(8, 2, 2, 3), at(3))
check.fails("SEGV", p:read(at(3), 1))
check.pagemap(p, at(3), { guard = true })
check.pagemap(p, at(8), { guard = false })
