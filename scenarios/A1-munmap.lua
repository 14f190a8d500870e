-- A1: munmap takes any range, holes included, and splits what lies over its ends.
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

map(0, 10)
p:write(at(2), "two")
p:write(at(5), "five")
check(p:munmap(at(4), page))
check.eq(line(), "0-4rw 5-10rw")
check(p:munmap(at(4), page), "nothing is there")
check(p:munmap(at(3), 3 * page))
check.eq(line(), "0-3rw 6-10rw")
check.fails("SEGV", p:read(at(5), 1))
check.page(p, at(2), "two")
check(p:munmap(at(9), 1), "a byte is a page")
check.eq(line(), "0-3rw 6-9rw")
map(3, 3, "r")
map(10, 2, "x")
check(p:munmap(at(1), 10 * page))
check.eq(line(), "0-1rw 11-12x")

-- What is mapped again is zero.
map(0, 10)
check.eq(p:read(at(2), 3), "\0\0\0")
check.pagemap(p, at(5), { present = false })

-- Refusals change nothing.
check.fails("EINVAL", p:munmap(at(0) + 1, page))
check.fails("EINVAL", p:munmap(at(0), 0))
check.fails("EINVAL", p:munmap(at(0), -1))
check.fails("EINVAL", p:munmap(at(0), -4096))
check.fails("EINVAL", p:munmap(at(0), 0x7ffffffff000))
check.fails("EINVAL", p:munmap(0x7ffffffff000, page))
check.eq(line(), "0-10rw 11-12x")
clear()
check.eq(line(), "")
check.eq(p:rss().anon, 0)
