-- A4: one process's MADV_FREE never costs another process its data, also where no entry is dirty: the parent has read its page back from swap, or the
-- kernel has made a copy to read from, before it forks, and the child frees the page lazily.
if quire.target == "linux" then
	quire.skip("library: Linux drops the page: docs/differences.md")
end
quire.setup { swap = "64M" }
local K <const> = 0x1000
local p = quire.process()

local function child_frees(a)
	local c = p:fork()
	check(c:madvise(a, K, "free"))
	check(c:madvise(a, K, "pageout"))
	check(p:madvise(a, K, "pageout"))
	check.eq(p:read(a, 4), "mine")
	c:exit()
	check(p:madvise(a, K, "pageout"))
	check.eq(p:read(a, 4), "mine")
	return c
end

local a = p:mmap { length = K, prot = "rw" }
check(p:write(a, "mine"))
check(p:madvise(a, K, "pageout"))
check.eq(p:read(a, 4), "mine")
child_frees(a)

-- What the kernel reads for a system call is unshared first: a clean copy.
local b = p:mmap { length = K, prot = "rw" }
check(p:write(b, "mine"))
local other = p:fork()
check.eq(p:syscall_read(b, 4), "mine")
child_frees(b)
other:exit()

-- Who has the page alone is free of it, wherever it has been.
check(p:madvise(a, K, "free"))
check(p:madvise(a, K, "pageout"))
check.eq(p:read(a, 4), "\0\0\0\0")
