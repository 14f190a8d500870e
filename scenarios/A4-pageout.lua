-- A4: pageout with swap: what it takes, and what comes back how.
quire.setup { swap = "64M" }
local K <const> = 0x1000
local p = quire.process()
local f = quire.shmem { size = "64K" }
local maps = {
	anon = p:mmap { length = "64K", prot = "rw" },
	shared = p:mmap { length = "64K", prot = "rw", shared = true, file = f },
	anonshared = p:mmap { length = "64K", prot = "rw", shared = true },
}
for name, a in pairs(maps) do
	check(p:write(a, name))
end
for _, name in ipairs { "anon", "shared", "anonshared" } do
	local a = maps[name]
	check(p:madvise(a, "64K", "pageout"))
	check.pagemap(p, a, { present = false, swapped = name == "anon", file = false }, name)
	check.eq(p:mincore(a, K), { false }, name)
	check.page(p, a, name)
	check.pagemap(p, a, { present = true, swapped = false, exclusive = true, file = name ~= "anon" }, name)
	-- A second time, without a write in between.
	check(p:madvise(a, "64K", "pageout"))
	check.pagemap(p, a, { present = false })
	check(p:write(a, "W")) -- a write brings the rest of the page along
	check.page(p, a, "W" .. name:sub(2))
	-- Without permission, too.
	check(p:mprotect(a, K, "none"))
	check(p:madvise(a, K, "pageout"))
	check.pagemap(p, a, { present = false })
	check(p:mprotect(a, K, "r"))
	check.page(p, a, "W" .. name:sub(2))
	check(p:mprotect(a, K, "rw"))
	-- Willneed and populate bring back, dontneed drops.
	check(p:madvise(a, K, "pageout"))
	check(p:madvise(a, K, "populate_read"))
	check.pagemap(p, a, { present = true })
	check(p:madvise(a, K, "pageout"))
	check(p:madvise(a, K, "dontneed"))
	check.pagemap(p, a, { present = false, swapped = false })
	check.eq(p:read(a, 1), name == "anon" and "\0" or "W", name)
end

-- The file's own view: the page is not in the cache, and comes back when it is read.
check(p:madvise(maps.shared, K, "pageout"))
check.eq(f:resident(0, K), 0)
check.eq(f:read(0, 3), "Wha")
check.eq(f:resident(0, K), 1)
check(p:madvise(maps.shared, K, "pageout"))
check.pagemap(p, maps.shared, { present = false })
check.eq(f:resident(0, K), 1) -- nobody maps it here: pageout does not find it
check(p:touch(maps.shared, "r"))
check(p:madvise(maps.shared, K, "pageout"))
check.eq(f:resident(0, K), 0)
check(f:punch(0, K)) -- what is in swap can be punched
check.eq(f:read(0, 3), "\0\0\0")

-- A page that two processes map stays, and so does a locked one; MADV_FREE, mapped clean, is dropped and not swapped.
local a = maps.anon
check(p:write(a, "two"))
check(p:write(maps.shared, "two"))
local c = p:fork()
check.eq(c:read(maps.shared, 3), "two")
check(p:madvise(a, K, "pageout"))
check(p:madvise(maps.shared, K, "pageout"))
check.pagemap(p, a, { present = true })
check.pagemap(p, maps.shared, { present = true })
c:exit()
check(p:write(a + K, "locked"))
check(p:mlock(a + K, K))
check.fails("EINVAL", p:madvise(a + K, K, "pageout"))
check(p:munlock(a + K, K))
check(p:write(a + 2 * K, "free"))
check(p:madvise(a + 2 * K, K, "free"))
check(p:madvise(a + 2 * K, K, "pageout"))
check.pagemap(p, a + 2 * K, { present = false, swapped = false })
check.eq(p:read(a + 2 * K, 4), "\0\0\0\0")

-- A copy of a file's page goes to swap like anonymous memory.
local v = p:mmap { length = "64K", prot = "rw", file = f }
check(p:write(v + 4 * K, "copy"))
check(p:madvise(v + 4 * K, K, "pageout"))
check.pagemap(p, v + 4 * K, { present = false, swapped = true })
check.page(p, v + 4 * K, "copy")

-- After a fork both have the entry; each gets the page when it asks.
check(p:write(a + 3 * K, "both"))
check(p:madvise(a + 3 * K, K, "pageout"))
c = p:fork()
check.pagemap(c, a + 3 * K, { swapped = true })
check(c:write(a + 3 * K, "child"))
check.pagemap(p, a + 3 * K, { swapped = true })
check.page(p, a + 3 * K, "both")
check.page(c, a + 3 * K, "child")
c:exit()

-- It moves along, and survives a change of protection; unmapped it is gone.
check(p:write(a + 5 * K, "moves"))
check(p:madvise(a + 5 * K, K, "pageout"))
local to = p:mmap { length = "4K", prot = "none" }
check.eq(p:mremap(a + 5 * K, K, K, { maymove = true, fixed = to }), to)
check.pagemap(p, to, { swapped = true })
check.page(p, to, "moves")

-- Without swap, everything is in memory again.
check(p:write(a + 8 * K, "back"))
check(p:write(maps.shared + 8 * K, "back"))
check(p:madvise(a + 8 * K, K, "pageout"))
check(p:madvise(maps.shared + 8 * K, K, "pageout"))
check.pagemap(p, a + 8 * K, { swapped = true })
check.eq(f:resident(8 * K, K), 0)
check(quire.swapoff())
check.pagemap(p, a + 8 * K, { present = true, swapped = false })
check.eq(f:resident(8 * K, K), 1)
check.pagemap(p, maps.shared + 8 * K, { present = false }) -- in the cache, not mapped
check.page(p, a + 8 * K, "back")
check.page(p, maps.shared + 8 * K, "back")
check.fails("EINVAL", quire.swapoff())
