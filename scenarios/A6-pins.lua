-- A6: a long-term pin keeps pages where they are: no reclaim, no move, and a fork gives the child a copy.
quire.setup { swap = "64M" }
local K <const> = 0x1000
local p = quire.process()
local f = quire.shmem { size = "64K" }
local a = p:mmap { length = "64K", prot = "rw" }
local s = p:mmap { length = "64K", prot = "rw", shared = true, file = f }

-- Pages are faulted in for writing: a page of zeros becomes a page.
check(p:touch(a, "r"))
local pin = p:pin(a, 4 * K)
check.pagemap(p, a, { present = true, exclusive = true })
check.eq(p:rss().anon, 4 * K)
check(p:write(a, "pinned"))
check(p:write(a + 8 * K, "plain"))

-- Reclaim leaves them.
check(p:madvise(a, "64K", "pageout"))
check.pagemap(p, a, { present = true })
check.pagemap(p, a + 8 * K, { present = false, swapped = true })

-- A fork copies them at once, for the child; the parent keeps its page.
check(p:write(a + 8 * K, "plain"))
local c = p:fork()
check.pagemap(c, a, { present = true, exclusive = true })
check.pagemap(p, a, { present = true, exclusive = true })
check.pagemap(c, a + 8 * K, { present = true, exclusive = false })
check.page(c, a, "pinned")
check(c:write(a, "child"))
check.page(p, a, "pinned")
c:exit()

-- UFFDIO_MOVE refuses them.
local u = p:userfaultfd {}
local to = p:mmap { length = "64K", prot = "rw" }
check(u:register(to, "64K", { "missing" }))
check.eq({ u:move(to, a, K) }, { nil, "EBUSY", -16 })

-- Unmapped and forgotten by the process, the pages live until the release.
check(pin:release())
check(p:write(a, "again"))
check(p:madvise(a, K, "pageout"))
check.pagemap(p, a, { present = false, swapped = true })

-- Shared memory.
local second = p:pin(s, K)
check.eq(f:resident(0, "64K"), 1)
check(p:madvise(s, K, "pageout"))
check.eq(f:resident(0, K), 1)
check(second:release())
check(p:touch(s, "w"))
check(p:madvise(s, K, "pageout"))
check.eq(f:resident(0, K), 0)

-- All or nothing.
check(p:mprotect(a + 12 * K, K, "r"))
check.fails("EFAULT", p:pin(a + 10 * K, 4 * K))
check.fails("EFAULT", p:pin(a + 12 * K, K))
check(p:munmap(a + 14 * K, K))
check.fails("EFAULT", p:pin(a + 13 * K, 2 * K))
check.fails("EFAULT", p:pin(a, 0))

-- It sleeps where a write would.
local v = p:userfaultfd { features = { "wp_unpopulated" } }
local b = p:mmap { length = "64K", prot = "rw" }
local t = p:thread()
check(v:register(b, "64K", { "missing", "wp" }))
check.fails("blocked", t:pin(b, 2 * K))
check.eq(v:read(), { event = "pagefault", address = b, write = true, wp = false, minor = false })
check.eq(v:copy(b, ("c"):rep(K), { wp = true }), K)
check.fails("blocked", t:result())
check.eq(v:read(), { event = "pagefault", address = b, write = true, wp = true, minor = false })
check(v:writeprotect(b, K, false))
check.fails("blocked", t:result())
check.eq(v:read(), { event = "pagefault", address = b + K, write = true, wp = false, minor = false })
check.eq(v:zeropage(b + K, K), K)
local third = t:result()
check.eq(v:read_all(), {})
-- Pinned pages can be protected; the pin's own writes would not notice.
check(v:writeprotect(b, K, true))
check.fails("blocked", t:write(b, "x"))
check(v:writeprotect(b, K, false))
check.eq(t:result(), true)
check(third:release())
