-- G: a way around protection.  A write to a page that is both protected and shared since a fork is taken as a plain copy-on-write: the copy is made,
-- writable and unmarked, and nobody hears of the write.
local p = quire.process()
local a = p:mmap { length = "4K", prot = "rw" }
p:write(a, "shared")
local c = p:fork()
local u = p:userfaultfd {}
check(u:register(a, "4K", { "wp" }))
check(u:writeprotect(a, "4K", true))
check.fails("blocked", p:write(a, "parent"))
check.eq(u:read(), { event = "pagefault", address = a, write = true, wp = true, minor = false })
check.pagemap(p, a, { present = true, exclusive = false, uffd_wp = true })
check.eq(p:thread():read(a, 6), "shared")
-- The other holder goes, and the page could be taken over: still it is protected.
c:exit()
check(u:wake(a, "4K"))
check.fails("blocked", p:thread_result())
check.eq(u:read(), { event = "pagefault", address = a, write = true, wp = true, minor = false })
check(u:writeprotect(a, "4K", false))
check.eq(p:thread_result(), true)
check.page(p, a, "parent")
