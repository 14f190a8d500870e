-- B1: before UFFDIO_API nothing works: every request and every read is EINVAL, and poll tells an error.
quire.needs("userfaultfd", "poison", "move")
local p = quire.process()
local a = p:mmap{ length = "16K", prot = "rw" }
local u = quire.userfaultfd_raw(p)

check.eq(u:poll(), { readable = false, error = true, hangup = false })
check.fails("EINVAL", u:read())
check.fails("EINVAL", u:register(a, "16K", { "missing" }))
check.fails("EINVAL", u:unregister(a, "16K"))
check.fails("EINVAL", u:wake(a, "4K"))
check.fails("EINVAL", u:writeprotect(a, "4K", true))
for _, results in ipairs{
	{ u:copy(a, ("C"):rep(4096)) }, { u:zeropage(a, "4K") }, { u:continue(a, "4K") },
	{ u:poison(a, "4K") }, { u:move(a, a + 0x1000, "4K") },
} do
	-- Refused before the output field was written.
	check.eq(results, { nil, "EINVAL", 0 })
end

-- Then it is an ordinary one.
check(u:api{})
check.eq(u:poll(), { readable = false, error = false, hangup = false })
check.fails("EAGAIN", u:read())
check(u:register(a, "16K", { "missing" }))
check.eq(u:copy(a, ("C"):rep(4096)), 4096)

-- The flags of the system call.
check.fails("EINVAL", quire.userfaultfd_raw(p, { flags = 0x40000000 }))
check.fails("EINVAL", quire.userfaultfd_raw(p, { flags = 2 }))

-- Without O_NONBLOCK, poll tells an error for ever; reading works.
local b = p:userfaultfd{ nonblock = false }
check.eq(b:poll(), { readable = false, error = true, hangup = false })
check.fails("blocked", b:read())
local c = p:mmap{ length = "4K", prot = "rw" }
check(b:register(c, "4K", { "missing" }))
check.fails("blocked", p:touch(c, "r"))
check.eq(b:poll(), { readable = false, error = true, hangup = false })
check.eq(b:read(), { event = "pagefault", address = c, write = false, wp = false, minor = false })
check.eq(b:zeropage(c, "4K"), 4096)
check.eq(p:thread_result(), true)
