-- C10, A6: a system call that reads a shared page unshares it first. Its protection comes along, even where that lies dormant.
local p = quire.process()
local K = 0x1000
local a = p:mmap{ length = "16K", prot = "rw" }
local u = p:userfaultfd{}

check(u:register(a, "16K", { "wp" }))
check(p:write(a, ("A"):rep(2 * K)))
check(u:writeprotect(a, K, true))
check(u:register(a, "16K", { "missing" })) -- without WP: what is protected lies dormant
local c = p:fork()
check.pagemap(p, a, { exclusive = false, uffd_wp = true })
check.eq(p:syscall_read(a, 2 * K), ("A"):rep(2 * K))
check.pagemap(p, a, { exclusive = true, uffd_wp = true })
check.pagemap(p, a + K, { exclusive = true, uffd_wp = false })
check.pagemap(c, a, { uffd_wp = false })

-- It revives when WP is registered again.
check(u:register(a, "16K", { "wp" }))
check.fails("blocked", p:write(a, "B"))
check(u:writeprotect(a, K, false))
check.eq(p:thread_result(), true)
check.eq(c:read(a, 1), "A")
