-- C18, A4: guard pages that a scan has protected stay so when guards are installed over them; removed, they are gone with the protection.
local p = quire.process()
local K = 0x1000
local a = p:mmap{ length = 4 * K, prot = "rw" }
local u = p:userfaultfd{ features = { "wp_async", "wp_unpopulated" } }

check(u:register(a, 4 * K, { "wp" }))
check(p:madvise(a + K, 2 * K, "guard_install"))
check((p:scan{ start = a + K, length = K, wp = true }))
check.pagemap(p, a + K, { guard = true, uffd_wp = true })
check(p:madvise(a, 4 * K, "guard_install"))
check.pagemap(p, a, { guard = true, uffd_wp = false })
check.pagemap(p, a + K, { guard = true, uffd_wp = true })
check.pagemap(p, a + 2 * K, { guard = true, uffd_wp = false })
check.pagemap(p, a + 3 * K, { guard = true, uffd_wp = false })
check.fails("SEGV", p:touch(a + K, "r"))
check(p:madvise(a + K, K, "dontneed"))
check.pagemap(p, a + K, { guard = true, uffd_wp = true })

check(p:madvise(a, 4 * K, "guard_remove"))
check.pagemap(p, a + K, { guard = false, swapped = false, uffd_wp = false })
check(p:write(a + K, "through"))
