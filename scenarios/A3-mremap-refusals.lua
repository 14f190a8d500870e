-- A3: what mremap refuses, and that it changes nothing then.
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

map(0, 4)
map(20, 4)
local before = line()
local function fails(why, from, old, new, options)
	check.fails(why, p:mremap(from, old, new, options or {}))
	check.eq(line(), before)
end
local end_of_addresses = 0x7ffffffff000
fails("EINVAL", at(0) + 1, 4 * page, 4 * page)
fails("EINVAL", at(0), 4 * page, 0)
fails("EINVAL", at(50), 4 * page, 0)
fails("EINVAL", at(0), 4 * page, -1)
fails("EINVAL", at(0), 4 * page, 0x800000000000)
fails("ENOMEM", at(0), 4 * page, end_of_addresses)
fails("EINVAL", at(0), 0, 4 * page, { maymove = true })
fails("EINVAL", at(0), -1, 4 * page, { maymove = true })
fails("EFAULT", at(50), 0, 4 * page, { maymove = true })
fails("EFAULT", at(50), 4 * page, 4 * page)
fails("EFAULT", at(50), 4 * page, 2 * page)
fails("EFAULT", at(50), 4 * page, 8 * page, { maymove = true })
fails("EINVAL", at(0), 1 << 62, 4 * page)
fails("EFAULT", at(2), 4 * page, 8 * page, { maymove = true })

-- To a given place.
fails("EINVAL", at(0), 4 * page, 4 * page, { fixed = at(50) })
fails("EINVAL", at(0), 4 * page, 4 * page, { maymove = true, fixed = at(50) + 1 })
fails("EINVAL", at(0), 4 * page, 4 * page, { maymove = true, fixed = end_of_addresses - 3 * page })
fails("EINVAL", at(0), 4 * page, 4 * page, { maymove = true, fixed = 1 << 62 })
fails("EINVAL", at(0), 4 * page, 4 * page, { maymove = true, fixed = at(0) })
fails("EINVAL", at(0), 4 * page, 4 * page, { maymove = true, fixed = at(2) })
fails("EINVAL", at(0), 4 * page, 1 * page, { maymove = true, fixed = at(2) })
fails("EINVAL", at(20), 4 * page, 8 * page, { maymove = true, fixed = at(16) })
fails("EFAULT", at(50), 4 * page, 4 * page, { maymove = true, fixed = at(0) })
fails("EFAULT", at(2), 4 * page, 8 * page, { maymove = true, fixed = at(40) })
fails("EINVAL", at(0), 0, 4 * page, { maymove = true, fixed = at(20) })
