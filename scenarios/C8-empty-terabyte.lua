-- C8: protecting an empty terabyte takes a handful of tables; a touch inside builds only its own path; clearing any
-- part leaves the rest protected.  C8-unpopulated-span is what the kernel can be asked of it.
quire.setup { memory = "64M" }
if quire.target == "linux" then
	quire.skip("library: the kernel takes 2G of page tables to protect a terabyte")
end
local p = quire.process()
local size = 1 << 40
local base = p:mmap { length = 2 * size, prot = "rw", noreserve = true } -- room to align
local a = (base + size - 1) & ~(size - 1)
local u = p:userfaultfd { features = { "wp_unpopulated" } }
check(u:register(a, size, { "wp" }))
check(u:writeprotect(a, size, true))

local function protected(address, want)
	local page = p:pagemap(address)
	check.eq({ page.uffd_wp, page.present }, { want, false }, ("%x"):format(address - a))
end
local middle = a + size // 2 + 0x123000
protected(a, true)
protected(middle, true)
protected(a + size - 4096, true)
protected(a - 4096, false)
check(p:tables().bytes <= 64 * 1024, "a handful of tables")
check.eq(p:entry(middle).kind, "marker")
check(p:entry(middle).level >= 2, "a marker at a high level")

-- A read shows the page of zeros, still protected; its neighbours' marks stand at each lower level now.
check.eq(p:read(middle, 4), "\0\0\0\0")
check.pagemap(p, middle, { present = true, uffd_wp = true })
check.eq(p:entry(middle).level, 0)
check.eq(p:entry(middle + 4096).level, 0)
check.eq(p:entry(middle + (2 << 20)).level, 1)
check.eq(p:entry(middle + (1 << 30)).level, 2)
for level = 0, 2 do
	check.eq(p:tables()[level].tables, 1, "one table at level " .. level)
end
check.eq(p:entry(middle + 4096).kind, "marker")

-- A write is reported, resolved, and lands.
check.fails("blocked", p:write(middle + 4096, "x"))
check.eq(u:read(), { event = "pagefault", address = middle + 4096, write = true, wp = true, minor = false })
check(u:writeprotect(middle + 4096, "4K", false))
check.eq(p:thread_result(), true)
protected(middle + 8192, true)

-- Clearing parts: a page, a range over a 2M boundary, all but the last page.
check(u:writeprotect(a + 4096, "4K", false))
protected(a, true)
protected(a + 4096, false)
protected(a + 8192, true)
local edge = a + (6 << 20)
check(u:writeprotect(edge - 4096, "8K", false))
protected(edge - 8192, true)
protected(edge - 4096, false)
protected(edge, false)
protected(edge + 4096, true)
check(u:writeprotect(a, size - 4096, false))
protected(edge + 4096, false)
protected(a + size - 8192, false)
protected(a + size - 4096, true)
check.pagemap(p, middle, { present = true, uffd_wp = false })

-- Protected again, and let go of all at once.
check(u:writeprotect(a, size, true))
protected(edge, true)
check(u:unregister(a, size))
protected(edge, false)
protected(a + size - 4096, false)
check.pagemap(p, middle, { present = true, uffd_wp = false })
