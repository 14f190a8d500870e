-- A4: advice over holes, and what each kind of memory refuses.
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
local function clear()
	p:munmap(base, "1M")
end

local all = { "normal", "random", "sequential", "willneed", "dontneed", "free", "dontfork", "dofork", "mergeable",
	"unmergeable", "hugepage", "nohugepage", "dontdump", "dodump", "wipeonfork", "keeponfork", "cold", "pageout",
	"dontneed_locked", "guard_install", "guard_remove" }
local populate = { "populate_read", "populate_write" }

-- Holes are passed over, and told of in the end.
for _, advice in ipairs(all) do
	clear()
	map(0, 2)
	map(4, 2)
	p:write(at(5), "x")
	check.fails("ENOMEM", p:madvise(at(0), 6 * page, advice))
	check.fails("ENOMEM", p:madvise(at(-1), 2 * page, advice))
	check.fails("ENOMEM", p:madvise(at(4), 3 * page, advice))
	check.fails("ENOMEM", p:madvise(at(2), 2 * page, advice))
	check.fails("ENOMEM", p:madvise(0x7ffffffff000, page, advice))
	p:maps()
	p:pagemap(at(5))
end
clear()
map(0, 2)
map(4, 2)
p:write(at(5), "x")
check.fails("ENOMEM", p:madvise(at(0), 6 * page, "dontneed"))
check.eq(p:read(at(5), 1), "\0", "what lies behind the hole is done")

-- Populating stops there.
check.fails("ENOMEM", p:madvise(at(0), 6 * page, "populate_write"))
check.pagemap(p, at(1), { present = true, exclusive = true })
check.pagemap(p, at(4), { present = false })

-- Arguments.
for _, list in ipairs { all, populate, { 5, 7, 99, -1, "hwpoison", "soft_offline" } } do
	for _, advice in ipairs(list) do
		check.fails("EINVAL", p:madvise(at(0) + 1, 0, advice))
		p:madvise(at(0), 0, advice)
	end
end
check.fails("EINVAL", p:madvise(at(0), -1, "normal"))
check.fails("EINVAL", p:madvise(at(0), -4096, "willneed"))
check(p:madvise(at(0), 0, "dontneed"))
check(p:madvise(at(50), 0, "dontneed"), "no length, nothing to miss")
check.fails("EINVAL", p:madvise(at(0), 0, 99))
check.fails("EINVAL", p:madvise(at(0), page, "hwpoison"))
check.fails("EINVAL", p:madvise(at(0), page, "remove")) -- is for files

-- Locked memory.
clear()
map(0, 2)
map(2, 2)
p:mlock(at(2), 2 * page)
for _, advice in ipairs { "dontneed", "free", "cold", "pageout", "guard_install" } do
	check.fails("EINVAL", p:madvise(at(0), 4 * page, advice))
end
check.fails("SEGV", p:read(at(1), 1)) -- the piece before has guards now
check.pagemap(p, at(2), { present = true })
check(p:madvise(at(2), 2 * page, "dontneed_locked"))
check.pagemap(p, at(2), { present = false })
check(p:madvise(at(2), 2 * page, "guard_remove"))

-- Permissions count for populating alone.
clear()
map(0, 2)
map(2, 2, "r")
map(4, 2, "none")
map(6, 2, "x")
map(8, 2, "w")
for _, advice in ipairs(all) do
	if advice ~= "guard_install" then
		check(p:madvise(at(0), 10 * page, advice), advice)
	end
end
check(p:madvise(at(0), 4 * page, "populate_read"))
check.fails("EINVAL", p:madvise(at(2), 4 * page, "populate_read"))
check.fails("EINVAL", p:madvise(at(6), 2 * page, "populate_read"))
check.fails("EINVAL", p:madvise(at(8), 2 * page, "populate_read"))
check.fails("EINVAL", p:madvise(at(0), 4 * page, "populate_write"))
check(p:madvise(at(8), 2 * page, "populate_write"))
check.pagemap(p, at(1), { present = true, exclusive = true })
check.pagemap(p, at(3), { present = true, exclusive = false })
