-- G: a scan that protects more than it reports.  Find what was written and protect it again, at most so many pages: what is protected and not reported
-- is lost to whoever goes on from walk_end.
local K <const> = 4096
local M <const> = 1 << 20
local p = quire.process()
local a = (p:mmap { length = "6M", prot = "rw" } + 2 * M - 1) & ~(2 * M - 1)
local u = p:userfaultfd { features = { "wp_async" } }
check(u:register(a, "4M", { "wp" }))
local pages, rounds, position = 0, 0, a
p:write(a + 2 * M, "x")
repeat
	local regions, stop = p:scan { start = position, length = a + 4 * M - position, mask = { "written" }, report = { "written" },
		max_pages = 300, wp = true, check_wpasync = true }
	for _, region in ipairs(regions) do
		pages = pages + region.length // K
	end
	if stop < a + 4 * M then
		check.pagemap(p, stop - K, { uffd_wp = true })
		check.pagemap(p, stop, { uffd_wp = false })
	end
	rounds, position = rounds + 1, stop
until position >= a + 4 * M or rounds > 20
check.eq(pages, 1024)
