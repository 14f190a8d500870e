-- A4: mlock marks VMAs up to the first hole, then faults everything in.
quire.setup { memory = "64M", execute_only = ({ with = true, without = false })[...] }
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

map(0, 6)
check(p:mlock(at(2) + 5, 2 * page))
check.eq(line(), "0-2rw 2-5rw 5-6rw", "whole pages")
check.eq(flags(2), "rd wr mr mw me lo ac")
check.pagemap(p, at(4), { present = true, exclusive = true })
check.pagemap(p, at(5), { present = false })
check(p:munlock(at(3), page))
check.eq(line(), "0-2rw 2-3rw 3-4rw 4-5rw 5-6rw")
check(p:munlock(at(0), 6 * page))
check.eq(line(), "0-6rw")

-- Permissions: reading where writing is not allowed.
clear()
map(0, 2, "r")
map(2, 2, "w")
map(4, 2, "x")
map(6, 2, "none")
check(p:mlock(at(0), 4 * page))
check.pagemap(p, at(0), { present = true, exclusive = false })
check.pagemap(p, at(2), { present = true, exclusive = true })
if quire.has("execute_only") then -- A8
	check.fails("ENOMEM", p:mlock(at(4), 2 * page))
	check.pagemap(p, at(4), { present = false })
else
	check(p:mlock(at(4), 2 * page))
	check.pagemap(p, at(4), { present = true, exclusive = false })
end
check.fails("ENOMEM", p:mlock(at(6), 2 * page))
check.eq(flags(6), "mr mw me lo")

-- Holes.
clear()
map(0, 2)
map(4, 2)
check.fails("ENOMEM", p:mlock(at(0), 6 * page))
check.eq(flags(0), "rd wr mr mw me lo ac")
check.eq(flags(4), "rd wr mr mw me ac")
check.pagemap(p, at(0), { present = false })
check.fails("ENOMEM", p:mlock(at(2), 4 * page))
check.fails("ENOMEM", p:munlock(at(0), 6 * page))
check.eq(flags(0), "rd wr mr mw me ac")

-- Lengths.
check(p:mlock(at(0), 0))
check(p:mlock(at(50), 0))
check(p:mlock(at(0) + 3, 0), "the page of the address")
check.eq(line(), "0-1rw 1-2rw 4-6rw")
if quire.has("root") then -- for others it is beyond the limit, which is looked at first
	check.fails("EINVAL", p:mlock(at(0), -4096))
end
check.fails("EINVAL", p:munlock(at(0), -4096))
check(p:mlock(at(0), -1), "wraps to nothing")
check.fails("ENOMEM", p:mlock(0x7ffffffff000, page))
