-- G: a stale TLB after copy-on-write.  One thread's write copies the page; another's CPU still reads the old one, and the two disagree about what the
-- memory holds.
local p = quire.process()
local t = p:thread()
local a = p:mmap { length = "8K", prot = "rw" }
p:write(a, "old")
local c = p:fork()
check.eq(t:read(a, 3), "old")
check.eq(t:read(a + 4096, 3), "\0\0\0") -- the page of zeros, the same
check(p:write(a, "new"))
check(p:write(a + 4096, "new"))
check.eq(t:read(a, 3), "new")
check.eq(t:read(a + 4096, 3), "new")
check.page(c, a, "old")
