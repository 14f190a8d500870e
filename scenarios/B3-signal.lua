-- B3: a signal to a thread that waits for a page: after its handler the thread faults again.
local p = quire.process()
local K = 0x1000
local a = p:mmap{ length = "16K", prot = "rw" }
local u = p:userfaultfd{}
check(u:register(a, "16K", { "missing" }))
local t = p:thread()
local fault = { event = "pagefault", address = a, write = false, wp = false, minor = false }

check.fails("blocked", t:read(a, 2))
check.eq(u:read(), fault)
check(t:signal())
check.eq(u:read(), fault)
check.fails("EAGAIN", u:read())
check.fails("blocked", t:result())
-- A report that was not read is replaced.
check(t:signal())
check(t:signal())
check.eq(u:read_all(), { fault })
check.eq(u:copy(a, ("C"):rep(K)), K)
check.eq(t:result(), "CC")
check.fails("EAGAIN", u:read())

-- Where the kernel waits on the thread's behalf, a signal has to wait as well.
fault = { event = "pagefault", address = a + K, write = true, wp = false, minor = false }
check.fails("blocked", t:syscall_write(a + K, "kernel"))
check.eq(u:read(), fault)
check(t:signal())
check.fails("EAGAIN", u:read())
check.fails("blocked", t:result())
check.eq(u:copy(a + K, ("C"):rep(K)), K)
check.eq(t:result(), true)
check.page(p, a + K, "kernelCC")
