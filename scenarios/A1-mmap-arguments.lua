-- A1: mmap and munmap refuse what Linux refuses, and round what it rounds.
quire.setup { memory = "64M" }
local p = quire.process()
local top = 0x7ffffffff000
local function mmap(t)
	t.prot = t.prot or "rw"
	return p:mmap(t)
end

-- Lengths.
check.fails("EINVAL", mmap { length = 0 })
check.fails("ENOMEM", mmap { length = -1 })
check.fails("ENOMEM", mmap { length = 1 << 47, noreserve = true })
check.fails("ENOMEM", mmap { length = top + 4096, noreserve = true })
local a = mmap { length = 1 }
check.eq(p:maps()[1].length, 4096)
check(p:munmap(a, 1))
check.eq(p:maps(), {})

-- More than memory, unless nothing is reserved for it.
if quire.has("commit_limit") then
	check.fails("ENOMEM", mmap { length = 1 << 46 })
end
check.eq(type(mmap { length = 1 << 44, noreserve = true }), "number")
check.eq(type(mmap { length = 1 << 44, prot = "r" }), "number", "what can't be written to is not counted")
for _, vma in ipairs(p:maps()) do
	check(p:munmap(vma.start, vma.length))
end

-- Fixed places.
a = mmap { length = "64K" }
check.fails("EINVAL", mmap { length = 4096, address = a + 1, fixed = true })
check.fails("EINVAL", mmap { length = 4096, address = a + 1, fixed = "noreplace" })
check.fails("ENOMEM", mmap { length = 4096, address = top, fixed = true })
check.fails("ENOMEM", mmap { length = 8192, address = top - 4096, fixed = true })
check.fails("ENOMEM", mmap { length = 4096, address = -4096, fixed = true })
check.fails("EEXIST", mmap { length = 4096, address = a + 0x8000, fixed = "noreplace" })
check.fails("EEXIST", mmap { length = "128K", address = a - 0x10000, fixed = "noreplace" })
check.eq(mmap { length = 4096, address = a - 0x1000, fixed = "noreplace" }, a - 0x1000)

-- A fixed mapping takes the place of what is there, contents and all.
p:write(a, "old")
p:write(a + 0x1000, "kept")
check.eq(mmap { length = 4096, address = a, fixed = true }, a)
check.eq(p:read(a, 3), "\0\0\0")
check.page(p, a + 0x1000, "kept")

-- munmap.
check.fails("EINVAL", p:munmap(a + 1, 4096))
check.fails("EINVAL", p:munmap(a, 0))
check.fails("EINVAL", p:munmap(a, -1))
check.fails("EINVAL", p:munmap(top, 4096))
check.fails("EINVAL", p:munmap(-4096, 4096))
check(p:munmap(a - 0x100000, 4096), "a hole is fine")
check(p:munmap(a, 1), "a length is rounded up")
check.fails("SEGV", p:read(a, 1))
check.page(p, a + 0x1000, "kept")
-- Over several mappings and holes at once.
check(p:munmap(a + 0x3000, 4096))
check(p:munmap(a - 0x2000, "16K"))
check.eq(#p:maps(), 2)
check(p:munmap(a - 0x10000, "1M"))
check.eq(p:maps(), {})
check.eq(p:rss().anon, 0)

-- populate.
a = mmap { length = "32K", populate = true }
check.eq(p:rss().anon, 32768)
check.eq(p:mincore(a, "32K"), { true, true, true, true, true, true, true, true })
a = mmap { length = "8K", prot = "r", populate = true }
check.pagemap(p, a, { present = true, exclusive = false })
a = mmap { length = "8K", prot = "none", populate = true }
check.pagemap(p, a, { present = false })
