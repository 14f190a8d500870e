-- G: a stale TLB after pages were dropped.  The frame is given to somebody else, and a CPU that still remembers it reads and writes what is not its own.
local p = quire.process()
local t = p:thread()
local a = p:mmap { length = "12K", prot = "rw" }
p:write(a + 8192, "stays") -- and so does the page table: what goes with a table is flushed in any case
p:write(a, "secret")
t:write(a + 4096, "secret")
check(t:madvise(a, "8K", "dontneed"))
check.eq(p:read(a, 6), "\0\0\0\0\0\0")
check.eq(t:read(a + 4096, 6), "\0\0\0\0\0\0")
p:write(a, "secret")
t:write(a + 4096, "secret")
check(p:munmap(a, "8K"))
check.fails("SEGV", p:read(a, 1))
check.fails("SEGV", t:write(a + 4096, "x"))
