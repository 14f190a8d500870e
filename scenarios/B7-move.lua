-- B7: MOVE takes a page from one place to another, without a copy.
local p = quire.process()
local K = 0x1000
local to = p:mmap{ length = "32K", prot = "rw" }
check(p:mprotect(to, "32K", "rw"))
local gap = p:mmap{ length = "4K", prot = "none" }
local from = p:mmap{ length = "32K", prot = "rw" }
local u = p:userfaultfd{ features = { "move", "wp_unpopulated" } }
local ENOENT, EBUSY, EEXIST, EINVAL = -2, -16, -17, -22
check(u:register(to, "32K", { "missing", "wp" }))

-- The source need not be registered.
check(p:write(from, ("S"):rep(4 * K)))
check.eq(u:move(to, from, K), K)
check.page(p, to, "SSSS")
check.pagemap(p, to, { present = true, exclusive = true })
check.pagemap(p, from, { present = false, swapped = false })
check.page(p, from, "\0\0\0\0")

-- Who waits for the page is woken.
local t = p:thread()
check.fails("blocked", t:read(to + K, 2))
check.eq(u:read().address, to + K)
check.eq(u:move(to + K, from + K, K, { dontwake = true }), K)
check.fails("blocked", t:result())
check(u:wake(to + K, K))
check.eq(t:result(), "SS")

-- Onto what is there.
check.eq({ u:move(to, from + 2 * K, K) }, { nil, "EEXIST", EEXIST })
check.page(p, from + 2 * K, "SSSS")
check(u:writeprotect(to + 7 * K, K, true))
check.eq({ u:move(to + 7 * K, from + 2 * K, K) }, { nil, "EEXIST", EEXIST })

-- Nothing there to move.  from: Z . S S . . . .
check.eq({ u:move(to + 2 * K, from + K, K) }, { nil, "ENOENT", ENOENT })
check.eq(u:move(to + 2 * K, from + K, K, { allow_src_holes = true }), K)
check.pagemap(p, to + 2 * K, { present = false })
check.eq({ u:move(to + 2 * K, from + 2 * K, 3 * K) }, { nil, "EAGAIN", 2 * K })
check.page(p, to + 3 * K, "SSSS")
check(p:write(from + 6 * K, "T"))
check.eq(u:move(to + 4 * K, from + 4 * K, 3 * K, { allow_src_holes = true }), 3 * K)
check.page(p, to + 6 * K, "T")
check.pagemap(p, to + 5 * K, { present = false })

-- The page of zeros moves, too.
check(u:move(to + 4 * K, from, K))
check.pagemap(p, to + 4 * K, { present = true, exclusive = false })
check.pagemap(p, from, { present = false })

-- A protected page arrives without protection.
check(p:write(from, "W"))
check(u:register(from, "32K", { "wp" }))
check(u:writeprotect(from, K, true))
check.eq(u:move(to + 5 * K, from, K), K)
check.pagemap(p, to + 5 * K, { present = true, uffd_wp = false })
check.eq(p:write(to + 5 * K, "w"), true)

-- Shared with a child: busy, and so it stays when the child is gone.
check(p:madvise(to, "32K", "dontneed"))
check(p:write(from, "S"))
local c = p:fork()
check.eq({ u:move(to, from, K) }, { nil, "EBUSY", EBUSY })
c:exit()
check.eq({ u:move(to, from, K) }, { nil, "EBUSY", EBUSY })
check(p:write(from, "own again"))
check.pagemap(p, from, { present = true, exclusive = true })

-- Arguments.
check.eq({ u:move(to, from, 0) }, { nil, "EINVAL", 0 })
check.eq({ u:move(to + 1, from, K) }, { nil, "EINVAL", 0 })
check.eq({ u:move(to, from + 1, K) }, { nil, "EINVAL", 0 })
check.eq({ u:move(to, from, K, { mode = 4 }) }, { nil, "EINVAL", 0 })
check.eq({ u:move(to, 1 << 20, K) }, { nil, "ENOENT", ENOENT })
check(u:unregister(from, "32K"))
check.eq({ u:move(from + K, to, K) }, { nil, "EINVAL", EINVAL })
check(p:mprotect(from, "32K", "r"))
check.eq({ u:move(to, from, K) }, { nil, "EINVAL", EINVAL })
check(p:mprotect(from, "32K", "rw"))
check(p:mlock(from, K))
check.eq({ u:move(to, from, K) }, { nil, "EINVAL", EINVAL })
