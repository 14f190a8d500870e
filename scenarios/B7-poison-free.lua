-- B7: madvise(free) drops poison, as dontneed does; cold leaves it.
local p = quire.process()
local a = p:mmap { length = "16K", prot = "rw" }
local u = p:userfaultfd { features = { "poison" } }
check(u:register(a, "16K", { "missing" }))
check.eq(u:poison(a, "16K"), 16384)
check(p:madvise(a, "4K", "free"))
check(p:madvise(a + 4096, "4K", "dontneed"))
check(p:madvise(a + 8192, "4K", "cold"))
check.pagemap(p, a, { swapped = false })
check.pagemap(p, a + 4096, { swapped = false })
check.pagemap(p, a + 8192, { swapped = true })
check.fails("BUS", p:read(a + 8192, 1))
check(u:unregister(a, "16K"))
check.eq(p:read(a, 1), "\0")
check.fails("BUS", p:read(a + 12288, 1))
