-- SPDX-License-Identifier: MIT
-- C11: truncate, hole punch and MADV_REMOVE that begin or end inside a span that is protected, guarded or poisoned: what may be one entry to
-- the tables stays what it is, page by page, on both sides of the edge and inside. Only truncation takes poison away, and exactly there.
local K <const>, M <const> = 0x1000, 0x100000
local EDGE <const>, PAGES <const> = 3 * M + 5 * K, 3

local ways = {
	truncate = function(f)
		check(f:truncate(EDGE))
		check(f:truncate(8 * M)) -- what lies beyond can be looked at again
	end,
	punch = function(f)
		check(f:punch(EDGE, PAGES * K))
	end,
	inside_page = function(f)
		check(f:punch(EDGE + 100, PAGES * K))
	end,
	remove = function(_, p, a)
		check(p:madvise(a + EDGE, PAGES * K, "remove"))
	end,
}
local order <const> = { "truncate", "punch", "inside_page", "remove" }
local around <const> = { 0, 2 * M - K, 2 * M, EDGE - K, EDGE, EDGE + K, EDGE + PAGES * K, 4 * M - K, 4 * M, 8 * M - K }

for _, way in ipairs(order) do
	local f = quire.shmem { size = 8 * M }
	local p = quire.process()
	local a = p:mmap { length = 8 * M, prot = "rw", shared = true, file = f }
	local u = p:userfaultfd {}

	check(u:register(a, 8 * M, { "wp" }))
	check(u:writeprotect(a, 8 * M, true))
	ways[way](f, p, a)
	for _, at in ipairs(around) do
		check.pagemap(p, a + at, { uffd_wp = true, present = false })
	end
	check.fails("blocked", p:write(a + EDGE, "w"))
	check.eq(u:read().wp, true)
	check(u:writeprotect(a + EDGE, K, false))
	check(p:thread_result())
end

for _, way in ipairs(order) do
	local f = quire.shmem { size = 8 * M }
	local p = quire.process()
	local a = p:mmap { length = 8 * M, prot = "rw", shared = true, file = f }

	check(p:madvise(a + 2 * M, 2 * M, "guard_install"))
	ways[way](f, p, a)
	for _, at in ipairs(around) do
		check.eq(p:pagemap(a + at).guard, at >= 2 * M and at < 4 * M, way .. " at " .. at)
	end
	check.fails("SEGV", p:read(a + EDGE, 1))
	check.eq(p:read(a + 4 * M, 1), "\0")
end

-- Poison that was moved to a place that is aligned otherwise.
for _, way in ipairs(order) do
	local f = quire.shmem { size = 4 * M + K }
	local p = quire.process()
	local base = p:mmap { length = 16 * M, prot = "none" }
	base = (base + 2 * M - 1) & ~(2 * M - 1)
	local a = p:mmap { address = base + K, length = 4 * M, prot = "rw", shared = true, file = f, fixed = true }
	local u = p:userfaultfd { features = { "poison" } }

	check(u:register(a, 4 * M, { "missing", "wp" }))
	check.eq(u:poison(a, 4 * M), 4 * M)
	local to <const> = base + 8 * M
	check.eq(p:mremap(a, 4 * M, 4 * M, { maymove = true, fixed = to }), to)
	a = to
	ways[way](f, p, a)
	for _, at in ipairs { 0, 2 * M, EDGE - K, EDGE, EDGE + PAGES * K, 4 * M - K } do
		local poisoned = way ~= "truncate" or at < EDGE
		check.eq(p:read(a + at, 1) == nil, poisoned, way .. " at " .. at)
	end
end
