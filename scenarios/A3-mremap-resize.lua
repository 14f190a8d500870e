-- A3: mremap shrinks, and grows in place where it can.
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

-- AAAA..A
map(0, 4)
map(6, 1)
p:write(at(0), "first")
p:write(at(3), "last")
check.eq(p:mremap(at(0), 4 * page, 4 * page), at(0), "the same")
check.eq(p:mremap(at(3), 20 * page, 20 * page), at(3), "whatever follows")
check.fails("ENOMEM", p:mremap(at(0), 4 * page, 7 * page))
check.fails("ENOMEM", p:mremap(at(0), 3 * page, 4 * page)) -- not to the end of the VMA
check.fails("EFAULT", p:mremap(at(0), 5 * page, 6 * page))
check.eq(p:mremap(at(0), 4 * page, 5 * page), at(0))
check.eq(line(), "0-5rw 6-7rw")
check.eq(p:mremap(at(4), page, 2 * page), at(4), "from the middle to the end")
check.eq(line(), "0-7rw", "and they are one")
check.page(p, at(3), "last")
check.eq(p:read(at(5), 1), "\0")

-- Shrinking unmaps the rest, across holes and VMAs.
map(10, 2, "r")
check.eq(p:mremap(at(0), 11 * page, 2 * page), at(0))
check.eq(line(), "0-2rw 11-12r")
check.eq(p:mremap(at(0), 12 * page, 6 * page), at(0), "more than there is")
check.eq(line(), "0-2rw")
check.eq(p:mremap(at(0), 2 * page, 1), at(0))
check.eq(line(), "0-1rw")
check.page(p, at(0), "first")

-- Moving to grow: with the content, and merging where it comes to be.
map(1, 1, "r")
local moved = p:mremap(at(0), page, 3 * page, { maymove = true })
check.eq(line(), "1-2r")
check.page(p, moved, "first")
check.eq(p:read(moved + page, 1), "\0")
check.eq(p:mremap(moved, 3 * page, "2M", { maymove = true }) ~= nil, true)

-- Growing is refused where pages have two origins: it grows all the same, but stays apart.
clear()
map(0, 2)
map(4, 2)
p:touch(at(0), "w")
p:touch(at(4), "w")
check.eq(p:mremap(at(0), 2 * page, 4 * page), at(0))
check.eq(line(), "0-4rw 4-6rw")

-- Locked memory is faulted in.
check(p:mlock(at(4), 2 * page))
check.eq(p:mremap(at(4), 2 * page, 4 * page), at(4))
check.pagemap(p, at(7), { present = true, exclusive = true })
check.eq(p:smaps(at(4)).Locked, 4 * page)
