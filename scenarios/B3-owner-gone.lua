-- B3, B6: the process ends, and threads of it that wait end with it. Its userfaultfd can still be asked.
local p = quire.process()
local K = 0x1000
local a = p:mmap{ length = "64K", prot = "rw" }
local u = p:userfaultfd{ features = { "event_remove" } }
check(u:register(a, "64K", { "missing", "wp" }))
local t, v = p:thread(), p:thread()
check.eq(u:zeropage(a + 2 * K, K), K)
check.fails("blocked", p:touch(a, "w"))
check.fails("blocked", t:touch(a + K, "r"))
check.fails("blocked", v:madvise(a + 2 * K, K, "dontneed"))
check.eq(u:read().address, a)
p:exit()

local ESRCH = -3
check.fails("EAGAIN", u:read()) -- nobody waits any more
check.eq(u:poll().readable, false)
check.fails("ESRCH", u:copy(a, ("C"):rep(K)))
check.fails("ESRCH", u:zeropage(a, K))
check.fails("ESRCH", u:continue(a, K))
check.fails("ESRCH", u:poison(a, K))
check.fails("ESRCH", u:writeprotect(a, K, true))
check.fails("ENOMEM", u:register(a, K, { "missing" }))
check.fails("ENOMEM", u:unregister(a, K))
check(u:wake(a, K))
-- Pages move inside the caller's memory only, and the caller is another.
check.eq({ u:move(a, a + K, K) }, { nil, "EINVAL", 0 })

-- What is asked is looked at first.
check.fails("EINVAL", u:register(a, K + 1, { "missing" }))
check.fails("EINVAL", u:unregister(a + 1, K))
check.fails("EINVAL", u:wake(a, 0))
check.fails("EINVAL", u:writeprotect(a, -K, true))
check.eq({ u:copy(a, "") }, { nil, "EINVAL", 0 })
check.eq({ u:zeropage(1 << 47, K) }, { nil, "EINVAL", 0 })
check.eq({ u:poison(a + 8, K) }, { nil, "EINVAL", 0 })
check(u:close())
