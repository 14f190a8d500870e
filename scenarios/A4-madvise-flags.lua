-- A4: advice that changes flags splits and merges VMAs.
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

for _, case in ipairs {
	{ "random", "rd wr mr mw me rr ac", "normal" },
	{ "sequential", "rd wr mr mw me sr ac", "normal" },
	{ "dontfork", "rd wr mr mw me dc ac", "dofork" },
	{ "wipeonfork", "rd wr mr mw me ac wf", "keeponfork" },
	{ "dontdump", "rd wr mr mw me ac dd", "dodump" },
	{ "mergeable", "rd wr mr mw me ac mg", "unmergeable" },
} do
	local set, letters, unset = table.unpack(case)
	clear()
	map(0, 6)
	check(p:madvise(at(2), 2 * page, set))
	check.eq(line(), "0-2rw 2-4rw 4-6rw", set)
	check.eq(flags(2), letters)
	check.eq(flags(0), "rd wr mr mw me ac")
	check(p:madvise(at(2), 2 * page, set), "again")
	check(p:madvise(at(4), 2 * page, set))
	check.eq(line(), "0-2rw 2-6rw", set)
	check(p:madvise(at(0), 6 * page, unset))
	check.eq(line(), "0-6rw", unset)
	check.eq(flags(0), "rd wr mr mw me ac")
end

-- One takes the other's place.
clear()
map(0, 2)
p:madvise(at(0), 2 * page, "random")
p:madvise(at(0), 2 * page, "sequential")
check.eq(flags(0), "rd wr mr mw me sr ac")
p:madvise(at(0), 2 * page, "hugepage")
check.eq(flags(0), "rd wr mr mw me sr ac hg")
p:madvise(at(0), 2 * page, "nohugepage")
check.eq(flags(0), "rd wr mr mw me sr ac nh")

-- Pages written to while the flags differed are of different origin.
clear()
map(0, 6)
p:madvise(at(2), 2 * page, "dontfork")
p:touch(at(0), "w")
p:touch(at(2), "w")
p:touch(at(4), "w")
p:madvise(at(2), 2 * page, "dofork")
check.eq(line(), "0-2rw 2-4rw 4-6rw")
clear()
map(0, 6)
p:madvise(at(2), 2 * page, "dontfork")
p:touch(at(2), "w")
p:touch(at(4), "w")
p:madvise(at(2), 2 * page, "dofork")
check.eq(line(), "0-4rw 4-6rw")
