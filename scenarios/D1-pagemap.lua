-- D1: pagemap for each state of private anonymous memory.
quire.setup { memory = "64M" }
local p = quire.process()
local a = p:mmap { length = "64K", prot = "rw" }
local none = { present = false, swapped = false, file = false, exclusive = false, uffd_wp = false, soft_dirty = false, guard = false }
local function is(address, set)
	local want = {}
	for name in pairs(none) do
		want[name] = set[name] or false
	end
	check.eq(p:pagemap(address), want)
end

is(a, {})
p:read(a, 1)
is(a, { present = true })
p:write(a, "x")
is(a, { present = true, exclusive = true })

-- Permission does not matter to it.
for _, prot in ipairs { "none", "r", "w", "x", "rw" } do
	p:mprotect(a, "4K", prot)
	is(a, { present = true, exclusive = true })
end

-- Sharing does.
local c = p:fork()
is(a, { present = true })
c:munmap(a, "4K")
is(a, { present = true, exclusive = true })

-- Guards read as swapped, and hide what was there.
p:madvise(a, "8K", "guard_install")
is(a, { swapped = true, guard = true })
is(a + 0x1000, { swapped = true, guard = true })
p:madvise(a, "4K", "guard_remove")
is(a, {})
p:madvise(a + 0x1000, "4K", "guard_remove")

-- Lazily freed pages are there until they are reclaimed.
p:write(a, "y")
p:madvise(a, "4K", "free")
is(a, { present = true, exclusive = true })
p:madvise(a, "4K", "cold")
is(a, { present = true, exclusive = true })
p:madvise(a, "4K", "dontneed")
is(a, {})

-- Populated without access, in one step.
p:madvise(a, "8K", "populate_read")
is(a, { present = true })
p:madvise(a, "8K", "populate_write")
is(a, { present = true, exclusive = true })

-- A whole range at once, holes included.
p:munmap(a + 0x2000, "4K")
p:write(a + 0x3000, "z")
local pages = p:pagemap(a, 5)
check.eq(#pages, 5)
check.eq(pages[3], none)
check.eq(pages[4].present, true)
check.eq(pages[5], none)
