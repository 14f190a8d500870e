-- G: protection that was asleep and does not wake.  Memory registered again without WP keeps its marks, dormant: a write passes.  When WP is registered
-- again they are in force, also on the page that has become writable meanwhile: pagemap calls it protected, so its writes must be reported.
if quire.target == "linux" then
	quire.skip("library: Linux leaves the page writable, and protected at once")
end
local p = quire.process()
local a = p:mmap { length = "4K", prot = "rw" }
p:write(a, "page")
local u = p:userfaultfd {}
check(u:register(a, "4K", { "wp" }))
check(u:writeprotect(a, "4K", true))
check(u:register(a, "4K", { "missing" }))
check.eq(p:write(a, "free"), true)
check.pagemap(p, a, { present = true, uffd_wp = true })
check(u:register(a, "4K", { "missing", "wp" }))
check.pagemap(p, a, { present = true, uffd_wp = true })
check.fails("blocked", p:write(a, "x"))
check.eq(u:read(), { event = "pagefault", address = a, write = true, wp = true, minor = false })
check.eq(p:thread():read(a, 4), "free")
