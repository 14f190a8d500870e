-- SPDX-License-Identifier: MIT
-- Beyond the kernel, as an option of the machine: a page of shared memory that went from a mapping to swap is reported as swapped, by
-- pagemap and by the scan, until it is back in memory, wherever it is used.  What was never mapped is not looked up.
quire.setup { memory = "64M", swap = "16M", report_swapped = true }
local K <const> = 4096
local p, q = quire.process(), quire.process()
local f = quire.shmem { size = 8 * K }
local a = p:mmap { length = 8 * K, prot = "rw", shared = true, file = f }
local b = q:mmap { length = 8 * K, prot = "rw", shared = true, file = f }
local u = p:userfaultfd { features = { "wp_async" } }
u:register(a, 8 * K, { "wp" })

local function swapped(process, at)
	local scan = process:scan { start = at, length = K, report = { "swapped", "present" } }
	local categories = scan[1] and table.concat(scan[1].categories, " ") or ""

	check.eq(process:pagemap(at).swapped, categories == "swapped", "pagemap and scan agree")
	return categories == "swapped"
end

for i = 0, 3 do
	p:write(a + i * K, "page " .. i)
end
u:writeprotect(a + K, K, true)
check(p:madvise(a, 4 * K, "pageout"))
check.eq(f:resident(0, 8 * K), 0)
for i = 0, 3 do
	check(swapped(p, a + i * K), "page " .. i .. " is in swap")
	check(not swapped(q, b + i * K), "where it was never mapped nobody looks")
end
check(not swapped(p, a + 5 * K), "a page that there never was is not")
check.pagemap(p, a + K, { swapped = true, uffd_wp = true, present = false })
check.eq(p:smaps(a).Swap, 4 * K)

-- It comes back through another mapping: then it is in memory, mapped here or not.
check.eq(q:read(b + 2 * K, 6), "page 2")
check(not swapped(p, a + 2 * K))
-- What the mark stands for is as good as nothing to everything else.
check.eq(p:read(a, 6), "page 0")
check.eq(p:read(a + K, 6), "page 1")
check.pagemap(p, a + K, { present = true, uffd_wp = true })
check(p:write(a + 3 * K, "PAGE 3"))
check.eq(q:read(b + 3 * K, 6), "PAGE 3")

-- Out once more; protection may come to the mark, and go.
check(p:madvise(a + 3 * K, K, "dontneed"))
check(q:madvise(b + 3 * K, K, "pageout"))
check(swapped(q, b + 3 * K))
check(p:read(a + 3 * K, 1))
check(q:munmap(b, 8 * K))
check(p:madvise(a + 3 * K, K, "pageout"))
check(u:writeprotect(a + 3 * K, K, true))
check.pagemap(p, a + 3 * K, { swapped = true, uffd_wp = true })
check(u:writeprotect(a + 3 * K, K, false))
check(swapped(p, a + 3 * K), "the mark outlives the protection")

-- Pages that are cut off are in swap no more.
check(f:punch(3 * K, K))
check(not swapped(p, a + 3 * K))
check.eq(p:read(a + 3 * K, 6), "\0\0\0\0\0\0")
check(u:writeprotect(a, 8 * K, false))
check(p:madvise(a, 8 * K, "pageout"))
check(f:truncate(0))
for i = 0, 7 do
	check(not swapped(p, a + i * K))
end
check(f:truncate(8 * K))
check(p:write(a, "again"))
check(p:madvise(a, K, "pageout"))
check(swapped(p, a))
check(quire.swapoff())
check(not swapped(p, a))
check.eq(p:read(a, 5), "again")
