-- A6: fork and pins.  Each child gets a copy of what is pinned, as the VMA has it for children: protected, wiped, not at all; also of pages that a pin
-- has which sleeps for the next.
local K <const> = 0x1000
local p = quire.process()
local a = p:mmap { length = "64K", prot = "rw" }
for i = 0, 3 do
	check(p:write(a + i * K, "page" .. i))
end
local pin = p:pin(a + K, 2 * K)
local c = p:fork()
for i = 0, 3 do
	local own = i == 1 or i == 2
	check.pagemap(p, a + i * K, { present = true, exclusive = own })
	check.pagemap(c, a + i * K, { present = true, exclusive = own })
	check.page(c, a + i * K, "page" .. i)
end
-- Both write at once, without a fault of copying; neither sees the other's.
check(p:write(a + K, "parent"))
check(c:write(a + K, "child"))
check.page(p, a + K, "parent")
check.page(c, a + K, "child")
check.eq(p:smaps(a).Shared_Dirty, 2 * K)
check.eq(c:smaps(a).Private_Dirty, 2 * K)
-- A grandchild shares the child's copies.
local g = c:fork()
check.pagemap(g, a + K, { present = true, exclusive = false })
g:exit()
c:exit()

-- Read-only by now: the copy is, too.
check(p:mprotect(a + K, K, "r"))
c = p:fork()
check.pagemap(c, a + K, { present = true, exclusive = true })
check.fails("SEGV", c:write(a + K, "x"))
check(c:mprotect(a + K, K, "rw"))
check(c:write(a + K, "x"))
check.page(p, a + K, "parent")
c:exit()
check(p:mprotect(a + K, K, "rw"))

-- Wiped, or left behind.
check(p:madvise(a + K, K, "wipeonfork"))
check(p:madvise(a + 2 * K, K, "dontfork"))
c = p:fork()
check.page(c, a + K, "")
check.fails("SEGV", c:read(a + 2 * K, 1))
c:exit()
check(p:madvise(a + K, K, "keeponfork"))
check(p:madvise(a + 2 * K, K, "dofork"))

-- Protected: the copy is protected where the child hears of it, and writable where it does not.
local u = p:userfaultfd {}
check(u:register(a, 4 * K, { "wp" }))
check(u:writeprotect(a, 4 * K, true))
c = p:fork()
check.pagemap(p, a + K, { present = true, exclusive = true, uffd_wp = true })
check.pagemap(c, a + K, { present = true, exclusive = true, uffd_wp = false })
check(c:write(a + K, "free"))
check.page(p, a + K, "parent")
check.fails("blocked", p:write(a + K, "w"))
check.eq(u:read(), { event = "pagefault", address = a + K, write = true, wp = true, minor = false })
check(u:writeprotect(a + K, K, false))
check.eq(p:thread_result(), true)
check.pagemap(p, a + K, { present = true, exclusive = true })
c:exit()
check(u:close())
check(pin:release())

-- UFFDIO_MOVE: a page that is there already comes first, a pin second.
u = p:userfaultfd {}
local to = p:mmap { length = "64K", prot = "rw" }
check(u:register(to, "64K", { "missing" }))
pin = p:pin(a, K)
check.eq(u:zeropage(to, K), K)
check.eq({ u:move(to, a, K) }, { nil, "EEXIST", -17 })
check.eq({ u:move(to + K, a, K) }, { nil, "EBUSY", -16 })
check(pin:release())
check.eq(u:move(to + K, a, K), K)
check(u:close())

-- A pin that sleeps has the pages before already.
local b = p:mmap { length = "64K", prot = "rw" }
local v = p:userfaultfd {}
local t = p:thread()
check(p:write(b, "first"))
check(v:register(b + K, K, { "missing" }))
check.fails("blocked", t:pin(b, 2 * K))
c = p:fork()
check.pagemap(p, b, { present = true, exclusive = true })
check.pagemap(c, b, { present = true, exclusive = true })
check.page(c, b, "first")
c:exit()
check.eq(v:read(), { event = "pagefault", address = b + K, write = true, wp = false, minor = false })
-- What is asked for as it sleeps does not fit any more when it is served.
check(p:mprotect(b + K, K, "r"))
check.eq(v:zeropage(b + K, K), K)
check.fails("EFAULT", t:result())
c = p:fork()
check.pagemap(c, b, { present = true, exclusive = false })
c:exit()
