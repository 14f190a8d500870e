-- A1: truncation, holes and growth of a file, as mappings of it see them.
local K <const> = 0x1000
local p = quire.process()
local f = quire.shmem { size = "32K" }
local s = p:mmap { length = "32K", prot = "rw", shared = true, file = f }
local v = p:mmap { length = "32K", prot = "rw", file = f }
for i = 0, 7 do
	check(p:write(s + i * K, "page" .. i))
end
check(p:write(v + K, "copy1"))
check(p:write(v + 6 * K, "copy6"))
check.eq(f:resident(0, "32K"), 8)

-- A hole: the page is gone from every mapping, and reads as zeros; private copies stay.
check(f:punch(K, K))
check.pagemap(p, s + K, { present = false })
check.eq(f:resident(0, "32K"), 7)
check.eq(p:read(s + K, 5), "\0\0\0\0\0")
check.page(p, v + K, "copy1")
check.eq(f:resident(0, "32K"), 8) -- the read has put a page there
check(p:write(s + K, "again"))
check.eq(f:read(K, 5), "again")

-- Parts of pages become zeros where they are.
check(f:punch(2 * K + 2, 2 * K))
check.eq(p:read(s + 2 * K, 6), "pa\0\0\0\0")
check.eq(p:read(s + 4 * K, 6), "\0\0ge4\0")
check.eq(f:resident(2 * K, 3 * K), 2)
check.fails("EINVAL", f:punch(0, 0))
check.fails("EINVAL", f:punch(-K, K))
check(f:punch("1G", K)) -- beyond the end there is nothing to do

-- Shorter: what lies behind the end is gone, private copies too.
check(f:truncate(5 * K + 2))
check.eq(p:read(s + 5 * K, 6), "pa\0\0\0\0")
for _, a in ipairs { s, v } do
	check.eq({ p:read(a + 6 * K, 1) }, { nil, "BUS", "ADRERR" })
	check.eq({ p:write(a + 7 * K, "x") }, { nil, "BUS", "ADRERR" })
	check.eq({ p:touch(a + 6 * K, "w") }, { nil, "BUS", "ADRERR" })
	check.fails("EFAULT", p:syscall_read(a + 6 * K, 1))
	check.pagemap(p, a + 6 * K, { present = false })
	check.fails("EFAULT", p:madvise(a + 5 * K, 2 * K, "populate_read"))
end
check.eq(f:read(5 * K, K), "pa")
check.page(p, v + K, "copy1")
check(p:write(s + 5 * K, "whole")) -- the last page is there as a whole, but for the file it ends
check.eq(f:read(5 * K, K), "wh")

-- Longer: zeros, also where something was before; but what was written to the last page behind the end is there now.
check(f:truncate("32K"))
check.eq(p:read(s + 5 * K, 6), "whole\0")
check.eq(f:read(5 * K, 6), "whole\0")
check.eq(p:read(s + 6 * K, 5), "\0\0\0\0\0")
check.eq(p:read(v + 6 * K, 5), "\0\0\0\0\0")
check(p:write(v + 7 * K, "new"))
check.eq(f:read(7 * K, 3), "\0\0\0")

-- Allocation fills holes, leaves what is there, and makes the file longer; so does a write.
check(f:truncate(0))
check.eq(f:resident(0, "1M"), 0)
check(f:truncate("32K"))
f:write(2 * K, "kept")
check(f:allocate(0, 4 * K))
check.eq(f:resident(0, "1M"), 4)
check.eq(f:read(2 * K, 4), "kept")
check(f:allocate("32K", K))
check.eq(#f:read(0, "64K"), 9 * K)
check(f:write(10 * K, "end"))
check.eq(#f:read(0, "64K"), 10 * K + 3)
check.eq(f:resident(0, "1M"), 6)
check.fails("EINVAL", f:allocate(0, 0))
check.fails("EINVAL", f:truncate(-1))
check.fails("EINVAL", f:write(-1, "x"))
check.eq(f:read("1M", 1), "")

-- Reading a file leaves its holes; reading a mapping fills them.
check(f:truncate(0))
check(f:truncate("32K"))
check.eq(f:read(0, 4), "\0\0\0\0")
check.eq(f:resident(0, "32K"), 0)
check.eq(p:read(v, 4), "\0\0\0\0")
check.eq(f:resident(0, "32K"), 1)
