-- G: the dirty bit lost on the way.  A page that may be dropped while it is clean was written to, and then gets another frame; if it arrives clean,
-- reclaim may throw the content away.
local p = quire.process()
local a = p:mmap { length = "4K", prot = "rw" }
check(p:write(a, "old"))
check(p:madvise(a, "4K", "free"))
check(p:write(a, "new"))
check.eq(p:migrate(a, "4K"), 1)
check.eq(p:smaps(a).Private_Dirty, 4096)
check(p:madvise(a, "4K", "pageout"))
check.page(p, a, "new")

-- What was not written to since is as free as before.
check(p:madvise(a, "4K", "free"))
check.eq(p:migrate(a, "4K"), 1)
check.eq(p:smaps(a).LazyFree, 4096)
check(p:madvise(a, "4K", "pageout"))
check.page(p, a, "")
