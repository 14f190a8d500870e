-- SPDX-License-Identifier: MIT
-- B4: a page of the file that is in swap is one that the file has: the fault is minor, and CONTINUE brings the page in.
quire.setup { swap = "64M" }
local K <const> = 4096
for _, shared in ipairs { true, false } do
	local p = quire.process()
	local t = p:thread()
	local f = quire.shmem { size = 8 * K }
	local all = p:mmap { file = f, length = 8 * K, prot = "rw", shared = true }
	local m = p:mmap { file = f, length = 8 * K, prot = "rw", shared = shared }
	local u = p:userfaultfd {}
	for i = 0, 7 do
		check(p:write(all + i * K, "page" .. i))
	end
	check(u:register(m, 8 * K, { "minor", "wp" }))
	check(p:madvise(all, 8 * K, "pageout"))
	check.eq(f:resident(0, 8 * K), 0)
	local function reported(i, write)
		check.eq(u:read(), { event = "pagefault", address = m + i * K, write = write, wp = false, minor = true })
		check.fails("blocked", t:result())
	end

	check.fails("blocked", t:read(m, 5))
	reported(0, false)
	check.eq(f:resident(0, 8 * K), 0)
	check.eq(u:continue(m, K), K)
	check.eq(t:result(), "page0")
	check.eq(f:resident(0, 8 * K), 1)
	check.fails("blocked", t:write(m + K, "PAGE"))
	reported(1, true)
	check.eq(u:continue(m + K, K), K)
	check.eq(t:result(), true)
	check.page(p, m + K, "PAGE1")
	check.page(p, all + K, shared and "PAGE1" or "page1")

	-- Where a marker stands, by the kernel, by populate, and read ahead.
	check(u:writeprotect(m + 2 * K, K, true))
	check.fails("blocked", t:read(m + 2 * K, 5))
	reported(2, false)
	check.eq(u:continue(m + 2 * K, K, { wp = true }), K)
	check.eq(t:result(), "page2")
	check.pagemap(p, m + 2 * K, { present = true, uffd_wp = true })
	check.fails("blocked", t:syscall_read(m + 3 * K, 5))
	reported(3, false)
	check(u:wake(m + 3 * K, K))
	check.fails("blocked", t:result())
	reported(3, false)
	check.eq(u:continue(m + 3 * K, K), K)
	check.eq(t:result(), "page3")
	check.fails("blocked", t:madvise(m + 4 * K, K, "populate_read"))
	reported(4, false)
	check.eq(u:continue(m + 4 * K, K), K)
	check.eq(t:result(), true)
	check(p:madvise(m + 5 * K, K, "willneed"))
	check.eq(p:mincore(m + 5 * K, 2 * K), { true, false })
	check.fails("blocked", t:read(m + 5 * K, 5))
	reported(5, false)
	check.eq(u:continue(m + 5 * K, K), K)
	check.eq(t:result(), "page5")

	-- Unasked; and none where there is no page at all.
	check.eq(u:continue(m + 6 * K, K), K)
	check.page(p, m + 6 * K, "page6")
	check(f:punch(7 * K, K))
	check.eq({ u:continue(m + 7 * K, K) }, { nil, "EFAULT", -14 })
	check.page(p, m + 7 * K, "")

	-- What was allocated and never used is not in core; it is when CONTINUE has used it.
	check(f:punch(0, 8 * K))
	check(f:allocate(5 * K, 2 * K))
	check.eq(p:mincore(m + 5 * K, 2 * K), { false, false })
	check.eq(u:continue(m + 5 * K, K), K)
	check.eq(p:mincore(m + 5 * K, 2 * K), { true, false })
	check(p:madvise(m + 5 * K, K, "dontneed"))
	check.eq(p:mincore(m + 5 * K, 2 * K), { true, false })
	u:close()
	p:exit()
	f:close()
end
