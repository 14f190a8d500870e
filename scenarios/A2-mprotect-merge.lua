-- A2: mprotect splits and merges, and accounts for what becomes writable.
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

-- AAAAAA
map(0, 6)
p:mprotect(at(2), 2 * page, "r")
check.eq(line(), "0-2rw 2-4r 4-6rw")
p:mprotect(at(3), page, "rw")
check.eq(line(), "0-2rw 2-3r 3-6rw", "its end goes to the next")
p:mprotect(at(2), page, "rw")
check.eq(line(), "0-6rw")
p:mprotect(at(0), 3 * page, "none")
p:mprotect(at(3), page, "none")
check.eq(line(), "0-4 4-6rw", "its start goes to the previous")
p:mprotect(at(1), 4 * page, "x")
check.eq(line(), "0-1 1-5x 5-6rw")
p:mprotect(at(0), 6 * page, "x")
check.eq(line(), "0-6x")

-- Memory that may be written is accounted for; once it has a page of its own, for good.
clear()
map(0, 4)
map(8, 4)
p:touch(at(8), "w")
check.eq(flags(0), "rd wr mr mw me ac")
for _, prot in ipairs { "r", "none", "rx" } do
	p:mprotect(at(0), 4 * page, prot)
	p:mprotect(at(8), 4 * page, prot)
	check.eq(flags(0):find("ac"), nil)
	check(flags(8):find("ac") ~= nil)
end
p:madvise(at(8), 4 * page, "dontneed")
p:mprotect(at(8), 4 * page, "none")
check.eq(flags(8), "mr mw me ac")
p:mprotect(at(0), 4 * page, "w")
check.eq(flags(0), "wr mr mw me ac")
map(20, 2, "r", { noreserve = true })
p:mprotect(at(20), 2 * page, "rw")
check.eq(flags(20), "rd wr mr mw me nr")

-- So it stays apart from what never had one.
clear()
map(0, 4)
p:touch(at(0), "w")
p:mprotect(at(0), 2 * page, "r")
map(2, 2, "r")
check.eq(line(), "0-2r 2-4r")
p:mprotect(at(0), 4 * page, "rw")
check.eq(line(), "0-4rw")

-- Locked memory that becomes writable is written to.
clear()
map(0, 6, "none")
check.fails("ENOMEM", p:mlock(at(0), 6 * page))
p:mprotect(at(0), 2 * page, "r")
p:mprotect(at(2), 2 * page, "rw")
check.pagemap(p, at(0), { present = false })
check.pagemap(p, at(2), { present = true, exclusive = true })
check.pagemap(p, at(3), { present = true, exclusive = true })
check.pagemap(p, at(4), { present = false })
