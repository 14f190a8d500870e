-- G: markers lost on the way.  With the remap event protection moves with the memory, also where no page is, up to the range's last page and whatever
-- the level at which it stands.
local K <const> = 4096
local M <const> = 1 << 20
local p = quire.process()
local t = p:thread()
local u = p:userfaultfd { features = { "wp_unpopulated", "event_remap" } }
for _, shift in ipairs { 0, K } do -- aligned alike, and not
	local a = (p:mmap { length = "8M", prot = "rw" } + 2 * M - 1) & ~(2 * M - 1)
	local to = ((p:mmap { length = "8M", prot = "none" } + 2 * M - 1) & ~(2 * M - 1)) + shift
	p:write(a, "page")
	check(u:register(a, "4M", { "wp" }))
	check(u:writeprotect(a, "4M", true))
	check.fails("blocked", t:mremap(a, "4M", "4M", { maymove = true, fixed = to }))
	check.eq(u:read(), { event = "remap", from = a, to = to, length = 4 * M })
	check.eq(t:result(), to)
	check.pagemap(p, to, { present = true, uffd_wp = true })
	for _, at in ipairs { K, 2 * M - K, 2 * M, 4 * M - K } do
		check.pagemap(p, to + at, { present = false, uffd_wp = true })
	end
	check.fails("blocked", p:write(to + 4 * M - K, "x"))
	check.eq(u:read(), { event = "pagefault", address = to + 4 * M - K, write = true, wp = true, minor = false })
	check(u:writeprotect(to + 4 * M - K, K, false))
	check.eq(p:thread_result(), true)
end
