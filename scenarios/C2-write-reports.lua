-- C2: a write to protected memory is reported, waits, and lands only after it was resolved; a read is not reported.
local p = quire.process()
local K = 0x1000
local a = p:mmap{ length = "16K", prot = "rwx" }
local u = p:userfaultfd{ features = { "pagefault_flag_wp" } }
check(u:register(a, "16K", { "wp" }))
check(p:write(a, ("A"):rep(K)))
check(p:touch(a + K, "r"))
check(u:writeprotect(a, 2 * K, true))

local function fault(page)
	return { event = "pagefault", address = a + page * K, write = true, wp = true, minor = false }
end

-- Reads and fetches.
check.eq(p:read(a, 2), "AA")
check.eq(p:touch(a, "r"), true)
check.eq(p:touch(a + K, "x"), true) -- zeros execute
check.eq(p:syscall_read(a, 2), "AA")
check(p:madvise(a, 2 * K, "populate_read"))
check.fails("EAGAIN", u:read())
check.pagemap(p, a, { uffd_wp = true })

-- A write of any kind.
for _, write in ipairs{
	function() return p:write(a + 8, "B") end, function() return p:touch(a + 8, "w") end,
	function() return p:syscall_write(a + 8, "B") end,
	function() return p:madvise(a, K, "populate_write") end, function() return p:mlock(a, K) end,
} do
	check.fails("blocked", write())
	check.eq(u:read(), fault(0))
	check.fails("EAGAIN", u:read())
	check.pagemap(p, a, { present = true, uffd_wp = true })
	check(u:writeprotect(a, K, false))
	check.eq(p:thread_result(), true)
	check.pagemap(p, a, { present = true, uffd_wp = false })
	check.eq(p:write(a + 9, "C"), true)
	check(u:writeprotect(a, K, true))
end
check(p:munlock(a, K))
check(u:writeprotect(a, K, false))
check.page(p, a, "AAAAAAAABCA")
check.fails("EAGAIN", u:read())

-- The page of zeros: the copy is made after it was resolved.
check.fails("blocked", p:write(a + K, "Z"))
check.eq(u:read(), fault(1))
check.pagemap(p, a + K, { present = true, exclusive = false, uffd_wp = true })
check(u:writeprotect(a + K, K, false))
check.eq(p:thread_result(), true)
check.page(p, a + K, "Z\0\0\0")
check.pagemap(p, a + K, { present = true, exclusive = true, uffd_wp = false })

-- While it waits, the memory is as it was.
local t = p:thread()
check(p:write(a + 2 * K, "before"))
check(u:writeprotect(a + 2 * K, K, true))
check.fails("blocked", t:write(a + 2 * K, "after!"))
check.page(p, a + 2 * K, "before")
check(u:writeprotect(a + 2 * K, K, false))
check.eq(t:result(), true)
check.page(p, a + 2 * K, "after!")

-- A write that spans two pages stops at each.
check(u:writeprotect(a, 4 * K, true))
check.fails("blocked", t:write(a + K - 1, "12"))
check.eq(u:read(), fault(0))
check(u:writeprotect(a, K, false))
check.eq(u:read(), fault(1))
check.fails("blocked", t:result())
check(u:writeprotect(a + K, K, false))
check.eq(t:result(), true)
check.eq(p:read(a + K - 2, 3), "A12")
