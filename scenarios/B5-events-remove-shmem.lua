-- B5: the remove event: madvise over file memory tells it; the file's own holes and truncation do not.
local K <const> = 0x1000
for _, shared in ipairs { true, false } do
	local p = quire.process()
	local f = quire.shmem { size = "64K" }
	f:write(0, ("f"):rep(16 * K))
	local a = p:mmap { length = "64K", prot = "rw", shared = shared, file = f }
	local u = p:userfaultfd { features = { "event_remove" } }
	local t = p:thread()
	check(u:register(a, "64K", { "missing" }))
	for i = 0, 7 do
		check(p:touch(a + i * K, "w"))
	end

	-- Dontneed: the caller sleeps until the event is read; meanwhile requests that fill memory are refused.
	check.fails("blocked", t:madvise(a, 2 * K, "dontneed"))
	check.eq({ u:copy(a + 8 * K, ("C"):rep(K)) }, { nil, "EAGAIN", -11 })
	check.eq({ u:continue(a + 8 * K, K) }, { nil, "EAGAIN", -11 })
	check.eq({ u:zeropage(a + 8 * K, K) }, { nil, "EAGAIN", -11 })
	check.eq({ u:poison(a + 8 * K, K) }, { nil, "EAGAIN", -11 })
	check.pagemap(p, a, { present = true })
	check.eq(u:read(), { event = "remove", start = a, finish = a + 2 * K })
	check.eq(t:result(), true)
	check.pagemap(p, a, { present = false })
	check.page(p, a, "ffff") -- still in the cache, so not missing

	-- Remove: the same, and the page is missing afterwards.
	if shared then
		check.fails("blocked", t:madvise(a + 2 * K, K, "remove"))
		check.eq(u:read(), { event = "remove", start = a + 2 * K, finish = a + 3 * K })
		check.eq(t:result(), true)
		check.eq(f:resident(2 * K, K), 0)
		check.fails("blocked", t:read(a + 2 * K, 1))
		check.eq(u:read(), { event = "pagefault", address = a + 2 * K, write = false, wp = false, minor = false })
		check.eq(u:zeropage(a + 2 * K, K), K)
		check.eq(t:result(), "\0")
	else
		check.fails("EACCES", t:madvise(a + 2 * K, K, "remove"))
		check.fails("EAGAIN", u:read())
	end

	-- MADV_FREE tells before it finds that the memory is not anonymous.
	check.fails("blocked", t:madvise(a + 3 * K, K, "free"))
	check.eq(u:read(), { event = "remove", start = a + 3 * K, finish = a + 4 * K })
	check.eq({ t:result() }, { nil, "EINVAL" })

	-- A hole by the file's interface and a shorter file tell nothing.
	check(f:punch(4 * K, K))
	check(f:truncate(6 * K))
	check.fails("EAGAIN", u:read())
	check.eq({ p:read(a + 6 * K, 1) }, { nil, "BUS", "ADRERR" })
	p:exit()
	f:close()
end
