-- SPDX-License-Identifier: MIT
-- Truncation ends inside a span that is protected as a whole: the protection stays on both sides.
local f = quire.shmem { size = "8M" }
local p = quire.process()
local a = p:mmap { length = "8M", prot = "rw", shared = true, file = f }
local u = p:userfaultfd {}
check(u:register(a, "8M", { "wp" }))
check(u:writeprotect(a, "8M", true))
check(f:truncate("3M"))
check.pagemap(p, a + (2 << 20), { uffd_wp = true })
check.pagemap(p, a + (3 << 20), { uffd_wp = true })
check.pagemap(p, a + (4 << 20) - 4096, { uffd_wp = true })
