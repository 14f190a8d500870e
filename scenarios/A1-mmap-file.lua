-- A1: mappings of files: which part, shared or private, and when neighbours merge.
local K <const> = 0x1000
local p = quire.process()
local f = quire.shmem { size = "64K" }
local g = quire.shmem { size = "64K" }
for i = 0, 15 do
	f:write(i * K, "page" .. i)
end

-- The offset chooses the pages; an access beyond the end of the file is SIGBUS, whatever the length of the mapping.
local a = p:mmap { length = "16K", prot = "rw", shared = true, file = f, offset = "8K" }
check.page(p, a, "page2")
check.page(p, a + 3 * K, "page5")
local b = p:mmap { length = "16K", prot = "rw", file = f, offset = "56K" }
check.page(p, b + K, "page15")
check.eq({ p:read(b + 2 * K, 1) }, { nil, "BUS", "ADRERR" })
check.eq({ p:write(b + 3 * K, "x") }, { nil, "BUS", "ADRERR" })
check.eq({ p:syscall_read(b + K, 2 * K) }, { nil, "EFAULT", K })

-- Shared writes reach the file, private ones stay here.
check(p:write(a, "PAGE"))
check.eq(f:read(2 * K, 5), "PAGE2")
check(p:write(b, "mine"))
check.eq(f:read(14 * K, 6), "page14")
f:write(14 * K, "changed")
check.page(p, b, "mine")
f:write(15 * K, "changed")
check.page(p, b + K, "changed")

-- Bad arguments.
local function map(options)
	options.prot = options.prot or "rw"
	return p:mmap(options)
end
check.fails("EINVAL", map { length = "4K", shared = true, file = f, offset = 1 })
check.fails("EINVAL", map { length = "4K", file = f, offset = "2K" })
check.fails("EINVAL", map { length = 0, shared = true, file = f })
check.fails("EINVAL", map { length = 0, shared = true })
check.fails("EOVERFLOW", map { length = "8K", shared = true, file = f, offset = -K })
check.fails("EEXIST", map { length = "4K", shared = true, file = f, address = a, fixed = "noreplace" })

-- Neighbours merge if they are of one file and one kind, and the second goes on where the first ends.
local room = map { length = "128K", prot = "none" }
check(p:munmap(room, "128K"))
local function put(page, what)
	what.address, what.fixed = room + page * K, true
	what.length = what.length or K
	check.eq(map(what), room + page * K)
end
local function list()
	local text = {}
	for _, vma in ipairs(p:maps()) do
		if vma.start >= room and vma.start < room + 32 * K then
			text[#text + 1] = string.format("%d+%d%s%s@%d", (vma.start - room) // K, vma.length // K, vma.shared and "s" or "p",
				vma.file and "f" or "a", vma.offset // K)
		end
	end
	return table.concat(text, " ")
end
put(0, { shared = true, file = f })
put(1, { shared = true, file = f, offset = K })
check.eq(list(), "0+2sf@0")
put(2, { shared = true, file = f, offset = 3 * K }) -- a gap in the file
check.eq(list(), "0+2sf@0 2+1sf@3")
put(3, { file = f, offset = 4 * K }) -- private
put(4, { file = g, offset = 5 * K }) -- another file
put(5, { file = g, offset = 6 * K })
check.eq(list(), "0+2sf@0 2+1sf@3 3+1pf@4 4+2pf@5")
put(8, { shared = true }) -- shared anonymous memory: each is an object of its own
put(9, { shared = true })
put(10, {}) -- and private, which has no object
put(11, {})
check.eq(list(), "0+2sf@0 2+1sf@3 3+1pf@4 4+2pf@5 8+1sa@0 9+1sa@0 10+2pa@0")

-- Closing the gap merges all three; splitting keeps the offsets.
put(2, { shared = true, file = f, offset = 2 * K })
check.eq(list(), "0+3sf@0 3+1pf@4 4+2pf@5 8+1sa@0 9+1sa@0 10+2pa@0")
check(p:mprotect(room + K, K, "r"))
check.eq(list(), "0+1sf@0 1+1sf@1 2+1sf@2 3+1pf@4 4+2pf@5 8+1sa@0 9+1sa@0 10+2pa@0")
check(p:munmap(room + K, K))
check(p:mprotect(room + 4 * K, 2 * K, "r"))
check.eq(list(), "0+1sf@0 2+1sf@2 3+1pf@4 4+2pf@5 8+1sa@0 9+1sa@0 10+2pa@0")

-- A populated private mapping holds the file's pages, or copies where it can be written.
local c = map { length = "8K", prot = "r", file = f, populate = true }
check.pagemap(p, c, { present = true, file = true })
local d = map { length = "8K", file = f, populate = true }
check.pagemap(p, d, { present = true, file = false, exclusive = true })
local e = map { length = "8K", shared = true, populate = true }
check.pagemap(p, e, { present = true, file = true })

-- The file lives as long as something maps it.
f:close()
check.page(p, a, "PAGE2")
check(p:write(a + K, "still"))
check.page(p:fork(), a + K, "still")
