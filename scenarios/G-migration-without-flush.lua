-- G: no flush.  A page moves to another frame, and a CPU that still remembers the old one goes on writing there.
local p = quire.process()
local a = p:mmap { length = "4K", prot = "rw" }
check(p:write(a, "old"))
check.eq(p:migrate(a, "4K"), 1)
check(p:write(a, "new"))
check.eq(p:syscall_read(a, 3), "new")
local f = quire.shmem { size = "4K" }
local s = p:mmap { length = "4K", prot = "rw", shared = true, file = f }
check(p:write(s, "old"))
check.eq(p:migrate(s, "4K"), 1)
check(p:write(s, "new"))
check.eq(f:read(0, 3), "new")
