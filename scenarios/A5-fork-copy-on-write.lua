-- A5: fork shares private pages until someone writes; copies go both ways, at any depth.
quire.setup { memory = "64M" }
local p = quire.process()
local a = p:mmap { length = "32K", prot = "rw" }
p:write(a, "zero")
p:read(a + 0x1000, 1)

local c = p:fork()

-- What was written is shared, what was read stays the zero page, the rest stays empty: no fault was needed to see it.
for _, q in ipairs { p, c } do
	check.pagemap(q, a, { present = true, exclusive = false })
	check.pagemap(q, a + 0x1000, { present = true, exclusive = false })
	check.pagemap(q, a + 0x2000, { present = false })
end
check.eq(c:rss().anon, 4096)
check.eq(c:maps(), p:maps(), "the child has the parent's mappings")

-- The child's write is its own.
check(c:write(a, "child"))
check.page(p, a, "zero")
check.page(c, a, "child")
check.pagemap(c, a, { exclusive = true })
check.pagemap(p, a, { exclusive = true })

-- The parent's write to a page that it now has alone stays its own, too.
check(p:write(a, "parent"))
check.page(c, a, "child")

-- Memory touched after the fork is nobody else's.
check(p:write(a + 0x4000, "later"))
check.eq(c:read(a + 0x4000, 5), "\0\0\0\0\0")

-- Four generations: each sees what was there when it was forked.
local line = { p }
for i = 2, 4 do
	line[i] = line[i - 1]:fork()
	check(line[i]:write(a + 0x5000, "generation " .. i))
end
check.eq(line[1]:read(a + 0x5000, 12), ("\0"):rep(12))
for i = 2, 4 do
	check.page(line[i], a + 0x5000, "generation " .. i)
	check.page(line[i], a, "parent")
end
-- All four share page 0; the middle ones go, and it is shared still; then it is not.
check.pagemap(p, a, { exclusive = false })
line[2]:exit()
line[3]:exit()
check.pagemap(p, a, { exclusive = false })
line[4]:exit()
check.pagemap(p, a, { exclusive = true })
check.page(p, a, "parent")
