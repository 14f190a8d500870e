-- B5, B6: a process ends while its fork waits for the message to be read: the child comes to nothing, and holds no page.
local p = quire.process()
local K = 0x1000
local a = p:mmap{ length = "16K", prot = "rw" }
local u = p:userfaultfd{ features = { "event_fork" } }

check(u:register(a, "16K", { "wp" }))
check(p:write(a, "shared by two"))
check.fails("blocked", p:fork())
local message = u:read()
check.eq(message.event, "fork")
local c = p:thread_result()
check.pagemap(c, a, { present = true, exclusive = false })

-- Now there are two.  The child forks, but nobody hears of it.
local v = message.child
check.fails("blocked", c:fork())
c:exit()
check.pagemap(p, a, { present = true, exclusive = true })
check.fails("ESRCH", v:writeprotect(a, K, true))
