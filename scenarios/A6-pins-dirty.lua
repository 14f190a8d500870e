-- A pin takes pages that can be written to as they are; from the first that it must fault in on, it makes
-- pages dirty. (BEHAVIOUR A6)
local K = 4096

local p = quire.process()

-- A VMA for each page, to ask for them one by one.
local function map()
	local m = p:mmap{ length = 4 * K, prot = "rw", shared = true }
	check(p:madvise(m + K, K, "dontfork"))
	check(p:madvise(m + 3 * K, K, "dontfork"))
	return m
end

local function dirty(m)
	local seen = {}
	for i = 0, 3 do
		seen[i + 1] = p:smaps(m + i * K).Private_Dirty > 0
	end
	return seen
end

local m = map()
for i = 0, 3 do
	p:read(m + i * K, 1)
end
local pin = p:pin(m, 4 * K)
check.eq(dirty(m), { false, false, false, false })
pin:release()
check.eq(dirty(m), { false, false, false, false })

m = map()
for _, i in ipairs{ 0, 1, 3 } do
	p:read(m + i * K, 1)
end
pin = p:pin(m, 2 * K)
check.eq(dirty(m), { false, false, false, false })
local second = p:pin(m + K, 3 * K)
check.eq(dirty(m), { false, false, true, true })
pin:release()
second:release()

-- A page that has been cut off, or unmapped, is there for as long as it is pinned, also at the end.
local f = quire.shmem{ size = 2 * K }
m = p:mmap{ file = f, length = 2 * K, prot = "rw", shared = true }
pin = p:pin(m, 2 * K)
check(f:truncate(K))
check(p:munmap(m, 2 * K))

-- Nor does PAGEOUT take it out of memory; but shared memory leaves the tables.
m = p:mmap{ length = K, prot = "rw", shared = true }
pin = p:pin(m, K)
check(p:madvise(m, K, "pageout"))
check.eq(p:pagemap(m, 1)[1].present, false)
check.eq(p:mincore(m, K), { true })
pin:release()
m = p:mmap{ length = K, prot = "rw" }
pin = p:pin(m, K)
check(p:madvise(m, K, "pageout"))
check.eq(p:pagemap(m, 1)[1].present, true)
pin:release()

-- The page is dirty through the entry that was made for it, which MADV_FREE makes clean.
local q = quire.process()
m = q:mmap{ length = 2 * K, prot = "rw" }
check.fails("EFAULT", q:pin(m, 3 * K))
local child = q:fork()
check.eq(q:smaps(m).Shared_Dirty, 2 * K)
check(q:madvise(m, K, "free"))
child:exit()
check.eq({ q:smaps(m).Private_Clean, q:smaps(m).Private_Dirty }, { K, K })
