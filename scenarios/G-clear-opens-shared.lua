-- G: clearing that gives too much back.  When protection is cleared the page gets its write permission at once, to save the fault; not so if another
-- process maps it too, or one write is seen by both.
local p = quire.process()
local a = p:mmap { length = "4K", prot = "rw" }
p:write(a, "shared")
local u = p:userfaultfd {}
check(u:register(a, "4K", { "wp" }))
check(u:writeprotect(a, "4K", true))
local c = p:fork()
check(u:writeprotect(a, "4K", false))
check.pagemap(p, a, { exclusive = false, uffd_wp = false })
check(p:write(a, "parent"))
check.page(c, a, "shared")
check(c:write(a, "child!"))
check.page(p, a, "parent")
