-- A4: dontneed and free drop content; cold and pageout keep it.
quire.setup { memory = "64M", swap = 0 }
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

map(0, 8)
for i = 0, 7 do
	p:write(at(i), "page" .. i)
end
check(p:madvise(at(1), 2 * page, "dontneed"))
check.eq(p:read(at(1), 5), "\0\0\0\0\0")
check.page(p, at(0), "page0")
check.page(p, at(3), "page3")
check.pagemap(p, at(2), { present = false })
check(p:madvise(at(3), 2 * page, "cold"))
check(p:madvise(at(3), 2 * page, "pageout"), "without swap")
check.page(p, at(3), "page3")
check.page(p, at(4), "page4")
check(p:madvise(at(5), 2 * page, "free"))
check.page(p, at(5), "page5")
p:write(at(5), "again")
check.page(p, at(5), "again")
check(p:madvise(at(0), 8 * page, "willneed"))
check(p:madvise(at(0), 4097, "dontneed"), "rounded up")
check.pagemap(p, at(1), { present = false })
check.pagemap(p, at(3), { present = true })

-- In one process only.
p:write(at(0), "both")
local c = p:fork()
check(c:madvise(at(0), page, "dontneed"))
check.eq(c:read(at(0), 1), "\0")
check.page(p, at(0), "both")
check.pagemap(p, at(0), { exclusive = true })
