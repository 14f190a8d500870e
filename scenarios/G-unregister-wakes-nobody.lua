-- G: sleeping for ever after unregister.  Who waits for a page that would have been filled in waits for nothing now: nobody will fill it.
local p = quire.process()
local t, s = p:thread(), p:thread()
local a = p:mmap { length = "8K", prot = "rw" }
local u = p:userfaultfd {}
check(u:register(a, "8K", { "missing" }))
check.fails("blocked", t:write(a, "read"))
check.eq(u:read().address, a)
check.fails("blocked", s:write(a + 4096, "unread"))
check(u:unregister(a, "8K"))
check.eq(t:result(), true)
check.eq(s:result(), true)
check.page(p, a, "read")
check.page(p, a + 4096, "unread")
