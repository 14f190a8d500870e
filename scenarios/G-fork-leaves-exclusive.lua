-- G: a shared page that is taken for one's own.  After fork both sides map the page; an entry that still says it has it alone gets its write permission
-- back at the next fault, and one process writes into the other's memory.
local p = quire.process()
local a = p:mmap { length = "4K", prot = "rw" }
p:write(a, "shared")
local c = p:fork()
check.pagemap(p, a, { exclusive = false })
check.pagemap(c, a, { exclusive = false })
check(p:write(a, "parent"))
check.page(c, a, "shared")
local d = c:fork()
check(p:mprotect(a, "4K", "r"))
check(c:mprotect(a, "4K", "r"))
check(c:mprotect(a, "4K", "rw"))
check(c:write(a, "child!"))
check.page(d, a, "shared")
check.page(p, a, "parent")
