-- B3: a signal to a thread that has been woken already, whose result nobody has asked for yet, changes nothing of its call.
local K <const> = 4096
local p = quire.process()
local a = p:mmap { length = 4 * K, prot = "rw" }
check(p:write(a, "x"))
local u = p:userfaultfd { features = { "event_remove", "event_fork", "event_remap", "event_unmap" } }
check(u:register(a, 4 * K, { "missing" }))
local t = p:thread()

-- Its event has been read.
check.fails("blocked", t:madvise(a, 2 * K, "dontneed"))
check.eq(u:read().event, "remove")
check(t:signal())
check.eq(t:result(), true)
check.fails("blocked", t:fork())
check.eq(u:read().event, "fork")
check(t:signal())
check(t:signal())
check(t:result():exit())
check.fails("blocked", t:mremap(a + 3 * K, K, K, { maymove = true, fixed = a + 16 * K }))
check.eq(u:read().event, "remap")
check(t:signal())
check.fails("blocked", t:result()) -- the old place's unmapping is to be told as well
check.eq(u:read().event, "unmap")
check(t:signal())
check.eq(t:result(), a + 16 * K)

-- Its fault has been resolved.
check.fails("blocked", t:read(a, 1))
check.eq(u:read().address, a)
check.eq(u:copy(a, ("c"):rep(K)), K)
check(t:signal())
check.eq(t:result(), "c")
check.fails("blocked", t:syscall_write(a + K, "s"))
check.eq(u:zeropage(a + K, K), K)
check(t:signal())
check.eq(t:result(), true)

-- The context is gone.
check.fails("blocked", t:write(a + 2 * K, "w"))
check(u:close())
check(t:signal())
check.eq(t:result(), true)
