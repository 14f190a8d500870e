-- SPDX-License-Identifier: MIT
-- Beyond the kernel, as an option of the machine: asynchronous write protection hears of everything that changes the content of a page of
-- an object, not only of what goes through its own mapping (D4-written.lua shows what the kernel does not see).
quire.setup { memory = "64M", cpus = 2, swap = "16M", strict_written = true }
local K <const> = 4096
local PAGES <const> = 16
local f = quire.shmem { size = PAGES * K }
local writer = quire.process()
local w = writer:mmap { length = PAGES * K, prot = "rw", shared = true, file = f }

for _, shared in ipairs { true, false } do
	local p = quire.process()
	local a = p:mmap { length = PAGES * K, prot = "rw", shared = shared, file = f }
	local u = p:userfaultfd { features = { "wp_async" } }
	for i = 0, PAGES - 1 do
		f:write(i * K, "page " .. i)
		check(p:touch(a + i * K, "r"))
	end
	check(u:register(a, PAGES * K, { "wp" }))
	local function protect()
		check((p:scan { start = a, length = PAGES * K, wp = true, check_wpasync = true, mask = { "written" } }))
	end
	local function written()
		local text = {}
		for _, region in ipairs((p:scan { start = a, length = PAGES * K, mask = { "written" } })) do
			for at = region.start, region.start + region.length - 1, K do
				text[#text + 1] = tostring((at - a) // K)
			end
		end
		return table.concat(text, " ")
	end
	local function expect(pages, what)
		check.eq(written(), pages, what)
		protect()
		check.eq(written(), "", "after " .. what)
	end

	-- Another mapping could write to all of it before, and must fault for it now.
	check(writer:write(w + 3 * K, "before"))
	protect()
	check.eq(written(), "")
	check(writer:write(w + 3 * K, "after"))
	expect("3", "a write through another mapping")
	check(writer:syscall_write(w + 4 * K + 4090, "across two pages"))
	expect("4 5", "a system call's write through another mapping")
	check(writer:read(w + 6 * K, 6))
	expect("", "a read through another mapping")
	local child = writer:fork()
	check(child:write(w + 7 * K, "child"))
	expect("7", "a write of a child of the other process")
	child:exit()
	check(writer:madvise(w, PAGES * K, "pageout"))
	expect("", "eviction")
	check(writer:write(w + 8 * K, "from swap"))
	expect("8", "a write to what was in swap")

	f:write(9 * K + 4000, ("f"):rep(200))
	expect("9 10", "a write to the object")
	check(f:punch(11 * K + 2048, 2 * K))
	expect("11 12 13", "a hole")
	check(f:truncate(14 * K + 100))
	expect("14 15", "truncation")
	check(f:truncate(PAGES * K))

	-- Its own writes, as ever; a private copy that is dropped shows the object's content again.
	check(p:write(a, "own"))
	expect("0", "a write of its own")
	check(p:madvise(a, K, "dontneed"))
	expect(shared and "" or "0", "dontneed")

	-- Who stops listening bothers nobody any more.
	check(u:close())
	check(writer:write(w + 3 * K, "unheard"))
	check.page(p, a + 3 * K, "unheard")
	p:exit()
end
