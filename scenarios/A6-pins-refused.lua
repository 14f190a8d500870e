-- A6: what cannot be pinned, and that then nothing is: the pages before come in and are as movable as others.
local K <const> = 0x1000
local p = quire.process()
local a = p:mmap { length = "64K", prot = "rw" }
local function none_pinned(address)
	local c = p:fork()
	check.pagemap(c, address, { present = true, exclusive = false })
	c:exit()
	check(p:write(address, "own again"))
end

-- A guard page, poison, a hole, the end of the file, the end of the addresses.
check(p:madvise(a + 2 * K, K, "guard_install"))
check.fails("EFAULT", p:pin(a, 4 * K))
check.pagemap(p, a + K, { present = true })
none_pinned(a)
check(p:madvise(a + 2 * K, K, "guard_remove"))
local u = p:userfaultfd {}
check(u:register(a, "64K", { "missing" }))
check.eq(u:poison(a + 2 * K, K), K)
check(u:unregister(a, "64K"))
check.fails("EFAULT", p:pin(a, 4 * K))
none_pinned(a)
check(p:munmap(a + 15 * K, K))
check.fails("EFAULT", p:pin(a + 14 * K, 2 * K))
local f = quire.shmem { size = "8K" }
local s = p:mmap { length = "64K", prot = "rw", shared = true, file = f }
check.fails("EFAULT", p:pin(s, 3 * K))
check.eq(f:resident(0, "8K"), 2)
check.fails("EFAULT", p:pin(0x7ffffffff000, K))

-- What may only be read, and what may only be written to.
check(p:mprotect(a, K, "r"))
check.fails("EFAULT", p:pin(a, K))
check(p:mprotect(a, K, "w"))
local pin = p:pin(a, K)
check(pin:release())

-- A private mapping of a file gets a page of its own, as by a write.
local m = p:mmap { length = "8K", prot = "rw", file = f }
check(f:write(0, "file"))
check.page(p, m, "file")
pin = p:pin(m + 1, 2)
check.pagemap(p, m, { present = true, exclusive = true, file = false })
check(f:write(0, "FILE"))
check.page(p, m, "file")
check(pin:release())

-- Any alignment: the pages that are touched.
local b = p:mmap { length = "64K", prot = "rw" }
pin = p:pin(b + 0xfff, 2)
check.pagemap(p, b, { present = true, exclusive = true })
check.pagemap(p, b + K, { present = true, exclusive = true })
check.pagemap(p, b + 2 * K, { present = false })
check(pin:release())
