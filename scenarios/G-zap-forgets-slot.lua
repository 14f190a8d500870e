-- What is unmapped or dropped in swap gives its place back: more goes to swap in the end than fits.
quire.setup { swap = "1M" }
local K <const> = 0x1000
local p = quire.process()
for round = 1, 8 do
	local a = p:mmap { length = 128 * K, prot = "rw" }
	for i = 0, 127 do
		check(p:write(a + i * K, "page" .. i))
	end
	check(p:madvise(a, 128 * K, "pageout"))
	check.pagemap(p, a + 127 * K, { present = false, swapped = true })
	if round % 2 == 0 then
		check(p:madvise(a, 128 * K, "dontneed"))
	end
	check(p:munmap(a, 128 * K))
end
