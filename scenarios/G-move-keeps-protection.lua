-- G: MOVE that takes the mark along.  A page arrives without protection; a mark that comes with it is a report that nobody expects, or lies in memory
-- that is not registered for it.
local K <const> = 4096
local p = quire.process()
local u = p:userfaultfd { features = { "move", "wp_unpopulated" } }
local from = p:mmap { length = "8K", prot = "rw" }
check(u:register(from, "8K", { "wp" }))
for _, modes in ipairs { { "missing" }, { "missing", "wp" } } do
	local gap = p:mmap { length = "4K", prot = "none" }
	local to = p:mmap { length = "8K", prot = "rw" }
	check(u:register(to, "8K", modes))
	check(u:writeprotect(from, "8K", false))
	p:write(from, "page")
	p:read(from + K, 1)
	check(u:writeprotect(from, "8K", true))
	check.eq(u:move(to, from, "8K"), 2 * K)
	check.pagemap(p, to, { present = true, uffd_wp = false })
	check.pagemap(p, to + K, { present = true, uffd_wp = false })
	check.eq(p:write(to, "x"), true)
	check.page(p, to, "xage")
end
