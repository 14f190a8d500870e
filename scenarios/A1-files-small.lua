-- A1: small things about memory of files: what gives a VMA its identity, what becomes of pages that nobody has written to.
local K <const> = 4096
local p = quire.process()

-- A write beyond the end of the file fails, but the VMA has an identity of its own then; guards give it none.
local f = quire.shmem { size = 0 }
local a = p:mmap { length = 40 * K, prot = "rw", file = f }
check(p:mlock(a + 16 * K, K) == nil)
check.fails("EFAULT", p:syscall_write(a + 6 * K, "s"))
check(p:munlock(a, 40 * K))
check.eq(#p:maps(), 2)
check(p:munmap(a, 40 * K))
a = p:mmap { length = 6 * K, prot = "rw", file = f }
local u = p:userfaultfd {}
check(u:register(a + K, K, { "minor" }))
check(p:madvise(a, 5 * K, "guard_install"))
check(u:close())
check.eq(#p:maps(), 1)
check(p:munmap(a, 6 * K))

-- A MOVE that is refused leaves shared memory without one, so that fork copies nothing of it.
a = p:mmap { length = 2 * K, prot = "rw", shared = true }
u = p:userfaultfd {}
check(u:register(a, 2 * K, { "wp" }))
check.fails("EINVAL", u:move(a, a, K))
check.eq(u:copy(a, ("c"):rep(K)), K)
local c = p:fork()
check.pagemap(c, a, { present = false })
c:exit()

-- ZEROPAGE replaces a guard in shared memory.
check(p:madvise(a + K, K, "guard_install"))
check.eq(u:zeropage(a + K, K), K)
check.eq(p:read(a + K, 1), "\0")
check(p:munmap(a, 2 * K))

-- Shared memory is not merged by KSM, and nobody is told.
a = p:mmap { length = 2 * K, prot = "rw", shared = true }
check(p:madvise(a, K, "mergeable"))
check.eq(#p:maps(), 1)
check(p:munmap(a, 2 * K))

-- A page that was only allocated is not in core until it is asked for again.
f = quire.shmem { size = K }
a = p:mmap { length = K, prot = "rw", file = f }
check(f:allocate(0, K))
check.eq(p:mincore(a, K), { false })
check(f:allocate(0, 1))
check.eq(p:mincore(a, K), { true })

-- A page of zeros that nobody has written to can be taken out of memory even without swap.
a = p:mmap { length = K, prot = "r", shared = true, populate = true }
check.eq(p:mincore(a, K), { true })
check(p:madvise(a, K, "pageout"))
check.eq(p:mincore(a, K), { false })
