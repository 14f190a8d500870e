-- A3: mremap of file memory, shared and private.
local K <const> = 0x1000
for _, shared in ipairs { true, false } do
	local p = quire.process()
	local f = quire.shmem { size = "32K" }
	local kind = shared and "shared" or "private"
	for i = 0, 7 do
		f:write(i * K, "page" .. i)
	end
	local room = p:mmap { length = "256K", prot = "none" }
	local a = room + 16 * K
	check(p:munmap(room, "256K"))
	check.eq(p:mmap { length = 4 * K, prot = "rw", shared = shared, file = f, offset = K, address = a, fixed = true }, a)
	check(p:write(a, "mine"))
	check.page(p, a + K, "page2")

	-- A larger one has more of the file, in place or elsewhere.
	check.eq(p:mremap(a, 4 * K, 6 * K), a, kind)
	check.page(p, a + 5 * K, "page6")
	check.eq(#p:maps(), 1)
	check.eq(p:maps()[1].offset, K)
	check(p:write(a + 5 * K, "tail"))
	local to = room + 40 * K
	check.eq(p:mremap(a, 6 * K, 8 * K, { maymove = true, fixed = to }), to, kind)
	check.page(p, to, "mine")
	check.page(p, to + 5 * K, "tail")
	check.page(p, to + 6 * K, "page7")
	check.eq({ p:read(to + 7 * K, 1) }, { nil, "BUS", "ADRERR" }) -- the file ends here
	check.eq({ p:read(a, 1) }, { nil, "SEGV", "MAPERR" })
	check.eq(f:read(K, 4), shared and "mine" or "page")

	-- A smaller one; a part of one.
	check.eq(p:mremap(to, 8 * K, 6 * K), to)
	check.eq(p:mremap(to + 2 * K, 2 * K, 2 * K, { maymove = true, fixed = a }), a)
	check.page(p, a, "page3")
	check.eq(#p:maps(), 3)
	check.eq(p:maps()[1].offset, 3 * K)
	check.eq(p:maps()[3].offset, 5 * K)
	-- And back: the three are one again.
	check.eq(p:mremap(a, 2 * K, 2 * K, { maymove = true, fixed = to + 2 * K }), to + 2 * K)
	check.eq(#p:maps(), 1, kind)

	-- Old size zero: another mapping of the same, of shared memory only.
	if shared then
		local second = p:mremap(to, 0, 2 * K, { maymove = true })
		check.page(p, second, "mine")
		check(p:write(second, "MINE"))
		check.page(p, to, "MINE")
		check.fails("ENOMEM", p:mremap(to, 0, 2 * K)) -- it cannot stay where it is
	else
		check.fails("EINVAL", p:mremap(to, 0, 2 * K, { maymove = true }))
	end

	-- What is left behind by DONTUNMAP finds the file again; copies have moved.
	check(p:write(to + K, "written"))
	local moved = p:mremap(to, 4 * K, 4 * K, { maymove = true, dontunmap = true })
	check.page(p, moved + K, "written")
	check.pagemap(p, to + K, { present = false })
	check.page(p, to + K, shared and "written" or "page2")
	check.page(p, to + 2 * K, "page3")
	p:exit()
	f:close()
end

-- Shared anonymous memory ends where it was made to end: what grows beyond has no pages.
local p = quire.process()
local a = p:mmap { length = "8K", prot = "rw", shared = true }
check(p:write(a + K, "last"))
local b = p:mremap(a, 2 * K, 4 * K, { maymove = true })
check.page(p, b + K, "last")
check.eq({ p:read(b + 2 * K, 1) }, { nil, "BUS", "ADRERR" })
