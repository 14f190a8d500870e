-- G: the dirty bit lost on the way.  A page that may be dropped while it is clean was written to, and then moved; if it arrives clean, reclaim may throw
-- the content away.
local p = quire.process()
local from = p:mmap { length = "4K", prot = "rw" }
local gap = p:mmap { length = "4K", prot = "none" }
local to = p:mmap { length = "4K", prot = "rw" }
local there = p:mmap { length = "4K", prot = "none" }
local u = p:userfaultfd { features = { "move" } }
check(u:register(to, "4K", { "missing" }))
p:write(from, "old")
check(p:madvise(from, "4K", "free"))
p:write(from, "new")
check.eq(u:move(to, from, "4K"), 4096)
check.eq(p:smaps(to).Private_Dirty, 4096)
check(p:madvise(to, "4K", "pageout"))
check.page(p, to, "new")

-- By mremap.
check(p:madvise(to, "4K", "free"))
p:write(to, "NEW")
check.eq(p:mremap(to, "4K", "4K", { maymove = true, fixed = there }), there)
check.eq(p:smaps(there).Private_Dirty, 4096)
check(p:madvise(there, "4K", "pageout"))
check.page(p, there, "NEW")
