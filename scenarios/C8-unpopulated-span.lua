-- C8: marks on an unpopulated span say the same, wherever they stand in the table: any part can be cleared, touched,
-- moved, unmapped and forked, and the rest stays protected.
quire.setup { memory = "64M" }
local p = quire.process()
local size <const> = 1 << 30
local a = p:mmap { length = 2 * size, prot = "rw", noreserve = true }
a = (a + size - 1) & ~(size - 1)
local u = p:userfaultfd { features = { "wp_unpopulated", "event_fork", "event_remap" } }
check(u:register(a, size, { "wp" }))
check(u:writeprotect(a, size, true))

-- Where something may have changed, and its neighbours.
local places = { 0, 4096, 8192, 2 << 20, (2 << 20) - 4096, 511 << 20, 512 << 20, (512 << 20) + 0x5000, size - 8192, size - 4096 }
local function look(q, at)
	local text = {}
	for i, place in ipairs(places) do
		local page = q:pagemap(at + place)
		text[i] = page.uffd_wp and (page.present and "P" or "m") or page.present and "p" or "-"
	end
	return table.concat(text)
end
check.eq(look(p, a), "mmmmmmmmmm")

p:read(a + 4096, 1)
check.eq(look(p, a), "mPmmmmmmmm")
check(u:writeprotect(a + (2 << 20), 510 << 20, false)) -- [2M, 512M)
check.eq(look(p, a), "mPm-m-mmmm")
check(p:write(a + (511 << 20), "free"))
check.eq(look(p, a), "mPm-mpmmmm")
check.fails("blocked", p:write(a + (512 << 20), "not free"))
check(u:writeprotect(a + (512 << 20), "4K", false))
check.eq(p:thread_result(), true)
check.eq(look(p, a), "mPm-mppmmm")
check(p:madvise(a + size - 8192, "4K", "dontneed")) -- anonymous memory loses the mark
check.eq(look(p, a), "mPm-mppm-m")
check(p:mprotect(a + (512 << 20), "1M", "r"))
check(p:mprotect(a + (512 << 20), "1M", "rw"))
check.eq(look(p, a), "mPm-mppm-m")

-- The child inherits it all, with the event; what it clears is its own.
local t = p:thread()
check.fails("blocked", t:fork())
local m = u:read()
local c = t:result()
check.eq(look(c, a), "mPm-mppm-m")
check(m.child:writeprotect(a, size, false))
check.eq(look(c, a), "-p---pp---")
check.eq(look(p, a), "mPm-mppm-m")

-- Moved by the same distance from 2M, and by another.
local to = a - 2 * size
check.fails("blocked", t:mremap(a, 4 << 20, 4 << 20, { maymove = true, fixed = to }))
check.eq(u:read().event, "remap")
check.eq(t:result(), to)
check.eq({ look(p, to):sub(1, 5), p:pagemap(to + (4 << 20) - 4096).uffd_wp }, { "mPm-m", false })
local odd = a - size + 4096
check.fails("blocked", t:mremap(to, 4 << 20, 4 << 20, { maymove = true, fixed = odd }))
check.eq(u:read().event, "remap")
check.eq(t:result(), odd)
check.eq(look(p, odd):sub(1, 5), "mPm-m")
check.fails("blocked", p:write(odd + 8192, "x"))
check.eq(u:read().address, odd + 8192)
check(u:writeprotect(odd + 8192, "4K", false))
check.eq(p:thread_result(), true)
check.eq(look(p, odd):sub(1, 5), "mPp-m")

-- Unmapping a part, and closing.
check(p:munmap(a + (512 << 20), "8K"))
check.eq(p:pagemap(a + (512 << 20) + 8192).uffd_wp, true)
u:close()
check.eq(p:pagemap(a + (512 << 20) + 8192).uffd_wp, false)
check.eq(look(p, odd):sub(1, 5), "-pp--")
