-- G: a stale TLB at the source of a move.  The page has gone to another address; a CPU that still remembers it at the old one writes to it behind the
-- back of its new owner.
local p = quire.process()
local t = p:thread()
local to = p:mmap { length = "8K", prot = "rw" }
local gap = p:mmap { length = "4K", prot = "none" }
local from = p:mmap { length = "8K", prot = "rw" }
local u = p:userfaultfd { features = { "move" } }
check(u:register(to, "8K", { "missing" }))
p:write(from, "page")
t:write(from + 4096, "page")
check.eq(u:move(to, from, "8K"), 8192)
check.eq(p:read(from, 4), "\0\0\0\0")
check(p:write(from, "x"))
check(t:write(from + 4096, "x"))
check.page(p, to, "page")
check.page(p, to + 4096, "page")

-- mremap the same: nothing is there any more.
p:write(to, "page")
t:write(to + 4096, "page")
local there = p:mmap { length = "8K", prot = "none" }
check.eq(p:mremap(to, "8K", "8K", { maymove = true, fixed = there }), there)
check.fails("SEGV", p:write(to, "x"))
check.fails("SEGV", t:write(to + 4096, "x"))
check.page(p, there, "page")
