-- B5: MADV_REMOVE that waits until its event is read makes the hole that it has told of, whatever becomes of its memory meanwhile.
local K <const> = 4096
local function begin()
	local p = quire.process()
	local f = quire.shmem { size = 4 * K }
	check(f:write(0, ("x"):rep(4 * K)))
	local a = p:mmap { length = 4 * K, prot = "rw", shared = true, file = f }
	local u = p:userfaultfd { features = { "event_remove" } }
	check(u:register(a, 4 * K, { "wp" }))
	local t = p:thread()
	check.fails("blocked", t:madvise(a, 2 * K, "remove"))
	check.eq(f:resident(0, 4 * K), 4)
	return p, f, a, u, t
end
local function finish(f, u, t)
	check.eq(u:read().event, "remove")
	check.eq(t:result(), true)
	check.eq(f:resident(0, 4 * K), 2)
end

local p, f, a, u, t = begin()
check(p:munmap(a, 4 * K))
finish(f, u, t)

p, f, a, u, t = begin()
check(p:mremap(a + K, K, K, { maymove = true, fixed = a }))
finish(f, u, t)

p, f, a, u, t = begin()
check(u:register(a + K, K, { "minor" })) -- splits it
finish(f, u, t)

p, f, a, u, t = begin()
p:exit()
check.eq(f:resident(0, 4 * K), 2)
