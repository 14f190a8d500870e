-- A6: access by the kernel on the process's behalf sees what a user access would.
quire.setup { memory = "64M" }
local p = quire.process()
local a = p:mmap { length = "32K", prot = "rw" }

-- It faults pages in: a read finds the zero page, a write gets a page.
check.eq(p:syscall_read(a, 4), "\0\0\0\0")
check.pagemap(p, a, { present = true, exclusive = false })
check(p:syscall_write(a + 0x1000, "kernel"))
check.page(p, a + 0x1000, "kernel")
check.pagemap(p, a + 0x1000, { present = true, exclusive = true })

-- Over a page boundary, and onto the zero page it has read before.
check(p:syscall_write(a + 0xffe, "abcd"))
check.eq(p:read(a + 0xffc, 8), "\0\0abcdrn")
check.eq(p:syscall_read(a + 0xffe, 4), "abcd")

-- It copies on write.
local c = p:fork()
check(c:syscall_write(a + 0x1000, "child!"))
check.page(p, a + 0x1000, "cdrnel")
check.page(c, a + 0x1000, "child!")

-- Permissions are the VMA's.  A write-only mapping can be read by the processor, not by the kernel.
check(p:mprotect(a + 0x2000, "4K", "r"))
check.fails("EFAULT", p:syscall_write(a + 0x2000, "x"))
check.eq(p:syscall_read(a + 0x2000, 1), "\0")
check(p:mprotect(a + 0x3000, "4K", "w"))
check(p:syscall_write(a + 0x3000, "w"))
check.eq(p:read(a + 0x3000, 1), "w")
check.fails("EFAULT", p:syscall_read(a + 0x3000, 1))
check(p:mprotect(a + 0x4000, "4K", "none"))
check.fails("EFAULT", p:syscall_read(a + 0x4000, 1))
check(p:mprotect(a + 0x5000, "4K", "x"))
check.fails("EFAULT", p:syscall_read(a + 0x5000, 1))

-- What was moved before the first page that can't be reached.
local result, errno, done = p:syscall_write(a + 0x1ff0, ("y"):rep(32))
check.eq({ result, errno, done }, { nil, "EFAULT", 16 })
check.eq(p:read(a + 0x1ff0, 16), ("y"):rep(16))
result, errno, done = p:syscall_read(a + 0x2ff0, 32)
check.eq({ result, errno, done }, { nil, "EFAULT", 16 })
local h = p:mmap { length = "8K", prot = "rw" }
p:munmap(h + 0x1000, "4K")
result, errno, done = p:syscall_write(h + 0xfff, "ab")
check.eq(done, 1)
check.fails("EFAULT", p:syscall_read(0x1000, 1))
check.fails("EFAULT", p:syscall_read(1 << 47, 1))
check.fails("EFAULT", p:syscall_write(-4096, "x"))

-- A guard page stops it.
check(p:madvise(a + 0x6000, "4K", "guard_install"))
check.fails("EFAULT", p:syscall_read(a + 0x6000, 1))
check.fails("EFAULT", p:syscall_write(a + 0x6000, "x"))

-- The kernel's access does not count as the process's: after fork the child's entries are old, and they stay so.
local function used(process, at)
	return quire.target == "quire" and process:entry(at).young
end
local young = p:mmap { length = "8K", prot = "rw" }
p:write(young, ("y"):rep(8192))
local d = p:fork()
check(d:madvise(young, "4K", "populate_read"))
check(not used(d, young))
check(p:exit() and c:exit())
check.eq(d:syscall_read(young + 0x1000, 1), "y")
check.pagemap(d, young + 0x1000, { exclusive = true }, "taken over without a copy")
check(not used(d, young + 0x1000))
check(d:write(young + 0x1000, "w"))
check.eq(used(d, young + 0x1000), quire.target == "quire")
