-- A5: fork and file memory: shared pages stay shared and are not copied into the child's page tables; private ones are copied on write.
local K <const> = 0x1000
local p = quire.process()
local f = quire.shmem { size = "64K" }
f:write(0, ("f"):rep(16 * K))
local s = p:mmap { length = "16K", prot = "rw", shared = true, file = f }
local n = p:mmap { length = "16K", prot = "rw", shared = true }
local r = p:mmap { length = "16K", prot = "rw", file = f, offset = "16K" } -- only read
local v = p:mmap { length = "16K", prot = "rw", file = f, offset = "32K" } -- read and written
for _, a in ipairs { s, n } do
	check(p:write(a, "page"))
end
check(p:touch(r, "r"))
check(p:touch(v + K, "r"))
check(p:write(v, "page"))

-- What can be faulted in again is left to faults; a private mapping is copied as a whole once it has a page of its own.
local c = p:fork()
for _, a in ipairs { s, n, r } do
	check.pagemap(c, a, { present = false })
	check.pagemap(p, a, { present = true })
end
check.pagemap(c, v, { present = true, file = false, exclusive = false })
check.pagemap(c, v + K, { present = true, file = true })
check.eq(c:rss().shmem, p:smaps(v).Rss - p:smaps(v).Anonymous)

-- Shared both ways, also what was not there at the fork.
check.page(c, s, "page")
check.page(c, n, "page")
check(c:write(s, "child"))
check(c:write(n + K, "child"))
check.page(p, s, "child")
check.page(p, n + K, "child")
check.eq(f:read(0, 5), "child")
check(p:write(s + 2 * K, "parent"))
check.page(c, s + 2 * K, "parent")

-- Private, copied on write both ways; the file keeps its own.
check(c:write(v, "mine"))
check.page(p, v, "page")
check(p:write(v + K, "mine"))
check.page(c, v + K, "ffff")
check(c:write(r, "mine"))
check.page(p, r, "ffff")
check.eq(f:read("16K", 4), "ffff")
check.eq(f:read("32K", 4), "ffff")
f:write("32K", "new")
f:write(9 * K, "new")
check.page(p, v, "page")
check.page(c, v + K, "new") -- no copy yet

-- The last owner of a page does not copy it.
check(p:write(v + 2 * K, "once"))
local d = p:fork()
d:exit()
check.pagemap(p, v + 2 * K, { present = true, exclusive = true })
check(p:write(v + 2 * K, "more"))

-- Truncation reaches all of them; the object of shared anonymous memory lives on in the child.
check(f:truncate("32K"))
for _, q in ipairs { p, c } do
	check.eq({ q:read(v, 1) }, { nil, "BUS", "ADRERR" })
end
p:exit()
check.page(c, n + K, "child")
check(c:fork():write(n, "grandchild"))
check.page(c, n, "grandchild")
