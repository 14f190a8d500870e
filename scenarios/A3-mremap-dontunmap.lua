-- A3: MREMAP_DONTUNMAP moves the pages and leaves the mapping behind, empty.
quire.setup { memory = "64M" }
local K <const> = 4096
local p = quire.process()
local W <const> = 0x600000000000
local function map(page, pages, prot)
	return p:mmap { length = pages * K, prot = prot or "rw", address = W + page * K, fixed = true }
end
local function move(page, pages, to, new)
	return p:mremap(W + page * K, pages * K, (new or pages) * K, { maymove = true, dontunmap = true, fixed = to and W + to * K })
end

map(0, 8)
p:write(W, "one")
p:write(W + 3 * K, "four")
p:read(W + 4 * K, 1)
p:madvise(W + 5 * K, K, "guard_install")
p:mlock(W, K)
p:munlock(W, K)
check.eq(move(0, 8, 100), W + 100 * K)
check.eq(p:pagemap(W, 8), p:pagemap(W + 200 * K, 8), "nothing is left")
check.page(p, W + 100 * K, "one")
check.page(p, W + 103 * K, "four")
check.pagemap(p, W + 104 * K, { present = true, exclusive = false })
check.pagemap(p, W + 105 * K, { guard = true })
check.eq(p:read(W, 3), "\0\0\0")
check(p:write(W + 5 * K, "no guard any more"))
check.eq(#p:maps(), 2)
check.eq(p:rss().anon, 3 * K)

-- A part of a mapping, onto another one.
p:write(W + 102 * K, "moved")
check.eq(move(102, 2, 2), W + 2 * K)
check.page(p, W + 2 * K, "moved")
check.eq(p:read(W + 102 * K, 5), "\0\0\0\0\0")
check.page(p, W + 100 * K, "one")
p:maps()

-- The lock goes along.
check(p:madvise(W + 105 * K, K, "guard_remove"))
check(p:mlock(W + 100 * K, 8 * K))
check.eq(move(100, 8, 300), W + 300 * K)
check.eq(p:smaps(W + 100 * K).Locked, 0)
check.eq(p:smaps(W + 300 * K).Locked, 8 * K)
p:maps()

-- Without a place, where mmap would put it; the dirty and the shared stay so.
local c = p:fork()
local to = move(300, 8)
check.eq(type(to), "number")
check.page(p, to, "one")
check.pagemap(p, to, { present = true, exclusive = false })
check.page(c, W + 300 * K, "one")
check(p:write(to, "mine"))
check.page(c, W + 300 * K, "one")

-- Right beside it; without pages, too.
map(400, 4)
p:write(W + 400 * K, "x")
check.eq(move(400, 2, 404), W + 404 * K)
map(500, 2)
check.eq(move(500, 2, 502), W + 502 * K)
p:maps()

-- Refusals.
check.fails("EINVAL", p:mremap(W, K, K, { dontunmap = true })) -- maymove is needed
check.fails("EINVAL", move(0, 2, nil, 3)) -- another size
check.fails("EINVAL", move(0, 0))
check.fails("EINVAL", move(0, 2, 1)) -- an overlap
check.fails("EFAULT", move(700, 1))
map(600, 2)
map(602, 2, "r")
check.fails("EFAULT", move(600, 4)) -- two mappings, without a place
check.eq(move(600, 4, 650), W + 650 * K)
p:maps()

-- Registered memory: the old place stays registered, the new one is so with the event.
for _, features in ipairs { { "wp_unpopulated" }, { "wp_unpopulated", "event_remap", "event_unmap" } } do
	map(800, 4)
	p:write(W + 800 * K, "page")
	local u = p:userfaultfd { features = features }
	check(u:register(W + 800 * K, 4 * K, { "wp" }))
	check(u:writeprotect(W + 800 * K, 4 * K, true))
	local moved = move(800, 4, 900)
	local event = u:read()
	if event then
		check.eq(event, { event = "remap", from = W + 800 * K, to = W + 900 * K, length = 4 * K })
		moved = p:thread_result()
	end
	check.eq(moved, W + 900 * K)
	p:pagemap(W + 800 * K, 4)
	check.pagemap(p, W + 900 * K, { present = true, uffd_wp = #features > 1 })
	check.pagemap(p, W + 901 * K, { uffd_wp = #features > 1 })
	p:maps()
	u:close()
	p:munmap(W + 900 * K, 4 * K)
end
