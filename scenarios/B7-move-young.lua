-- B7: a page that UFFDIO_MOVE has moved counts as used, also one that was old.
local K <const> = 4096
local p = quire.process()
local a = p:mmap { length = 8 * K, prot = "rw" }
local u = p:userfaultfd {}
check(u:register(a, 8 * K, { "missing" }))
check.eq(u:copy(a, ("c"):rep(3 * K)), 3 * K)
check(p:madvise(a, 2 * K, "cold"))
check.eq(p:smaps(a).Referenced, K)
check.eq(u:move(a + 4 * K, a, K), K)
check.eq(p:smaps(a).Referenced, 2 * K)
