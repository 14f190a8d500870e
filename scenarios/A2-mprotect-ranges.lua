-- A2: mprotect over several VMAs and holes, and what it refuses.
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

-- AABBCC.DD
map(0, 2)
map(2, 2, "r")
map(4, 2, "none")
map(7, 2)
check.fails("ENOMEM", p:mprotect(at(1), 8 * page, "r"))
check.eq(line(), "0-1rw 1-6r 7-9rw", "all before the hole has changed")
check.fails("ENOMEM", p:mprotect(at(6), 2 * page, "r"))
check.eq(line(), "0-1rw 1-6r 7-9rw", "nothing has")
check.fails("ENOMEM", p:mprotect(at(8), 2 * page, "r"))
check.eq(line(), "0-1rw 1-6r 7-8rw 8-9r")
check(p:mprotect(at(0), 1, "none"), "a byte is a page")
check.eq(line(), "0-1 1-6r 7-8rw 8-9r")

-- Arguments, in the order in which they are looked at.
local growsdown, growsup, sem = 0x01000000, 0x02000000, 8
check.fails("EINVAL", p:mprotect(at(0), 0, growsdown | growsup))
check.fails("EINVAL", p:mprotect(at(0) + 1, 0, 0x40))
check(p:mprotect(at(0), 0, 0x40), "no length, no look at the rest")
check(p:mprotect(at(20), 0, "r"))
check.fails("ENOMEM", p:mprotect(at(0), -1, 0x40))
check.fails("ENOMEM", p:mprotect(at(0), -4096, 0x40))
check.fails("EINVAL", p:mprotect(at(20), page, 0x40))
check.fails("EINVAL", p:mprotect(at(0), page, 0x10))
check(p:mprotect(at(0), page, sem | 3))
check.fails("EINVAL", p:mprotect(at(0), page, growsdown | 1))
check.fails("EINVAL", p:mprotect(at(0), page, growsup | 1))
check.fails("EINVAL", p:mprotect(at(-1), 2 * page, growsdown | 1)) -- reaches a VMA
check.fails("ENOMEM", p:mprotect(at(-1), 2 * page, growsup | 1))
check.fails("ENOMEM", p:mprotect(at(-1), page, growsdown | 1))
check.fails("ENOMEM", p:mprotect(0x7ffffffff000, page, "r"))
check.eq(line(), "0-1rw 1-6r 7-8rw 8-9r")
