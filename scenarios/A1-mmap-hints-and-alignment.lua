-- A1: where a mapping goes: holes, hints, alignment to huge pages, fixed addresses, lengths.
quire.setup { memory = "64M", shmem_thp = "never" } -- else Linux aligns mappings of shared memory, too
local page = 4096
local HUGE <const> = quire.table_bytes -- 2M
local p = quire.process()
local top = p:mmap { length = 8 * page, prot = "none" }

-- AA.AA..A  the highest hole that is large enough, at its upper end
p:munmap(top + 2 * page, page)
p:munmap(top + 5 * page, 2 * page)
local function place(length, hint, fixed)
	return p:mmap { length = length, prot = "r", address = hint, fixed = fixed }
end
check.eq(place(page), top + 6 * page)
check.eq(place(2 * page), top - 2 * page)
check.eq(place(page), top + 5 * page)
check.eq(place(page), top + 2 * page)
check.eq(place(page), top - 3 * page)

-- Hints.
local far = 0x200000000000
check.eq(place(page, far), far)
check.eq(place(page, far), top - 4 * page, "taken")
check.eq(place(2 * page, far - page), top - 6 * page, "taken in part")
check.eq(place(page, far + page + 1), far + page, "rounded down")
check.eq(place(page, far + page + 4095), top - 7 * page)
check.eq(place(page, 1), top - 8 * page, "the first page is no hint")
check.eq(place(page, 0x8000000000000000), top - 9 * page, "beyond every address")
check.eq(place(page, -4096), top - 10 * page)

-- A whole number of 2M is aligned to it, unless there was a hint.
p:munmap(far, "1M")
local huge = place(HUGE)
check.eq(huge % HUGE, 0)
check.eq(place(2 * HUGE), huge - 2 * HUGE)
check.eq(place(HUGE, far + page), far + page)
check(place(HUGE + HUGE // 2), "not a whole number")
local next = place(page, far + page)
check.eq(place(HUGE, far + page) % HUGE ~= 0, true, "the hint was taken, but it was one")
check.eq(place(HUGE) % HUGE, 0)

-- So is what mremap moves, whatever address it had; but not memory of files, which has no huge pages here.
local source = place(2 * page, far + HUGE + 3 * page)
check.eq(p:mremap(source, page, HUGE, { maymove = true }) % HUGE, 0)
local file = quire.shmem { size = "8M" }
for _, shared in ipairs { true, false } do
	local function of_file(length, hint)
		return p:mmap { length = length, prot = "r", file = file, offset = 3 * page, shared = shared, address = hint }
	end
	local low = of_file(HUGE + page)
	check.eq(of_file(HUGE), low - HUGE)
	check.eq(p:mremap(of_file(2 * page, far + 2 * HUGE + 3 * page), page, HUGE, { maymove = true }), low - 2 * HUGE)
end

-- Fixed.
check.eq(place(page, far, true), far)
check.eq(place(page, far, true), far, "replaces")
check.fails("EEXIST", place(page, far, "noreplace"))
check.fails("EEXIST", place(2 * page, far - page, "noreplace"))
check.eq(place(page, far - page, "noreplace"), far - page)
check.fails("EINVAL", place(page, far + 1, true))
check.fails("EINVAL", place(page, far + 1, "noreplace"))
check.fails("ENOMEM", place(page, 0x7ffffffff000, true))
check.fails("ENOMEM", place(2 * page, 0x7fffffffe000, true))
check.fails("ENOMEM", place(page, 0x7fffffffffffffff, true)) -- beyond comes before unaligned

-- Lengths.
check.fails("EINVAL", place(0))
check.fails("EINVAL", place(0, far + 1, true))
check.fails("ENOMEM", place(-1))
check.fails("ENOMEM", place(-4096))
check.fails("ENOMEM", place(0x800000000000))
check.eq(place(1, far + 0x800000), far + 0x800000)
check.eq(p:smaps(far + 0x800000).Size, page)
