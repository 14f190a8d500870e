-- G: a stale TLB after fork.  The parent's entries are read-only now, but its CPUs still remember that they were writable: the parent's next write
-- lands in the page that the child shares.
local p = quire.process()
local t = p:thread()
local a = p:mmap { length = "8K", prot = "rw" }
p:write(a, "before")
t:write(a + 4096, "before")
local c = p:fork()
check.eq(p:write(a, "after!"), true)
check.eq(t:write(a + 4096, "after!"), true)
check.page(c, a, "before")
check.page(c, a + 4096, "before")
check.page(p, a, "after!")
check.page(p, a + 4096, "after!")
