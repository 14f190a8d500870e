-- G: mprotect that gives too much back.  When a range becomes writable again its own pages get their permission at once, to save the fault; a
-- protected one must not, or its writes are never reported.
local p = quire.process()
local t = p:thread()
local a = p:mmap { length = "4K", prot = "rw" }
p:write(a, "page")
local u = p:userfaultfd {}
check(u:register(a, "4K", { "wp" }))
check(u:writeprotect(a, "4K", true))
for _, prot in ipairs { "r", "none" } do
	check(p:mprotect(a, "4K", prot))
	check(p:mprotect(a, "4K", "rw"))
	check.fails("blocked", p:write(a, "x"))
	check.eq(u:read(), { event = "pagefault", address = a, write = true, wp = true, minor = false })
	check.eq(t:read(a, 4), "page")
	check(u:writeprotect(a, "4K", false))
	check.eq(p:thread_result(), true)
	p:write(a, "page")
	check(u:writeprotect(a, "4K", true))
end
