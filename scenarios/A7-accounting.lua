-- A7: what is counted, as it is counted.
quire.setup { memory = "64M" }
local p = quire.process()
local a = p:mmap { length = "64K", prot = "rw" }
local function anon(q)
	return q:rss().anon
end

check.eq(anon(p), 0)
p:read(a, 1)
check.eq(anon(p), 0, "the zero page counts for nothing")
p:write(a, "x")
check.eq(anon(p), 4096)
p:write(a + 0x1000, ("x"):rep(8192))
check.eq(anon(p), 3 * 4096)
check.eq(p:rss().file, 0)
check.eq(p:rss().shmem, 0)
check.eq(p:rss().swap, 0)

-- Forking counts a page in both; each has its half of it.
local c = p:fork()
check.eq(anon(p), 3 * 4096)
check.eq(anon(c), 3 * 4096)
local s = c:smaps(a)
check.eq(s.Rss, 12288)
check.eq(s.Pss, 6144)
check.eq(s.Pss_Dirty, 6144)
check.eq(s.Shared_Dirty, 12288)
check.eq(s.Private_Dirty, 0)
check.eq(s.Anonymous, 12288)
c:write(a, "y")
s = c:smaps(a)
check.eq(s.Private_Dirty, 4096)
check.eq(s.Shared_Dirty, 8192)
check.eq(s.Pss, 8192)
local d = c:fork()
s = p:smaps(a)
check.eq(s.Pss, (4096 + 2 * 4096 // 3) & ~1023, "whole KiB")
d:exit()

-- Unmapping, dontneed and protection.
p:munmap(a, "4K")
check.eq(anon(p), 8192)
p:mprotect(a + 0x1000, "60K", "none")
check.eq(anon(p), 8192, "pages without permission stay")
p:mprotect(a + 0x1000, "60K", "rw")
p:madvise(a + 0x1000, "4K", "dontneed")
check.eq(anon(p), 4096)
check.eq(anon(c), 12288)
c:exit()
check.eq(p:smaps(a + 0x1000).Private_Dirty, 4096)

-- What is clean, and what was used.
p:madvise(a + 0x2000, "4K", "free")
s = p:smaps(a + 0x1000)
check.eq(s.Private_Clean, 4096)
check.eq(s.Private_Dirty, 0)
check.eq(s.Referenced, 0)
p:read(a + 0x2000, 1)
check.eq(p:smaps(a + 0x1000).Referenced, 4096)
p:write(a + 0x2000, "z")
s = p:smaps(a + 0x1000)
check.eq(s.Private_Dirty, 4096)
check.eq(s.LazyFree, 0)

-- Locking.
check(p:mlock(a + 0x1000, "16K"))
check.eq(anon(p), 16384)
check.eq(p:smaps(a + 0x1000).Locked, 16384)
check(p:munlock(a + 0x1000, "16K"))
check.eq(p:smaps(a + 0x1000).Locked, 0)

-- The library has no more tables than it needs, and they go with what they held.
local function tables(n)
	if quire.target == "quire" then
		check.eq(p:tables().bytes, n * 4096)
	end
end
tables(4)
p:munmap(a, "64K")
tables(1)
