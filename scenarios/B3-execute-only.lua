-- B3: execute-only memory and userfaultfd: a load reports nothing where it would be refused anyway.
quire.setup { memory = "64M", execute_only = ({ with = true, without = false })[...] }
local enforced = quire.has("execute_only")
local page <const> = 4096
local p = quire.process()
local u = p:userfaultfd { features = { "poison" } }
local a = p:mmap { length = 8 * page, prot = "x" }
u:register(a, 8 * page, { "missing", "wp" })

-- No page: the fetch reports, and a load only where it may be made.
if enforced then
	check.eq({ p:touch(a, "r") }, { nil, "SEGV", "PKUERR" })
	check.fails("EAGAIN", u:read())
end
check.fails("blocked", p:touch(a, "x"))
check.eq(u:read(), { event = "pagefault", address = a, write = false, wp = false, minor = false })

-- COPY puts data where none can be read.
check.eq(u:copy(a, ("\xc3"):rep(page)), page)
check.eq(p:thread_result(), true)
check.eq({ p:touch(a, "r") }, enforced and { nil, "SEGV", "PKUERR" } or { true })
check.eq(p:touch(a, "x"), true)

-- It cannot take any from there, whether a page is there or not.
local from = p:mmap { length = 2 * page, prot = "rw" }
p:write(from, "content")
p:mprotect(from, 2 * page, "x")
if enforced then
	check.fails("EFAULT", u:copy(a + page, from, page))
	check.fails("EFAULT", u:copy(a + page, from + page, page))
else
	check.eq(u:copy(a + page, from, page), page)
end

-- Protection and poison.
check(u:writeprotect(a, page, true))
check.eq(p:touch(a, "x"), true)
check.eq({ p:touch(a, "w") }, { nil, "SEGV", enforced and "PKUERR" or "ACCERR" })
check.eq(u:poison(a + 2 * page, page), page)
check.eq({ p:touch(a + 2 * page, "r") }, enforced and { nil, "SEGV", "PKUERR" } or { nil, "BUS", "ADRERR" })
check.eq({ p:touch(a + 2 * page, "x") }, { nil, "BUS", "ADRERR" })
check(p:mprotect(a, page, "r"))
check.eq(p:read(a, 1), "\xc3")
