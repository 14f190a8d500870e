-- A6: a page that is pinned and that its process has lost, by DONTNEED, munmap, truncation, MADV_FREE, mremap or its end, is still the pin's, and
-- nobody else's; what the process gets in its place is new.
quire.setup { swap = "64M" }
local K <const> = 0x1000
local p = quire.process()
local a = p:mmap { length = "64K", prot = "rw" }

-- Dropped: the process reads zeros, and writes to another page.
check(p:write(a, "old"))
local pin = p:pin(a, 2 * K)
check(p:madvise(a, 2 * K, "dontneed"))
check.eq(p:rss().anon, 0)
check.page(p, a, "")
check(p:write(a, "new"))
check(p:madvise(a, 2 * K, "pageout"))
check.pagemap(p, a, { present = false, swapped = true })
check.page(p, a, "new")
check(pin:release())
check.page(p, a, "new")

-- Pinned twice: one release is not enough.
local first, second = p:pin(a, K), p:pin(a, K)
check(first:release())
check(p:madvise(a, K, "pageout"))
check.pagemap(p, a, { present = true })
check(second:release())
check(p:madvise(a, K, "pageout"))
check.pagemap(p, a, { present = false, swapped = true })

-- Moved by mremap: the page is the same.
local to = p:mmap { length = "64K", prot = "none" }
pin = p:pin(a, K)
check.eq(p:mremap(a, K, K, { maymove = true, fixed = to }), to)
check(p:madvise(to, K, "pageout"))
check.pagemap(p, to, { present = true, exclusive = true })
local c = p:fork()
check.pagemap(c, to, { present = true, exclusive = true })
c:exit()

-- Freed lazily: it stays all the same.
check(p:madvise(to, K, "free"))
check(p:madvise(to, K, "pageout"))
check.pagemap(p, to, { present = true })
check.page(p, to, "new")

-- Unmapped.
check(p:munmap(to, K))
check.eq(p:mmap { length = K, prot = "rw", address = to, fixed = true }, to)
check.page(p, to, "")
check(pin:release())

-- Locked memory, memory without permissions, and mprotect while it is pinned.
local l = p:mmap { length = "16K", prot = "rw" }
pin = p:pin(l, 2 * K)
check(p:mlock(l, 2 * K))
check(p:munlock(l, 2 * K))
check(p:mprotect(l, 2 * K, "none"))
check.fails("EFAULT", p:pin(l, K))
check.fails("SEGV", p:write(l, "x"))
check(p:mprotect(l, 2 * K, "rw"))
check(p:write(l, "x"))
check(p:madvise(l, "16K", "pageout"))
check.pagemap(p, l, { present = true, exclusive = true })

-- The process ends with its pins.
pin = p:pin(a + 4 * K, 2 * K)
p:exit()

-- Truncated and punched: the file has lost the page; a mapping gets another.
p = quire.process()
local f = quire.shmem { size = "64K" }
local s = p:mmap { length = "64K", prot = "rw", shared = true, file = f }
check(p:write(s, "shared"))
check(p:write(s + K, "shared"))
pin = p:pin(s, 2 * K)
check(f:punch(0, K))
check(f:truncate(K))
check(f:truncate("64K"))
check.eq(f:resident(0, "64K"), 0)
check.page(p, s, "")
check.page(p, s + K, "")
check(p:write(s, "again"))
check(p:madvise(s, 2 * K, "pageout"))
check.eq(f:resident(0, K), 0)
check(pin:release())
check.page(p, s, "again")

-- A child has the same page of shared memory, pinned or not.
pin = p:pin(s, K)
c = p:fork()
check(p:write(s, "parent"))
check.page(c, s, "parent")
check(p:madvise(s, K, "pageout"))
check.eq(f:resident(0, K), 1)
c:exit()
check(pin:release())

-- When the process that pinned it has ended, a page may go.
local first = quire.process()
local s = first:mmap { length = K, prot = "rw", shared = true }
local second = first:fork()
check(second:pin(s, K))
second:exit()
first:read(s, 1)
check(first:madvise(s, K, "pageout"))
check.eq(first:mincore(s, K), { false })

-- swapoff brings back what is in swap; pages that are pinned are in its way no more than others.
a = p:mmap { length = "16K", prot = "rw" }
check(p:write(a, "in"))
check(p:write(a + K, "out"))
pin = p:pin(a, K)
check(p:madvise(a, 2 * K, "pageout"))
check(quire.swapoff())
check.pagemap(p, a, { present = true })
check.pagemap(p, a + K, { present = true })
check.page(p, a, "in")
check.page(p, a + K, "out")
