-- SPDX-License-Identifier: MIT
-- Poison moves page by page, also to where a large entry could say it of them all: truncation takes what lies beyond the end.
local K <const>, M <const> = 0x1000, 0x100000
local f = quire.shmem { size = 4 * M }
local p = quire.process()
local base = p:mmap { length = 16 * M, prot = "none" }
base = (base + 2 * M - 1) & ~(2 * M - 1)
local a = p:mmap { address = base + K, length = 4 * M, prot = "rw", shared = true, file = f, fixed = true }
local u = p:userfaultfd { features = { "poison" } }
check(u:register(a, 4 * M, { "missing" }))
check.eq(u:poison(a, 4 * M), 4 * M)
local to <const> = base + 8 * M
check.eq(p:mremap(a, 4 * M, 4 * M, { maymove = true, fixed = to }), to)
check(f:truncate(M))
check(f:truncate(4 * M))
check.eq({ p:read(to + M - K, 1) }, { nil, "BUS", "ADRERR" })
check.eq(p:read(to + M, 1), "\0")
check.eq(p:read(to + 2 * M, 1), "\0")
