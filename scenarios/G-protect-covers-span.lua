-- SPDX-License-Identifier: MIT
-- A page is protected inside a span of which one entry says that its pages were evicted (an option of the machine): that page, and no other.
quire.setup { memory = "64M", swap = "32M", report_swapped = true }
local K <const>, M <const> = 0x1000, 0x100000
local f = quire.shmem { size = 4 * M }
local p = quire.process()
local base = p:mmap { length = 16 * M, prot = "none" }
base = (base + 2 * M - 1) & ~(2 * M - 1)
local a = p:mmap { address = base + K, length = 4 * M, prot = "rw", shared = true, file = f, fixed = true }
for at = 0, 4 * M - K, K do
	check(p:write(a + at, "page"))
end
check(p:madvise(a, 4 * M, "pageout"))
local to <const> = base + 8 * M
check.eq(p:mremap(a, 4 * M, 4 * M, { maymove = true, fixed = to }), to)
check.eq(p:entry(to + 2 * M).level, 1)
local u = p:userfaultfd {}
check(u:register(to, 4 * M, { "wp" }))
check(u:writeprotect(to + 5 * K, K, true))
for _, at in ipairs { 0, 4 * K, 5 * K, 6 * K, 2 * M - K, 2 * M } do
	check.eq(p:pagemap(to + at).uffd_wp, at == 5 * K, "at " .. at)
	check.eq(p:pagemap(to + at).swapped, true)
end
