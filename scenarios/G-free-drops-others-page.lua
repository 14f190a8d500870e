-- G: MADV_FREE that costs another process its data.  A page that came back from swap is clean in every entry, and yet its content counts: parent and
-- child have both read it when the child frees it lazily and exits.
quire.setup { swap = "64M" }
local K <const> = 0x1000
local p = quire.process()
local a = p:mmap { length = K, prot = "rw" }
check(p:write(a, "mine"))
check(p:madvise(a, K, "pageout"))
local c = p:fork()
check.eq(p:read(a, 4), "mine")
check.eq(c:read(a, 4), "mine")
check(c:madvise(a, K, "free"))
c:exit()
for _ = 1, 2 do
	check(p:madvise(a, K, "pageout"))
	check.eq(p:read(a, 4), "mine")
end
