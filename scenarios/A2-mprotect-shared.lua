-- A2: mprotect of file memory, shared and private.
local K <const> = 0x1000
for _, shared in ipairs { true, false } do
	local p = quire.process()
	local f = quire.shmem { size = "64K" }
	for i = 0, 15 do
		f:write(i * K, "page" .. i)
	end
	local a = p:mmap { length = "64K", prot = "rw", shared = shared, file = f }
	check(p:write(a, "mine"))
	check(p:touch(a + K, "r"))

	-- Lost permission is enforced at once, on pages that are there and on those that are not.
	check(p:mprotect(a, "16K", "r"))
	for i = 0, 3 do
		check.eq({ p:write(a + i * K, "x") }, { nil, "SEGV", "ACCERR" })
		check.fails("EFAULT", p:syscall_write(a + i * K, "x"))
	end
	check.page(p, a, "mine0")
	check.page(p, a + 2 * K, "page2")
	check.eq(f:read(0, 5), shared and "mine0" or "page0")
	check(p:mprotect(a, "16K", "none"))
	for i = 0, 3 do
		check.eq({ p:read(a + i * K, 1) }, { nil, "SEGV", "ACCERR" })
	end
	check.pagemap(p, a, { present = true, file = shared })

	-- Gained permission, too; private memory still copies, shared does not.
	check(p:mprotect(a, "16K", "rw"))
	check.page(p, a, "mine0")
	check(p:write(a + K, "mine"))
	check.pagemap(p, a + K, { present = true, file = shared })
	check.eq(f:read(K, 5), shared and "mine1" or "page1")
	check.eq(#p:maps(), 1)

	-- A page of the cache that was mapped for reading becomes writable only where writes go to the file.
	check(p:mprotect(a + 4 * K, K, "r"))
	check.page(p, a + 4 * K, "page4")
	check(p:mprotect(a + 4 * K, K, "rw"))
	check(p:write(a + 4 * K, "mine"))
	check.eq(f:read(4 * K, 5), shared and "mine4" or "page4")

	-- Execution.
	check.eq({ p:touch(a + 5 * K, "x") }, { nil, "SEGV", "ACCERR" })
	check(p:mprotect(a + 5 * K, K, "rx"))
	check(p:touch(a + 5 * K, "x"))

	-- Behind the end of the file permission comes first.
	check(f:truncate(8 * K))
	check(p:mprotect(a + 8 * K, K, "r"))
	check.eq({ p:write(a + 8 * K, "x") }, { nil, "SEGV", "ACCERR" })
	check.eq({ p:read(a + 8 * K, 1) }, { nil, "BUS", "ADRERR" })
	-- Splits keep the offsets.
	local text = {}
	for _, vma in ipairs(p:maps()) do
		text[#text + 1] = vma.prot .. vma.length // K .. "@" .. vma.offset // K
	end
	check.eq(table.concat(text, " "), "rw-5@0 r-x1@5 rw-2@6 r--1@8 rw-7@9")

	-- A hole ends it, with what lies before changed.
	check(p:munmap(a + 12 * K, K))
	check.fails("ENOMEM", p:mprotect(a + 11 * K, 3 * K, "r"))
	check.eq({ p:write(a + 11 * K, "x") }, { nil, "SEGV", "ACCERR" })
	check.eq({ p:write(a + 13 * K, "x") }, { nil, "BUS", "ADRERR" })
	p:exit()
	f:close()
end
