-- G: a stale TLB after mprotect.  The entries are read-only, the CPUs still remember otherwise, and a write lands that should have been a SEGV.
local p = quire.process()
local t = p:thread()
local a = p:mmap { length = "4K", prot = "rw" }
p:write(a, "page")
t:write(a, "page")
check(p:mprotect(a, "4K", "r"))
check.fails("SEGV", p:write(a, "x"))
check.fails("SEGV", t:write(a, "x"))
check.page(p, a, "page")
check(t:mprotect(a, "4K", "none"))
check.fails("SEGV", p:read(a, 1))
check.fails("SEGV", t:read(a, 1))
