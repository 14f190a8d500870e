-- A1: VMAs merge when nothing tells them apart: permission, flags, the pages they hold, and how these are numbered.
quire.setup { memory = "64M" }
local p = quire.process()
local K <const> = 4096
local W <const> = 0x600000000000
local function map(page, pages, prot)
	return p:mmap { length = pages * K, prot = prot or "rw", address = W + page * K, fixed = true }
end
-- The VMAs as letters' worth of pages: "4rw 2r".
local function shape(q)
	local text = {}
	for i, vma in ipairs((q or p):maps()) do
		text[i] = vma.length // K .. vma.prot:gsub("-", "")
	end
	return table.concat(text, " ")
end

--	AA..BB  →  AACCBB
map(0, 2)
map(4, 2)
check.eq(shape(), "2rw 2rw")
map(2, 2)
check.eq(shape(), "6rw")

-- A hole in the middle, and back: the pages are numbered by their address, so it is one again.
p:munmap(W + 2 * K, K)
check.eq(shape(), "2rw 3rw")
map(2, 1)
check.eq(shape(), "6rw")

-- Written to on both sides before: two sets of pages, which stay apart.
p:munmap(W + 2 * K, 2 * K)
p:write(W, "left")
p:write(W + 4 * K, "right")
map(2, 2)
check.eq(shape(), p:maps()[2] and "4rw 2rw" or "6rw")

-- But those that were one when they got their first page merge back.
p:munmap(W, 6 * K)
map(0, 6)
p:write(W + K, "one")
p:mprotect(W + 2 * K, 2 * K, "r")
check.eq(shape(), "2rw 2r 2rw")
p:write(W + 5 * K, "too")
p:mprotect(W + 2 * K, 2 * K, "rw")
check.eq(shape(), "6rw")

-- Advice tells apart, until it is taken back.
p:madvise(W + K, 2 * K, "dontfork")
check.eq(shape(), "1rw 2rw 3rw")
p:madvise(W + 2 * K, K, "dofork")
check.eq(shape(), "1rw 1rw 4rw")
p:madvise(W, 6 * K, "dofork")
check.eq(shape(), "6rw")
p:madvise(W, 3 * K, "random")
p:madvise(W + 3 * K, 3 * K, "sequential")
check.eq(shape(), "3rw 3rw")
p:madvise(W, 6 * K, "normal")
check.eq(shape(), "6rw")

-- Reserved and not reserved; locked and not.
p:mmap { length = 2 * K, prot = "rw", address = W + 6 * K, fixed = true, noreserve = true }
check.eq(shape(), "6rw 2rw")
p:mlock(W, 2 * K)
check.eq(shape(), "2rw 4rw 2rw")
p:munlock(W, 2 * K)
check.eq(shape(), "6rw 2rw")

-- Moved pages keep their numbers, and so do not merge where they come to be; memory without pages is numbered anew.
p:munmap(W, 8 * K)
map(0, 2)
map(8, 2)
p:write(W + 8 * K, "page")
check.eq(p:mremap(W + 8 * K, 2 * K, 2 * K, { maymove = true, fixed = W + 2 * K }), W + 2 * K)
check.eq(shape(), "2rw 2rw")
map(8, 2)
check.eq(p:mremap(W + 8 * K, 2 * K, 2 * K, { maymove = true, fixed = W + 4 * K }), W + 4 * K)
check.eq(shape(), "2rw 2rw 2rw")
check.page(p, W + 2 * K, "page")

-- After a fork the child's pages have a forebear.
p:munmap(W, 8 * K)
map(0, 2)
p:write(W, "x")
local c = p:fork()
map(2, 2)
c:mmap { length = 2 * K, prot = "rw", address = W + 2 * K, fixed = true }
check.eq(shape(p), "4rw")
check.eq(shape(c), "2rw 2rw")

-- Neighbours that are registered alike share their anonymous pages' identity, whatever the contexts have asked
-- for, and are one mapping when those have gone.
q = quire.process()
local r = q:mmap{ length = 4 * K, prot = "rw" }
local plain, marking = q:userfaultfd{}, q:userfaultfd{ features = { "wp_unpopulated" } }
check(plain:register(r + 2 * K, 2 * K, { "wp" }))
check(marking:register(r, 2 * K, { "wp" }))
q:write(r + 2 * K, "x")
q:write(r, "x")
check.eq(#q:maps(), 2)
plain:close()
marking:close()
check.eq(#q:maps(), 1)
