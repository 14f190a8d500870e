-- A2: a permission holds from the next access on, and the content stays.
quire.setup { memory = "64M", execute_only = ({ with = true, without = false })[...] }
local execute_only = quire.has("execute_only") -- A8
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
for i = 0, 3 do
	p:write(at(i), "page" .. i)
end
local c = p:fork()
for _, case in ipairs {
	{ "none", nil, nil },
	{ "r", true, nil },
	{ "rw", true, true },
	{ "w", true, true },
	{ "x", not execute_only or nil, nil, execute_only and "PKUERR" },
	{ "rx", true, nil },
	{ "rw", true, true },
} do
	local prot, readable, writable, code = table.unpack(case, 1, 4)
	check(p:mprotect(at(0), 4 * page, prot))
	check.eq((p:touch(at(1), "r")), readable, prot)
	check.eq((p:touch(at(1), "w")), writable, prot)
	check.eq((p:touch(at(3), "w")), writable, prot)
	if not writable then
		check.eq({ p:touch(at(2), "w") }, { nil, "SEGV", code or "ACCERR" }, prot)
	end
end
for i = 0, 3 do
	check.page(p, at(i), "page" .. i)
end
check.pagemap(p, at(1), { present = true, exclusive = true })
check.pagemap(p, at(0), { present = true, exclusive = false })

-- Gaining write permission does not undo copy-on-write.
p:write(at(0), "mine")
c:mprotect(at(0), 4 * page, "r")
c:mprotect(at(0), 4 * page, "rw")
check.page(c, at(0), "page0")
c:write(at(0), "hers")
check.page(p, at(0), "mine")

-- Nor does it write to the page of zeros.
map(8, 2, "r")
check.eq(p:read(at(8), 1), "\0")
p:mprotect(at(8), 2 * page, "rw")
check.pagemap(p, at(8), { present = true, exclusive = false })
p:write(at(8), "x")
check.pagemap(p, at(8), { present = true, exclusive = true })
check.eq(p:read(at(9), 1), "\0")
