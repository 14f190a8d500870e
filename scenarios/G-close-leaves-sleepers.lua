-- G: sleeping for ever after close.  Nobody is left who could answer; everyone who waits goes on, also who waits with a report that was read already.
local p = quire.process()
local threads = { p:thread(), p:thread(), p:thread() }
local a = p:mmap { length = "12K", prot = "rw" }
p:write(a, "page")
local u = p:userfaultfd {}
check(u:register(a, "12K", { "missing", "wp" }))
check(u:writeprotect(a, "4K", true))
for i, t in ipairs(threads) do
	check.fails("blocked", t:write(a + (i - 1) * 4096, "x"))
end
check.eq(u:read(), { event = "pagefault", address = a, write = true, wp = true, minor = false })
check.eq(u:read(), { event = "pagefault", address = a + 4096, write = true, wp = false, minor = false })
u:close()
for i, t in ipairs(threads) do
	check.eq(t:result(), true)
	check.page(p, a + (i - 1) * 4096, "x")
end
