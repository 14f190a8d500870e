-- C1: WRITEPROTECT sets and clears the mark of what is there; pagemap and the scan agree on it.
local p = quire.process()
local K = 0x1000
local a = p:mmap{ length = "32K", prot = "rw" }
local u = p:userfaultfd{ features = { "pagefault_flag_wp" } }
check(u:register(a, "32K", { "wp" }))
check(p:write(a, ("A"):rep(2 * K))) -- A A z z . . . .
check(p:touch(a + 2 * K, "r"))
check(p:touch(a + 3 * K, "r"))

local function categories()
	local text = {}
	for _, region in ipairs((p:scan{ start = a, length = "32K" })) do
		text[#text + 1] = region.length // K .. " " .. table.concat(region.categories, "+")
	end
	return table.concat(text, ", ")
end

check.eq(categories(), "2 written+present, 2 written+present+pfnzero, 4 written")

-- Set: no longer "written".  The mark shows in pagemap, the rest of the entry is as it was.
check(u:writeprotect(a, K, true))
check(u:writeprotect(a + 2 * K, K, true))
check.eq(categories(), "1 present, 1 written+present, 1 present+pfnzero, 1 written+present+pfnzero, 4 written")
check.pagemap(p, a, { present = true, swapped = false, file = false, exclusive = true, uffd_wp = true })
check.pagemap(p, a + K, { present = true, exclusive = true, uffd_wp = false })
check.pagemap(p, a + 2 * K, { present = true, exclusive = false, uffd_wp = true })
check.eq(p:mincore(a, 4 * K), { true, true, true, true })
check.eq(p:rss().anon, 2 * K)

-- Once more is as good as once.
check(u:writeprotect(a, K, true))
check.pagemap(p, a, { present = true, uffd_wp = true })

-- Reading changes nothing.
check.page(p, a, "AAAA")
check.eq(p:syscall_read(a + 2 * K, 2), "\0\0")
check.eq(categories(), "1 present, 1 written+present, 1 present+pfnzero, 1 written+present+pfnzero, 4 written")

-- Clear; what is clear may be cleared.
check(u:writeprotect(a, "32K", false))
check(u:writeprotect(a, "32K", false, { dontwake = true }))
check.eq(categories(), "2 written+present, 2 written+present+pfnzero, 4 written")
check.eq(p:write(a, "write"), true)
check.fails("EAGAIN", u:read())

-- The whole range, and pages in the middle of it cleared.
check(u:writeprotect(a, "32K", true))
check(u:writeprotect(a + K, 2 * K, false))
check.eq({ p:pagemap(a).uffd_wp, p:pagemap(a + K).uffd_wp, p:pagemap(a + 2 * K).uffd_wp,
	p:pagemap(a + 3 * K).uffd_wp }, { true, false, false, true })

-- Protection is not permission: mprotect does not touch it.
for _, prot in ipairs{ "none", "r", "rw" } do
	check(p:mprotect(a, K, prot))
	check.pagemap(p, a, { present = true, uffd_wp = true }, prot)
end
