-- G: the dirty bit lost with the write permission.  A page that may be dropped while it is clean was written to, and must be kept; protection that
-- takes the dirty bit along lets reclaim throw the content away.
local p = quire.process()
local a = p:mmap { length = "4K", prot = "rw" }
local u = p:userfaultfd {}
check(u:register(a, "4K", { "wp" }))
p:write(a, "old")
check(p:madvise(a, "4K", "free"))
check(p:write(a, "new"))
check(u:writeprotect(a, "4K", true))
check.eq(p:smaps(a).Private_Dirty, 4096)
check(p:madvise(a, "4K", "pageout"))
check.page(p, a, "new")
check(u:writeprotect(a, "4K", false))
check(p:madvise(a, "4K", "pageout"))
check.page(p, a, "new")
