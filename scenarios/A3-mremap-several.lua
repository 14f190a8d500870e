-- A3: mremap to a given place without a change of size takes several VMAs.
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

local function move(from, old, new, to)
	return p:mremap(at(from), old * page, new * page, { maymove = true, fixed = at(to) })
end
local function set_up()
	clear()
	-- AABB..CC            xxxxxxxxxx
	map(0, 2)
	map(2, 2, "r")
	map(6, 2)
	map(20, 10, "none")
	p:write(at(1), "one")
	p:write(at(6), "six")
end
set_up()
check.eq(move(0, 8, 8, 20), at(20))
check.eq(line(), "20-22rw 22-24r 24-26 26-28rw 28-30", "their holes leave the new place alone")
check.page(p, at(21), "one")
check.page(p, at(26), "six")
set_up()
check.eq(move(1, 6, 6, 21), at(21))
check.eq(line(), "0-1rw 7-8rw 20-21 21-22rw 22-24r 24-26 26-27rw 27-30")
set_up()
check.eq(move(0, 15, 15, 20), at(20), "a hole at the end")
check.eq(line(), "20-22rw 22-24r 24-26 26-28rw 28-30")
set_up()
check.fails("EFAULT", move(4, 4, 4, 20)) -- a hole at the start
check.fails("EFAULT", move(0, 8, 4, 20)) -- another size
check.fails("EFAULT", move(0, 4, 5, 20))
check.eq(line(), "0-2rw 2-4r 6-8rw 20-30", "before the new place is touched")
check.eq(move(0, 8, 2, 20), at(20), "shrinking to what one VMA has")
check.eq(line(), "20-22rw 22-30")
set_up()
check.eq(p:mremap(at(0), 8 * page, 8 * page, { maymove = true }), at(0), "nothing moves unasked")
check.eq(line(), "0-2rw 2-4r 6-8rw 20-30")
