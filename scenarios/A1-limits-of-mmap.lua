-- A1: lengths and offsets of mmap near every limit: of pages, of 32 bits, of the address space, of what a file can have, of 64 bits.
local K <const> = 4096
local END <const> = 0x7ffffffff000 -- of user addresses
local MAX <const> = math.maxinteger -- what a file can have
local A <const> = 0x600000000000
local p = quire.process()
local f = quire.shmem { size = 4 * K }

-- Lengths that can be had, and lengths that nobody has.
local small <const> = { 1, K - 1, K, K + 1, 2 * K, 1 << 20 }
local huge <const> = { END + 1, (1 << 47) - 1, 1 << 47, (1 << 47) + K, 1 << 52, 1 << 56, 1 << 62, MAX - K, MAX, math.mininteger, math.mininteger + K, -2 * K,
	-K - 1, -K, -K + 1, -1 }

local function mmap(kind, length, fixed, offset)
	return p:mmap { length = length, prot = "r", shared = kind == "shared", file = kind == "file" and f or nil, offset = offset or 0,
		address = fixed and A or nil, fixed = fixed, noreserve = true }
end

for _, kind in ipairs { "private", "shared", "file" } do
	for _, fixed in ipairs { false, true, "noreplace" } do
		check.fails("EINVAL", mmap(kind, 0, fixed))
		for _, length in ipairs(small) do
			local a = mmap(kind, length, fixed)
			check(p:munmap(a, length))
		end
		for _, length in ipairs(huge) do
			check.fails("ENOMEM", mmap(kind, length, fixed))
		end
		-- No more than there is behind the address, unless it is a hint.
		if fixed then
			check.fails("ENOMEM", mmap(kind, END - A + K, fixed))
		end
	end
end

-- The last page that is mapped must lie wholly in what a file can have; a length that nobody has is refused before that.
for _, offset in ipairs { 0, K, (1 << 32) - K, 1 << 32, END, 1 << 47, 1 << 52, 1 << 62, MAX - 4 * K + 1, MAX - 3 * K + 1, MAX - 2 * K + 1, MAX - K + 1,
	math.mininteger, -2 * K, -K } do
	for _, length in ipairs(small) do
		local pages = (length + K - 1) // K
		if offset >= 0 and offset // K + pages <= MAX // K then
			local a = mmap("file", length, false, offset)
			check(p:munmap(a, length))
		else
			check.fails("EOVERFLOW", mmap("file", length, false, offset))
		end
		check.fails("EINVAL", mmap("file", length, false, offset + 1))
	end
	for _, length in ipairs(huge) do
		check.fails("ENOMEM", mmap("file", length, false, offset))
	end
end

-- A call that is refused has unmapped nothing; what is mapped at the very end works.
local a = p:mmap { length = 2 * K, prot = "rw", address = A, fixed = true }
check(p:write(a, "kept"))
for _, length in ipairs { 2 * K, -K } do
	check(not p:mmap { length = length, prot = "rw", file = f, offset = MAX - K + 1, address = a, fixed = true })
	check.eq(p:read(a, 4), "kept")
end
local g = quire.shmem { size = MAX }
for _, shared in ipairs { true, false } do
	local b = p:mmap { length = 2 * K, prot = "rw", shared = shared, file = g, offset = MAX - 3 * K + 1 }
	check(p:write(b + K, "last"))
	check.eq(g:read(MAX - 2 * K + 1, 4), "last") -- a private write leaves it
	check(p:munmap(b, 2 * K))
end
