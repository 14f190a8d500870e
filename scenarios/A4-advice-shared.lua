-- A4: madvise on file memory, shared and private.
quire.setup { swap = 0 }
local K <const> = 0x1000
-- errno of each advice on shared and on private memory of a file, and on shared anonymous memory; "ok" for none.
local outcomes = {
	normal = { "ok", "ok", "ok" },
	random = { "ok", "ok", "ok" },
	sequential = { "ok", "ok", "ok" },
	willneed = { "ok", "ok", "ok" },
	dontneed = { "ok", "ok", "ok" },
	dontneed_locked = { "ok", "ok", "ok" },
	free = { "EINVAL", "EINVAL", "EINVAL" },
	cold = { "ok", "ok", "ok" },
	pageout = { "ok", "ok", "ok" },
	remove = { "ok", "EACCES", "ok" },
	dontfork = { "ok", "ok", "ok" },
	dofork = { "ok", "ok", "ok" },
	wipeonfork = { "EINVAL", "EINVAL", "EINVAL" },
	keeponfork = { "ok", "ok", "ok" },
	populate_read = { "ok", "ok", "ok" },
	populate_write = { "ok", "ok", "ok" },
	guard_install = { "ok", "ok", "ok" },
	guard_remove = { "ok", "ok", "ok" },
}
local names = {}
for name in pairs(outcomes) do
	names[#names + 1] = name
end
table.sort(names)
for kind = 1, 3 do
	local p = quire.process()
	local f = quire.shmem { size = "64K" }
	local a = p:mmap { length = "64K", prot = "rw", shared = kind ~= 2, file = kind < 3 and f or nil }
	for _, name in ipairs(names) do
		local done, why = p:madvise(a, "8K", name)
		check.eq(done and "ok" or why, outcomes[name][kind], name .. " on kind " .. kind)
	end
	p:exit()
	f:close()
end

-- Dontneed drops what is mapped, not what the file holds.  Copies are lost.
local p = quire.process()
local f = quire.shmem { size = "64K" }
local s = p:mmap { length = "64K", prot = "rw", shared = true, file = f }
local v = p:mmap { length = "64K", prot = "rw", file = f }
check(p:write(s, "file"))
check(p:write(v, "copy"))
check(p:madvise(s, K, "dontneed"))
check(p:madvise(v, K, "dontneed"))
check.pagemap(p, s, { present = false })
check.eq(f:resident(0, K), 1)
check.page(p, s, "file")
check.page(p, v, "file")

-- Remove punches a hole, for everybody; only where the mapping may be written, and not where it is locked.
check(p:write(v + K, "copy"))
check(p:write(s + K, "file"))
check(p:madvise(s + K, K, "remove"))
check.eq(f:resident(K, K), 0)
check.eq(p:read(s + K, 4), "\0\0\0\0")
check.page(p, v + K, "copy")
check(p:mprotect(s, "64K", "r"))
check(p:madvise(s, K, "remove"))
check.eq(f:read(0, 4), "\0\0\0\0")
check(p:mprotect(s, "64K", "rw"))
check(p:mlock(s, K))
check.fails("EINVAL", p:madvise(s, K, "remove"))
check.fails("EINVAL", p:madvise(s, K, "dontneed"))
check(p:madvise(s, K, "dontneed_locked"))
check(p:munlock(s, K))
check(p:munmap(s + 4 * K, K))
check(p:write(s + 3 * K, "gone"))
check(p:write(s + 5 * K, "gone"))
check.fails("ENOMEM", p:madvise(s + 3 * K, 3 * K, "remove")) -- all but the hole is done
check.eq(f:resident(3 * K, 3 * K), 0)

-- Populate: a shared mapping's read and write are alike; a private one's write copies.
check(p:madvise(s + 8 * K, 2 * K, "populate_read"))
check.pagemap(p, s + 9 * K, { present = true, file = true })
check(p:madvise(v + 8 * K, K, "populate_read"))
check.pagemap(p, v + 8 * K, { present = true, file = true })
check(p:madvise(v + 8 * K, K, "populate_write"))
check.pagemap(p, v + 8 * K, { present = true, file = false, exclusive = true })

-- Guards stand in the mapping, not in the file.
check(p:write(s + 12 * K, "below"))
check(p:madvise(s + 12 * K, K, "guard_install"))
check.pagemap(p, s + 12 * K, { guard = true, present = false })
check.eq({ p:read(s + 12 * K, 1) }, { nil, "SEGV", "MAPERR" })
check.page(p, v + 12 * K, "below")
check(f:punch(12 * K, K)) -- which leaves them
check.pagemap(p, s + 12 * K, { guard = true })
check(p:madvise(s + 12 * K, K, "dontneed"))
check.pagemap(p, s + 12 * K, { guard = true })
check(p:madvise(s + 12 * K, K, "guard_remove"))
check.eq(p:read(s + 12 * K, 5), "\0\0\0\0\0")
