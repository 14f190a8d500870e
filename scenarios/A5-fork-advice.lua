-- A5: dontfork stays behind, wipeonfork comes along empty, and both can be taken back.
quire.setup { memory = "64M" }
local p = quire.process()
local a = p:mmap { length = "64K", prot = "rw" }
for i = 0, 15 do
	p:write(a + i * 4096, "page" .. i)
end
check(p:madvise(a, "16K", "dontfork"))
check(p:madvise(a + 0x4000, "16K", "wipeonfork"))
check(p:madvise(a + 0x8000, "8K", "dontfork"))
check(p:madvise(a + 0x8000, "8K", "dofork"))
check(p:madvise(a + 0xa000, "8K", "wipeonfork"))
check(p:madvise(a + 0xa000, "8K", "keeponfork"))
check.eq(#p:maps(), 3)

local c = p:fork()
check.eq(#c:maps(), 2)
check.fails("SEGV", c:read(a, 1))
check.eq(select(2, c:munmap(a, "16K")), nil, "a hole is fine to unmap")
check.eq(c:read(a + 0x4000, 5), "\0\0\0\0\0")
check.page(c, a + 0x8000, "page8")
check.page(c, a + 0xa000, "page10")
check.page(c, a + 0xf000, "page15")
check.page(p, a, "page0")
check.page(p, a + 0x4000, "page4")
check.pagemap(p, a, { exclusive = true })
check.pagemap(p, a + 0x4000, { exclusive = true })
check.pagemap(p, a + 0x8000, { exclusive = false })

-- The child wipes again at its own fork.
c:write(a + 0x5000, "c")
local d = c:fork()
check.eq(d:read(a + 0x5000, 1), "\0")
check.page(c, a + 0x5000, "c")

-- Guard markers are inherited; locks are not.
check(p:madvise(a + 0xc000, "4K", "guard_install"))
check(p:mlock(a + 0xe000, "4K"))
local e = p:fork()
check.pagemap(e, a + 0xc000, { guard = true, present = false })
check.fails("SEGV", e:read(a + 0xc000, 1))
check.eq(e:smaps(a + 0xe000).Locked, 0)
check.eq(p:smaps(a + 0xe000).Locked, p:smaps(a + 0xe000).Pss)
check(e:madvise(a + 0xc000, "4K", "guard_remove"))
check(e:write(a + 0xc000, "x"))
check.fails("SEGV", p:read(a + 0xc000, 1))
