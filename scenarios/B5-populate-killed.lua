-- B5: a process that is killed while its mmap waits for an event to be read faults nothing in any more.
local K <const> = 4096
local p = quire.process()
local f = quire.shmem { size = K }
local a = p:mmap { length = K, prot = "rw" }
local u = p:userfaultfd { features = { "event_unmap" } }
check(u:register(a, K, { "wp" }))
check.fails("blocked", p:mmap { address = a, fixed = true, length = K, prot = "r", file = f, populate = true })
check.eq(f:resident(0, K), 0)
p:exit()
check.eq(f:resident(0, K), 0)
