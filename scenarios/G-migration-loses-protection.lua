-- G: the protection lost on the way.  A page moves to another frame, and is writable there.  (Linux cannot be asked to move it, and skips.)
local p = quire.process()
local a = p:mmap { length = "4K", prot = "rw" }
local u = p:userfaultfd {}
check(u:register(a, "4K", { "wp" }))
check(p:write(a, "old"))
check(u:writeprotect(a, "4K", true))
check.eq(p:migrate(a, "4K"), 1)
check.pagemap(p, a, { present = true, uffd_wp = true })
check.fails("blocked", p:thread():write(a, "new"))
check.eq(u:read(), { event = "pagefault", address = a, write = true, wp = true, minor = false })
check.page(p, a, "old")
