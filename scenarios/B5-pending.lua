-- B5: while an event is not read, requests that would change pages give EAGAIN; registering works.
local p = quire.process()
local K = 0x1000
local EAGAIN = -11
local a = p:mmap{ length = "64K", prot = "rw" }
local source = p:mmap{ length = "4K", prot = "rw" }
local u = p:userfaultfd{ features = { "event_remove" } }
local t = p:thread()
check(p:write(source, "source"))
check(p:write(a + K, "A"))
check(u:register(a, "64K", { "missing", "wp" }))

check.fails("blocked", t:madvise(a + K, K, "dontneed"))
check.eq({ u:copy(a, ("C"):rep(K)) }, { nil, "EAGAIN", EAGAIN })
check.eq({ u:copy(a, source, K) }, { nil, "EAGAIN", EAGAIN })
check.eq({ u:zeropage(a, K) }, { nil, "EAGAIN", EAGAIN })
check.eq({ u:continue(a, K) }, { nil, "EAGAIN", EAGAIN })
check.eq({ u:poison(a, K) }, { nil, "EAGAIN", EAGAIN })
check.eq({ u:move(a, source, K) }, { nil, "EAGAIN", EAGAIN })
check.fails("EAGAIN", u:writeprotect(a, K, true))
check.fails("EAGAIN", u:writeprotect(a, K, false))
check.pagemap(p, a, { present = false, swapped = false })
check(u:wake(a, K))
check(u:register(a + 8 * K, 8 * K, { "missing" }))
check(u:unregister(a + 15 * K, K))
check(p:mprotect(a + 14 * K, K, "r"))

-- A fault is read before the older event.
check.fails("blocked", p:touch(a + 2 * K, "r"))
check.eq(u:read(), { event = "pagefault", address = a + 2 * K, write = false, wp = false, minor = false })
check.eq({ u:zeropage(a + 2 * K, K) }, { nil, "EAGAIN", EAGAIN })
check.eq(u:read(), { event = "remove", start = a + K, finish = a + 2 * K })
check.eq(t:result(), true)

-- And now they work.
check.eq(u:zeropage(a + 2 * K, K), K)
check.eq(p:thread_result(), true)
check.eq(u:copy(a, ("C"):rep(K)), K)
check(u:writeprotect(a, K, true))
check.pagemap(p, a, { present = true, uffd_wp = true })

-- Another userfaultfd of the process is not concerned.
local b = p:mmap{ length = "4K", prot = "rw" }
local v = p:userfaultfd{}
check(v:register(b, K, { "missing" }))
check.fails("blocked", t:madvise(a, K, "dontneed"))
check.eq(v:zeropage(b, K), K)
check.eq(u:read().event, "remove")
check.eq(t:result(), true)
