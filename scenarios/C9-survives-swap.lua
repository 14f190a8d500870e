-- C9: protection outlives swap: it stays in the entry of a private page, and becomes a marker where the page is a file's.
quire.setup { swap = "64M" }
local K <const> = 0x1000
local function look(p, a)
	local page, text = p:pagemap(a), ""
	for _, bit in ipairs { "present", "swapped", "file", "uffd_wp", "exclusive", "guard" } do
		text = text .. (page[bit] and bit:sub(1, 1):upper() or "")
	end
	return text
end
for _, kind in ipairs { "anon", "private", "shared", "anonshared" } do
	local is_file = kind == "shared" or kind == "anonshared"
	local p = quire.process()
	local f = (kind == "shared" or kind == "private") and quire.shmem { size = "64K" } or nil
	local a = p:mmap { length = "64K", prot = "rw", shared = is_file, file = f }
	local u = p:userfaultfd { features = { "wp_unpopulated" } }
	local t = p:thread()
	local present, protected = is_file and "PFE" or "PE", is_file and "PFUE" or "PUE"
	local out = is_file and "" or "S"
	check(u:register(a, "64K", { "wp" }))
	for i = 0, 15 do
		check(p:write(a + i * K, "page" .. i))
	end
	local function pageout(i)
		check(p:madvise(a + i * K, K, "pageout"))
		check.pagemap(p, a + i * K, { present = false }, kind)
	end
	local function report(i)
		check.eq(u:read(), { event = "pagefault", address = a + i * K, write = true, wp = true, minor = false }, kind)
	end

	-- Protected, out, in by a read: still protected.
	check(u:writeprotect(a, K, true))
	pageout(0)
	check.eq(look(p, a), "SU", kind)
	check.page(p, a, "page0")
	check.eq(look(p, a), protected, kind)
	-- Out again, in by a write: it reports, and the page is as it was until then.
	pageout(0)
	check.fails("blocked", t:write(a, "PAGE"))
	report(0)
	check.page(p, a, "page0")
	check(u:writeprotect(a, K, false))
	check.eq(t:result(), true)
	check.page(p, a, "PAGE0")
	check.eq(look(p, a), present, kind)

	-- Protected and cleared while it is out.
	pageout(1)
	check.eq(look(p, a + K), out, kind)
	check(u:writeprotect(a + K, K, true))
	check.eq(look(p, a + K), "SU", kind)
	check(u:writeprotect(a + K, K, false))
	check.eq(look(p, a + K), out, kind)
	check(p:write(a + K, "PAGE"))
	check.page(p, a + K, "PAGE1")
	check.fails("EAGAIN", u:read())

	-- The neighbours of one that comes in are not touched.
	check(u:writeprotect(a + 2 * K, 2 * K, true))
	pageout(2)
	pageout(3)
	check.page(p, a + 2 * K, "page2")
	check.eq(look(p, a + 3 * K), "SU", kind)

	-- Willneed and populate keep it, the kernel's read as well.
	check(p:madvise(a + 3 * K, K, "willneed"))
	check(p:madvise(a + 3 * K, K, "populate_read"))
	check.eq(look(p, a + 3 * K), protected, kind)
	pageout(3)
	check.eq(p:syscall_read(a + 3 * K, 5), "page3")
	check.eq(look(p, a + 3 * K), protected, kind)

	-- Dontneed: only a file's mark is left.
	check(u:writeprotect(a + 4 * K, K, true))
	pageout(4)
	check(p:madvise(a + 4 * K, K, "dontneed"))
	check.eq(look(p, a + 4 * K), kind == "anon" and "" or "SU", kind)
	check.eq(p:read(a + 4 * K, 5), is_file and "page4" or "\0\0\0\0\0", kind)
	check(u:writeprotect(a + 4 * K, K, false))

	-- mprotect in both directions.
	check(u:writeprotect(a + 5 * K, K, true))
	pageout(5)
	for _, prot in ipairs { "none", "r", "rw" } do
		check(p:mprotect(a + 5 * K, K, prot))
		check.eq(look(p, a + 5 * K), "SU", kind)
	end

	-- COPY and ZEROPAGE do not mistake it for an empty place, nor POISON.
	check.eq({ u:copy(a + 5 * K, ("C"):rep(K)) }, { nil, "EEXIST", -17 }, kind)
	check.eq({ u:zeropage(a + 5 * K, K) }, { nil, "EEXIST", -17 }, kind)
	check.eq({ u:poison(a + 5 * K, K) }, { nil, "EEXIST", -17 }, kind)
	check.page(p, a + 5 * K, "page5")
	check.eq(look(p, a + 5 * K), protected, kind)

	-- fork: without the event the child has neither registration nor mark.
	check(u:writeprotect(a + 6 * K, K, true))
	pageout(6)
	local c = p:fork()
	check.eq(look(c, a + 6 * K), out, kind)
	check.page(c, a + 6 * K, "page6")
	check(c:write(a + 6 * K, "child"))
	check.eq(look(p, a + 6 * K), "SU", kind)
	check.page(p, a + 6 * K, is_file and "child" or "page6")
	c:exit()

	-- MADV_FREE, then reclaimed: that page's protection is gone with it.
	if kind == "anon" then
		check(u:writeprotect(a + 7 * K, K, true))
		check(p:madvise(a + 7 * K, K, "free"))
		check.eq(look(p, a + 7 * K), "PUE")
		pageout(7)
		check.eq(look(p, a + 7 * K), "")
		check(p:write(a + 7 * K, "free"))
		check.fails("EAGAIN", u:read())
	end

	-- Unregistered, or closed, while it is out: no mark stays.
	check(u:writeprotect(a + 8 * K, 2 * K, true))
	pageout(8)
	pageout(9)
	check(u:unregister(a + 8 * K, K))
	check.eq(look(p, a + 8 * K), out, kind)
	check(p:write(a + 8 * K, "PAGE"))
	check.page(p, a + 8 * K, "PAGE8")
	u:close()
	check.eq(look(p, a + 9 * K), out, kind)
	check(p:write(a + 9 * K, "PAGE"))
	check.page(p, a + 9 * K, "PAGE9")
	p:exit()
	if f then
		f:close()
	end
end

-- Swapoff brings every page back, protected as it was.
local made = {}
for _, kind in ipairs { "anon", "private", "shared" } do
	local p = quire.process()
	local f = kind ~= "anon" and quire.shmem { size = "64K" } or nil
	made[kind] = { p = p, a = p:mmap { length = "64K", prot = "rw", shared = kind == "shared", file = f } }
	local a = made[kind].a
	local u = p:userfaultfd {}
	made[kind].u = u
	check(u:register(a, "64K", { "wp" }))
	for i = 0, 3 do
		check(p:write(a + i * K, "page" .. i))
	end
	check(u:writeprotect(a, 2 * K, true))
	check(p:madvise(a, 4 * K, "pageout"))
	check.eq(look(p, a), "SU")
end
check(quire.swapoff())
for _, kind in ipairs { "anon", "private", "shared" } do
	local p, a, u = made[kind].p, made[kind].a, made[kind].u
	local is_file = kind == "shared" -- whose page is in the cache again, but not mapped
	check.eq(look(p, a), is_file and "SU" or "PUE", kind)
	check.eq(look(p, a + 2 * K), is_file and "" or "PE", kind)
	check.page(p, a + K, "page1")
	check.page(p, a + 2 * K, "page2")
	check.eq(look(p, a + K), is_file and "PFUE" or "PUE", kind)
	check.fails("blocked", p:write(a, "w"))
	check.eq(u:read(), { event = "pagefault", address = a, write = true, wp = true, minor = false }, kind)
	check(u:writeprotect(a, K, false))
	check.eq(p:thread_result(), true)
	check(p:write(a + 2 * K, "w"))
end
