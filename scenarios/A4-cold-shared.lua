-- A4: MADV_COLD makes pages old that nobody else maps; what others use, too, is left as it is.
local K <const> = 4096
local function referenced(process, at)
	return process:smaps(at).Referenced
end

-- Shared by fork, until one of them has copied it.
local p = quire.process()
local a = p:mmap { length = 8 * K, prot = "rw" }
check(p:write(a, ("x"):rep(8 * K)))
check(p:madvise(a, K, "cold"))
check.eq(referenced(p, a), 7 * K)
local c = p:fork()
check(p:madvise(a + K, 4 * K, "cold"))
check.eq(referenced(p, a), 7 * K)
check(c:write(a + K, "copy"))
check(p:madvise(a + K, 4 * K, "cold"))
check.eq(referenced(p, a), 6 * K)
check.eq(referenced(c, a), K)

-- A page of a file that is mapped twice.
local f = quire.shmem { size = 8 * K }
local s = p:mmap { length = 8 * K, prot = "rw", shared = true, file = f, populate = true }
local again = p:mmap { length = 4 * K, prot = "rw", shared = true, file = f, populate = true }
check(p:write(s, ("s"):rep(8 * K)))
check(p:write(again, ("s"):rep(4 * K)))
check(p:madvise(s, 6 * K, "cold"))
check.eq(referenced(p, s), 6 * K)
check.eq(referenced(p, again), 4 * K)
