-- B5, A4: advice that waits until its removal has been heard goes on there; what it has done before may change, what it comes to counts as it is.
local K = 0x1000
local p = quire.process()
local t = p:thread()
local a, u

-- A A B B, where the B are registered.
local function begin()
	a = p:mmap{ length = "16K", prot = "rw" }
	check(p:write(a, ("A"):rep(4 * K)))
	u = p:userfaultfd{ features = { "event_remove" } }
	check(u:register(a + 2 * K, 2 * K, { "wp" }))
	check.fails("blocked", t:madvise(a, 4 * K, "dontneed"))
	check.pagemap(p, a + K, { present = false })
	check.pagemap(p, a + 2 * K, { present = true })
end
local function finish(want, ...)
	check.eq(u:read(), { event = "remove", start = a + 2 * K, finish = a + 4 * K })
	if want then
		check.eq(t:result(), true)
	else
		check.fails(..., t:result())
	end
	check(u:close())
end

-- What has been done is unmapped: no hole.
begin()
check(p:munmap(a, K))
finish(true)
check.pagemap(p, a + 2 * K, { present = false })

-- It is filled again: not done again.  (Not by a store: the kernel has not flushed other CPUs yet.)
begin()
check(p:madvise(a, K, "populate_write"))
finish(true)
check.pagemap(p, a, { present = true })
check.pagemap(p, a + 2 * K, { present = false })

-- It refuses the advice now: too late.
begin()
check(p:mlock(a, K))
finish(true)

-- A hole before it counts, even if it has been filled.
a = p:mmap{ length = "16K", prot = "rw" }
check(p:munmap(a + K, K))
u = p:userfaultfd{ features = { "event_remove" } }
check(u:register(a + 2 * K, 2 * K, { "wp" }))
check.fails("blocked", t:madvise(a, 4 * K, "dontneed"))
check(p:mmap{ length = "4K", prot = "rw", address = a + K, fixed = true })
check(p:write(a + K, "filled"))
finish(false, "ENOMEM")
check.page(p, a + K, "filled")

-- The VMA has grown: what has not been told of is told of now.
begin()
check(p:munmap(a + 3 * K, K))
check(p:mmap{ length = "4K", prot = "rw", address = a + 3 * K, fixed = true })
finish(true)
a = p:mmap{ length = "12K", prot = "rw" }
u = p:userfaultfd{ features = { "event_remove" } }
check(u:register(a, K, { "wp" }))
check.fails("blocked", t:madvise(a, 3 * K, "dontneed"))
check(u:register(a + K, 2 * K, { "wp" }))
check.eq(u:read(), { event = "remove", start = a, finish = a + K })
check.fails("blocked", t:result())
check.eq(u:read(), { event = "remove", start = a + K, finish = a + 3 * K })
check.eq(t:result(), true)
check(u:close())

-- What was to be removed has gone, or refuses now.
begin()
check(p:munmap(a + 2 * K, K))
finish(false, "ENOMEM")
begin()
check(p:mlock(a + 2 * K, K))
finish(false, "EINVAL")
