-- B5: the unmap event. It comes after the memory is gone, one for the whole range of the call.
local p = quire.process()
local K = 0x1000
local u = p:userfaultfd{ features = { "event_unmap" } }
local t = p:thread()
local a = p:mmap{ length = "32K", prot = "rw" }
check(u:register(a, "32K", { "missing" }))

local function unmap(first, last)
	return { event = "unmap", start = a + first * K, finish = a + last * K }
end

check.fails("blocked", t:munmap(a + K, 2 * K))
check.eq(#p:maps(), 2, "it is gone already")
check.eq(u:read(), unmap(1, 3))
check.eq(t:result(), true)

-- Over holes and what is not registered: one event, the range of the call.  R . . R x x R R
check(u:unregister(a + 4 * K, 2 * K))
check.fails("blocked", t:munmap(a, 7 * K))
check.eq(u:read(), unmap(0, 7))
check.eq(t:result(), true)
check.eq(#p:maps(), 1)

-- Mapping something else in its place.
check.fails("blocked", t:mmap{ address = a + 7 * K, length = K, prot = "r", fixed = true })
check.eq(u:read(), unmap(7, 8))
check.eq(t:result(), a + 7 * K)
check.eq((" " .. p:smaps(a + 7 * K).VmFlags .. " "):find(" um ", 1, true), nil)

-- What is not registered goes without.
check(t:munmap(a + 7 * K, K))
check.fails("EAGAIN", u:read())

-- Shrinking, and moving: the old place is unmapped, and the new one is not registered.
a = p:mmap{ length = "16K", prot = "rw" }
check(u:register(a, "16K", { "missing" }))
check.fails("blocked", t:mremap(a, "16K", "8K"))
check.eq(u:read(), unmap(2, 4))
check.eq(t:result(), a)
local to = p:mmap{ address = a - 8 * K, length = "8K", prot = "none" } -- not next to it
check.eq(to, a - 8 * K)
check.fails("blocked", t:mremap(a, "8K", "8K", { maymove = true, fixed = to }))
check.eq(u:read(), unmap(0, 2))
check.eq(t:result(), to)
check.eq((" " .. p:smaps(to).VmFlags .. " "):find(" um ", 1, true), nil)
check.eq(p:touch(to, "w"), true)
check.fails("EAGAIN", u:read())

-- Who waits for a page of unmapped memory is not woken by that; woken, it finds nothing there.
a = p:mmap{ length = "8K", prot = "rw" }
check(u:register(a, "8K", { "missing" }))
local v = p:thread()
check.fails("blocked", v:touch(a, "r"))
check.eq(u:read().address, a)
check.fails("blocked", t:munmap(a, "8K"))
check.eq(u:read(), unmap(0, 2))
check.eq(t:result(), true)
check.fails("blocked", v:result())
check(u:wake(a, "8K"))
check.fails("SEGV", v:result())
