-- G: a lost write.  Protection without a flush: the entry is marked, a CPU that wrote to the page before still may, and what it writes is neither
-- reported nor in the snapshot that is being taken.
local p = quire.process()
local t = p:thread()
local a = p:mmap { length = "8K", prot = "rw" }
local u = p:userfaultfd { features = { "wp_async" } }
check(u:register(a, "8K", { "wp" }))
local function written()
	return #p:scan { start = a, length = "8K", mask = { "written" }, report = { "written" }, wp = true, check_wpasync = true }
end
-- By WRITEPROTECT, and by a scan that protects what it reports.
for _, how in ipairs { function() return u:writeprotect(a, "8K", true) end, written } do
	p:write(a, "page")
	t:write(a + 4096, "page")
	check(how())
	check.pagemap(p, a, { uffd_wp = true })
	check.pagemap(p, a + 4096, { uffd_wp = true })
	p:write(a, "new!")
	check.eq(written(), 1)
	t:write(a + 4096, "new!")
	check.eq(written(), 1)
	check.eq(written(), 0)
end

-- And where writes are reported.
local b = p:mmap { length = "4K", prot = "rw" }
local v = p:userfaultfd {}
check(v:register(b, "4K", { "wp" }))
p:write(b, "page")
t:write(b, "page")
check(v:writeprotect(b, "4K", true))
check.fails("blocked", p:write(b, "x"))
check.fails("blocked", t:write(b, "y"))
check.eq(p:thread():read(b, 4), "page")
