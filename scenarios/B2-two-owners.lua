-- B2: memory belongs to one userfaultfd at a time.
local p = quire.process()
local a = p:mmap{ length = "16K", prot = "rw" }
local K = 0x1000
local u, v = p:userfaultfd{}, p:userfaultfd{}

local function missing(page)
	return (" " .. p:smaps(a + page * K).VmFlags .. " "):find(" um ", 1, true) ~= nil
end

-- U V . .
check(u:register(a, K, { "missing" }))
check.fails("EBUSY", v:register(a, K, { "missing" }))
check.fails("EBUSY", v:register(a, K, { "wp" }))
check.fails("EBUSY", v:register(a, 2 * K, { "missing" }))
check.eq(missing(1), false, "a refused call has changed nothing")
check(v:register(a + K, K, { "missing" }))

-- Neither takes away what is the other's.
check.fails("EINVAL", v:unregister(a, K))
check.eq(missing(0), true)
check.fails("EINVAL", u:unregister(a, 2 * K))
check.eq({ missing(0), missing(1) }, { true, true })
check(u:unregister(a + 3 * K, K)) -- nobody's

-- Faults go to the owner.
check.fails("blocked", p:touch(a, "r"))
check.fails("EAGAIN", v:read())
check.eq(u:read().address, a)
check.eq(u:zeropage(a, K), K)
check.eq(p:thread_result(), true)
check.fails("blocked", p:touch(a + K, "r"))
check.fails("EAGAIN", u:read())
check.eq(v:read().address, a + K)
-- To resolve one needs no ownership.
check.eq(u:zeropage(a + K, K), K)
check.fails("blocked", p:thread_result())
-- But it does not wake who waits for another.
check(v:wake(a + K, K))
check.eq(p:thread_result(), true)

-- When one closes, the other may have it.
check(u:close())
check.eq({ missing(0), missing(1) }, { false, true })
check(v:register(a, K, { "missing" }))
check.eq({ missing(0), missing(1) }, { true, true })
