-- B5: the fork event brings a userfaultfd of the child's, which has the same memory registered.
local p = quire.process()
local K = 0x1000
local t = p:thread()
local a = p:mmap{ length = "32K", prot = "rw" }
check(p:write(a, ("A"):rep(4 * K)))

local function letters(of, page)
	local flags = " " .. of:smaps(a + page * K).VmFlags .. " "
	return (flags:find(" um ", 1, true) and "m" or "") .. (flags:find(" uw ", 1, true) and "w" or "")
end

-- m m w w . . m m
local u = p:userfaultfd{ features = { "event_fork", "wp_unpopulated" } }
check(u:register(a, 2 * K, { "missing" }))
check(u:register(a + 2 * K, 2 * K, { "wp" }))
check(u:register(a + 6 * K, 2 * K, { "missing" }))
check(u:writeprotect(a + 2 * K, K, true))

check.fails("blocked", t:fork())
check.eq(u:poll().readable, true)
local message = u:read()
check.eq(message.event, "fork")
local child = message.child
local c = t:result()
check.fails("EAGAIN", u:read())

check.eq({ letters(c, 0), letters(c, 2), letters(c, 4), letters(c, 6) }, { "m", "w", "", "m" })
check.pagemap(c, a + 2 * K, { present = true, uffd_wp = true })
check.pagemap(c, a + 3 * K, { present = true, uffd_wp = false })
check.pagemap(p, a + 2 * K, { present = true, uffd_wp = true })

-- It is negotiated as its parent was.
check.eq(child:features(), u:features())
check.fails("EINVAL", child:api{})
check.fails("EAGAIN", child:read())

-- Each reports what happens in its own process.
check.fails("blocked", c:touch(a + 6 * K, "r"))
check.fails("EAGAIN", u:read())
check.eq(child:read(), { event = "pagefault", address = a + 6 * K, write = false, wp = false, minor = false })
check.eq(child:copy(a + 6 * K, ("C"):rep(K)), K)
check.eq(c:thread_result(), true)
check.pagemap(p, a + 6 * K, { present = false })
check.fails("blocked", p:touch(a + 6 * K, "r"))
check.fails("EAGAIN", child:read())
check.eq(u:read().address, a + 6 * K)
check.eq(u:zeropage(a + 6 * K, K), K)
check.eq(p:thread_result(), true)
check.page(c, a + 6 * K, "CCCC")
check.page(p, a + 6 * K, "\0\0\0\0")

-- Protection is each one's own.  The report comes before the copy that the fork owes.
check.fails("blocked", c:write(a + 2 * K, "child"))
check.eq(child:read(), { event = "pagefault", address = a + 2 * K, write = true, wp = true, minor = false })
check(child:writeprotect(a + 2 * K, K, false))
check.eq(c:thread_result(), true)
check.page(c, a + 2 * K, "childAAA")
check.page(p, a + 2 * K, "AAAAAAAA")
check.pagemap(p, a + 2 * K, { uffd_wp = true })

-- A child of the child.
check.fails("blocked", c:fork())
local grandchild = child:read().child
local g = c:thread_result()
check.fails("EAGAIN", u:read())
check.fails("blocked", g:touch(a + 7 * K, "w"))
check.eq(grandchild:read().address, a + 7 * K)
check.eq(grandchild:zeropage(a + 7 * K, K), K)
check.eq(g:thread_result(), true)

-- Closing one leaves the others.
check(child:close())
check.eq(letters(c, 0), "")
check.pagemap(c, a + 2 * K, { uffd_wp = false })
check.eq({ letters(p, 0), letters(g, 0) }, { "m", "m" })
check.pagemap(p, a + 2 * K, { uffd_wp = true })
