-- A4: guard regions.
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

map(0, 6)
for i = 0, 5 do
	p:write(at(i), "x")
end
check(p:madvise(at(2), 2 * page, "guard_install"))
check.eq(line(), "0-6rw", "no split")
check.eq(flags(0), "rd wr mr mw me gu ac", "but the VMA is told")
for i = 0, 5 do
	check.pagemap(p, at(i), { present = i < 2 or i > 3, guard = i == 2 or i == 3 })
end
check.eq({ p:read(at(2), 1) }, { nil, "SEGV", "MAPERR" })
check.fails("SEGV", p:write(at(3), "y"))
check.fails("SEGV", p:touch(at(3), "x"))
check.eq(p:read(at(1), 1), "x")

-- They outlive advice and permissions,
check(p:madvise(at(0), 6 * page, "dontneed"))
check(p:madvise(at(0), 6 * page, "free"))
check(p:mprotect(at(0), 6 * page, "r"))
check.eq(flags(0), "rd mr mw me gu ac", "they count as pages")
check(p:mprotect(at(3), 3 * page, "rw"))
check.eq(line(), "0-3r 3-6rw")
check(p:mprotect(at(0), 3 * page, "rw"))
check.eq(line(), "0-6rw")
check.fails("SEGV", p:read(at(2), 1))
check.fails("EFAULT", p:madvise(at(0), 6 * page, "populate_write"))
check.pagemap(p, at(1), { present = true, exclusive = true })
check.pagemap(p, at(4), { present = false })
check.fails("ENOMEM", p:mlock(at(0), 6 * page)) -- locked, but not all of it can be had
check.eq(flags(0), "rd wr mr mw me gu lo ac")
check(p:munlock(at(0), 6 * page))

-- fork (unless it wipes), and moving;
local c = p:fork()
check.fails("SEGV", c:read(at(2), 1))
check(p:madvise(at(0), 6 * page, "wipeonfork"))
local d = p:fork()
check.eq(d:read(at(2), 1), "\0")
check(p:madvise(at(0), 6 * page, "keeponfork"))
check.eq(p:mremap(at(2), 4 * page, 4 * page, { maymove = true, fixed = at(10) }), at(10))
check.fails("SEGV", p:read(at(11), 1))
check.eq(p:read(at(12), 1), "\0")
check.eq(p:mremap(at(10), 4 * page, 4 * page, { maymove = true, fixed = at(2) }), at(2))
check.eq(line(), "0-6rw")

-- not a new mapping, nor their removal, which leaves pages alone.
map(2, 1)
check.eq(p:read(at(2), 1), "\0")
check.eq(line(), "0-6rw")
p:write(at(2), "z")
check(p:madvise(at(0), 6 * page, "guard_remove"))
check.eq(p:read(at(3), 1), "\0")
check.eq(p:read(at(2), 1), "z")
check.eq(flags(0), "rd wr mr mw me gu ac", "the flag stays")

-- The flag keeps no VMAs apart.
clear()
map(0, 2)
map(4, 2)
check(p:madvise(at(0), page, "guard_install"))
map(2, 2)
check.eq(line(), "0-6rw")
check.eq(flags(5), "rd wr mr mw me gu ac")
