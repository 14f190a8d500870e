-- A8: where the processor enforces it, what may be executed and nothing else holds no data.
-- The argument "with" or "without" chooses the processor, where that can be.
quire.setup { memory = "64M", swap = "64M", execute_only = ({ with = true, without = false })[...] }
local enforced = quire.has("execute_only")
local page <const> = 4096
local p = quire.process()
local base = p:mmap { length = "8M", prot = "none" } + 0x100000
p:munmap(base - 0x100000, "8M")

local function at(n)
	return base + n * page
end
local function map(n, pages, prot, more)
	local options = more or {}
	options.address, options.length, options.prot, options.fixed = at(n), pages * page, prot, true
	return check.eq(p:mmap(options), at(n))
end
local function clear()
	p:munmap(base, "1M")
end
-- What a load, a store and a fetch come to.
local function accesses(q, address, load, store, fetch, message)
	check.eq(table.pack(q:touch(address, "r")), table.pack(table.unpack(load)), message)
	check.eq(table.pack(q:touch(address, "w")), table.pack(table.unpack(store)), message)
	check.eq(table.pack(q:touch(address, "x")), table.pack(table.unpack(fetch)), message)
end
local done <const> = { true }
local denied <const> = { nil, "SEGV", "ACCERR" }
local no_data <const> = { nil, "SEGV", "PKUERR" }
local function execute_only(q, address, message)
	accesses(q, address, enforced and no_data or done, enforced and no_data or denied, done, message)
end

-- By mmap and by mprotect, where a page is and where none is.
map(0, 4, "rw")
p:write(at(0), "content")
check(p:mprotect(at(0), 2 * page, "x"))
execute_only(p, at(0), "a page")
execute_only(p, at(1), "no page, then the page of zeros")
map(8, 2, "x")
execute_only(p, at(8), "no page")
check.eq(p:smaps(at(8)).VmFlags, "ex mr mw me")
check.eq(p:maps()[1].prot, "--x")

-- Any other permission gives the data back.
for _, case in ipairs {
	{ "rx", done, denied, done },
	{ "x" },
	{ "wx", done, done, done },
	{ "x" },
	{ "none", denied, denied, denied },
	{ "x" },
	{ "r", done, denied, denied },
	{ "w", done, done, denied },
	{ "x" },
	{ "rwx", done, done, done },
} do
	check(p:mprotect(at(0), page, case[1]))
	if case[1] == "x" then
		execute_only(p, at(0), case[1])
	else
		accesses(p, at(0), case[2], case[3], case[4], case[1])
	end
end
check.eq(p:read(at(0), 7), "content")

-- A translation that a fetch has left behind lets no load through, nor does one from before.
p:touch(at(0), "r")
check(p:mprotect(at(0), page, "x"))
p:touch(at(0), "x")
execute_only(p, at(0), "translated")

-- It follows the memory: fork, mremap, swap.
local c = p:fork()
execute_only(c, at(0), "a child")
check(c:mprotect(at(0), page, "r"))
check.eq(c:read(at(0), 7), "content")
c:exit()
check.eq(p:mremap(at(0), page, page, { maymove = true, fixed = at(20) }), at(20))
execute_only(p, at(20), "moved")
p:madvise(at(20), page, "pageout")
check.pagemap(p, at(20), { swapped = true })
if enforced then
	check.eq({ p:touch(at(20), "r") }, no_data)
	check.pagemap(p, at(20), { swapped = true })
end
check.eq(p:touch(at(20), "x"), true)
check.pagemap(p, at(20), { present = true })
execute_only(p, at(20), "back from swap")

-- The kernel, for the process: neither reads nor writes, with or without enforcement.
check.fails("EFAULT", p:syscall_read(at(20), 8))
check.fails("EFAULT", p:syscall_write(at(20), "x"))
check.fails("EINVAL", p:madvise(at(20), page, "populate_read"))
check.fails("EINVAL", p:madvise(at(20), page, "populate_write"))
check.eq(p:mincore(at(20), page), { true })

-- What cannot be read cannot be locked into memory, though it is locked from then on.
clear()
map(0, 2, "r")
map(2, 2, "x")
map(4, 2, "r")
if enforced then
	check.fails("ENOMEM", p:mlock(at(0), 6 * page))
else
	check(p:mlock(at(0), 6 * page))
end
check.eq(p:smaps(at(2)).VmFlags, "ex mr mw me lo")
check.eq(p:smaps(at(4)).VmFlags, "rd mr mw me lo")
check.pagemap(p, at(0), { present = true })
check.pagemap(p, at(2), { present = not enforced })
check.pagemap(p, at(4), { present = not enforced })
check(p:munlock(at(0), 6 * page))
clear()
map(0, 2, "x", { populate = true })
check.pagemap(p, at(0), { present = not enforced })

-- Shared memory, and what lies behind its end.
clear()
local f = quire.shmem { size = 2 * page }
map(0, 2, "x", { shared = true, file = f })
f:write(0, "shared")
execute_only(p, at(0), "shared")
check(p:mprotect(at(0), page, "r"))
check.eq(p:read(at(0), 6), "shared")
check(p:mprotect(at(0), page, "x"))
f:truncate(0)
if enforced then
	check.eq({ p:touch(at(0), "r") }, no_data)
else
	check.eq({ p:touch(at(0), "r") }, { nil, "BUS", "ADRERR" })
end
check.eq({ p:touch(at(0), "x") }, { nil, "BUS", "ADRERR" })

-- Guards: whether there is data is asked first.
clear()
map(0, 2, "rw")
check(p:madvise(at(0), page, "guard_install"))
check(p:mprotect(at(0), page, "x"))
check.eq({ p:touch(at(0), "r") }, enforced and no_data or { nil, "SEGV", "MAPERR" })
check.eq({ p:touch(at(0), "x") }, { nil, "SEGV", "MAPERR" })

-- It merges with its like, however it came to be.
clear()
map(0, 6, "x")
check(p:mprotect(at(2), 2 * page, "r"))
check.eq(#p:maps(), 3)
check(p:mprotect(at(2), 2 * page, "x"))
check.eq(#p:maps(), 1)
