-- SPDX-License-Identifier: MIT
-- Random operations on private anonymous memory.  Run on both targets, the transcripts say whether they agree:
--
--	build/quire run --on both tests/random/anonymous.lua -- SEED [OPERATIONS [ONLY]]
--
-- A window of 40 pages that several processes, each with a few threads, map, split, protect, move and fork; a few mappings that the target
-- places; and arguments that no sane program would pass.  After each operation everything that can be seen of it is looked at.
--
-- The same seed makes the same script, and what operation number 17 does depends on the seed, on 17 and on what there is by then.  So most
-- operations can be left out without changing the others: ONLY ("1-20,35") names those to make, and scripts/minimise.sh finds the few that matter.
local seed, operations, only = tonumber(arg[1] or "1"), tonumber(arg[2] or "300"), arg[3]
local PAGE <const> = 4096
local PAGES <const> = 40
local WINDOW <const> = 0x600000200000 - 20 * PAGE -- across a 2M boundary
local FAR <const> = 0x400000000000 -- for mappings too large to touch every page of
local WINDOW_TOP <const> = 0x7ff000000000 -- where the first mapping without a hint ends
local HUGE <const> = 1 << 40
local SLOTS <const> = 5 -- processes at a time
local THREADS <const> = 3

quire.setup { memory = "128M", cpus = 4 }

local state
local function reseed(number)
	state = (seed * 1000003 + number) * 0x9e3779b97f4a7c15 + 1
	for _ = 1, 4 do
		state = (state ~ state >> 29) * 0xbf58476d1ce4e5b9
	end
end
local function random(n) -- 0 to n - 1
	state = state * 6364136223846793005 + 1442695040888963407
	return (state >> 33) % n
end
local function one_of(list)
	return list[random(#list) + 1]
end
local function one_in(n)
	return random(n) == 0
end

local prots = { "rw", "rw", "rw", "r", "none", "rx", "w", "rwx" }
local odd_prots = { 8, 11, 0x10, 0x13, 0x01000000, 0x02000001, 0x03000000, 0x40, -1, 0x7fffffff, -2147483648 }
local advices = {
	"dontneed", "dontneed", "free", "cold", "pageout", "willneed", "normal", "random", "sequential", "dontfork", "dofork",
	"wipeonfork", "keeponfork", "dontdump", "dodump", "populate_read", "populate_write", "guard_install", "guard_install",
	"guard_remove", "dontneed_locked", "remove", "hugepage", "nohugepage", "mergeable", "unmergeable",
}
-- 100 and 101 would take real memory out of use.
local odd_advices = { -1, 5, 6, 7, 26, 27, 99, 104, 1000, 0x7fffffff, -2147483648 }
-- Where nothing can be mapped.
local odd_addresses = {
	0, 1, PAGE, 0x7ffffffff000, 0x7fffffffffff, 1 << 47, 0x800000001000, 1 << 48, 1 << 62, 1 << 63,
	0xffff7fffffffffff, 0xffff800000000000, 0xffffffffffffe000, 0xfffffffffffff000, -1,
}
-- From the window on these end beyond the user half, or wrap.
local wraps = { -PAGE * 2, -PAGE, 1 - PAGE, -2, -1 }
local odd_lengths = { 1 << 47, 1 << 48, 1 << 62, 1 << 63, -1 << 47, table.unpack(wraps) }

local function somewhere()
	return WINDOW + random(PAGES) * PAGE
end
local function some_length(at)
	local room = (WINDOW + PAGES * PAGE - at) // PAGE
	local pages = one_in(4) and random(room) + 1 or random(math.min(room, 6)) + 1
	-- Now and then not whole pages.
	return pages * PAGE - (one_in(12) and random(PAGE) or 0)
end
local function some_prot()
	return one_in(25) and one_of(odd_prots) or one_of(prots)
end

local processes = {}
local function adopt(process)
	table.insert(processes, { process = process, threads = { process } })
end

-- Where to do something: in the window; now and then just around one of the process's VMAs, wherever they are.
local function some_range(entry)
	local at = somewhere()
	local length = some_length(at)

	if one_in(6) then
		local maps = entry.process:maps()
		local vma = #maps > 0 and one_of(maps)

		if vma and vma.length < 100 * PAGE then
			at = vma.start + (random(3) - 1) * PAGE
			length = one_of { vma.length, vma.length + PAGE, vma.length + 2 * PAGE, PAGE, 2 * PAGE }
		end
	end
	if one_in(40) then
		at = at + random(PAGE)
	end
	if one_in(40) then
		length = 0
	end
	return at, length
end

local actions = {}
function actions.mmap(p)
	local at = somewhere()
	p:mmap { length = some_length(at), prot = some_prot(), address = at, fixed = one_of { true, true, "noreplace", false },
		populate = one_in(6), noreserve = one_in(10) }
end
-- What the target makes of a hint, and where it places things without one.
function actions.place(p, entry)
	local hint = one_of { 0, 0, 0, somewhere(), somewhere() + random(PAGE), (some_range(entry)), one_of { 1, PAGE, 1 << 47, -1, -PAGE } }

	-- What lies above is the agent's on Linux.
	if hint >= WINDOW_TOP - 8 * PAGE and hint < 1 << 47 then
		hint = 0
	end
	if #entry.process:maps() < 40 then
		p:mmap { length = (random(5) + 1) * PAGE, prot = some_prot(), address = hint, populate = one_in(8) }
	end
end
function actions.large(p, entry)
	local at = FAR + random(4) * HUGE
	local kind = random(6)

	if kind == 0 then
		p:mmap { length = one_of { "2M", "4M", 3 << 20, HUGE }, prot = "none", noreserve = one_in(2) }
	elseif kind == 1 then
		p:mmap { length = HUGE * (random(3) + 1), prot = "none", address = at, fixed = one_of { true, "noreplace" } }
	elseif kind == 2 then
		p:munmap(at, HUGE // (random(3) + 1) // PAGE * PAGE)
	elseif kind == 3 then
		p:mmap { length = one_of { HUGE, 1 << 47 }, prot = "rw", address = at, fixed = one_of { "noreplace", false } }
	elseif kind == 4 then
		p:mremap(at, HUGE, HUGE * random(3), { maymove = one_in(2) })
	else
		for _, vma in ipairs(entry.process:maps()) do
			if vma.length >= 2 << 20 then
				p:munmap(vma.start + random(3) * PAGE, vma.length)
			end
		end
	end
end
function actions.munmap(p, entry)
	p:munmap(some_range(entry))
end
function actions.mprotect(p, entry)
	local at, length = some_range(entry)
	p:mprotect(at, length, some_prot())
end
function actions.mremap(p, entry)
	local at, old = some_range(entry)
	local to = one_in(6) and some_range(entry) or somewhere()
	local new = one_in(3) and old or some_length(somewhere())

	if one_in(40) then
		to = to + random(PAGE)
	end
	p:mremap(at, old, new, { maymove = not one_in(4), fixed = not one_in(3) and to or nil })
end
-- The same size, over several VMAs or nearly so; and onto itself.
function actions.shift(p)
	local at = somewhere()
	local length = some_length(at)
	local by = random(8) * PAGE

	p:mremap(at, length, one_of { length, length, length + PAGE, math.max(length - PAGE, 0) },
		{ maymove = true, fixed = one_of { at + by, at - by, at + length, at - length } })
end
function actions.madvise(p, entry)
	local at, length = some_range(entry)
	p:madvise(at, length, one_in(25) and one_of(odd_advices) or one_of(advices))
end
function actions.guard(p, entry)
	local at, length = some_range(entry)
	p:madvise(at, length, one_of { "guard_install", "guard_install", "guard_remove", "populate_read", "populate_write", "dontneed" })
end
function actions.mlock(p, entry)
	local at, length = some_range(entry)
	if one_in(2) then
		p:mlock(at, length)
	else
		p:munlock(at, length)
	end
end
function actions.write(p)
	p:write(somewhere() + random(PAGE), tostring(random(1000)))
end
function actions.fill(p)
	p:write(somewhere() + random(PAGE), ("f"):rep(random(3 * PAGE)))
end
function actions.read(p)
	p:read(somewhere() + random(PAGE), one_of { 1, 8, PAGE, 9000 })
end
function actions.touch(p)
	p:touch(somewhere() + random(PAGE), one_of { "r", "w", "x" })
end
function actions.system(p, entry)
	local at = one_in(8) and some_range(entry) or somewhere() + random(PAGE)
	local length = one_of { random(9000), random(9000), 0, 1, PAGE }

	if one_in(2) then
		p:syscall_write(at, ("s"):rep(length))
	else
		p:syscall_read(at, length)
	end
end
-- Arguments that make no sense.
function actions.odd(p)
	local at = one_in(2) and one_of(odd_addresses) or somewhere()
	local length = at >= WINDOW and at < WINDOW + PAGES * PAGE and one_of(odd_lengths) or one_of { 0, 1, PAGE, 3 * PAGE }
	local inside = somewhere()
	local kind = random(14)

	if kind == 0 then
		p:munmap(at, length)
	elseif kind == 1 then
		p:mprotect(at, length, some_prot())
	elseif kind == 2 then
		p:madvise(inside, one_of(wraps), one_of(advices))
	elseif kind == 3 then
		p:madvise(one_of(odd_addresses), PAGE, one_of(advices))
	elseif kind == 4 then
		p:mlock(at, length)
	elseif kind == 5 then
		p:munlock(at, length)
	elseif kind == 6 then
		p:mmap { length = one_of(odd_lengths), prot = "rw", address = inside, fixed = one_of { true, false, "noreplace" } }
	elseif kind == 7 then
		p:mmap { length = one_of { 0, PAGE }, prot = "rw", address = inside + random(PAGE), fixed = one_of { true, false, "noreplace" } }
	elseif kind == 8 then
		p:mremap(inside, one_of { 0, PAGE, one_of(odd_lengths) }, one_of { 0, PAGE, one_of(odd_lengths) }, { maymove = one_in(2) })
	elseif kind == 9 then
		p:mremap(inside, 2 * PAGE, one_of { PAGE, 2 * PAGE }, { maymove = not one_in(4), fixed = one_of(odd_addresses) | 1 << 47 })
	elseif kind == 10 then
		p:mremap(one_of(odd_addresses), one_of { 0, PAGE }, PAGE, { maymove = one_in(2), fixed = one_in(2) and inside or nil })
	elseif kind == 11 then
		p:syscall_read(one_of(odd_addresses), one_of { 0, 1, PAGE })
	elseif kind == 12 then
		p:syscall_write(one_of(odd_addresses), ("o"):rep(one_of { 0, 1, PAGE }))
	else
		local address = one_of { 0, PAGE, 0x10000, WINDOW - PAGE, FAR - 1 }
		p:touch(address, one_of { "r", "w", "x" })
	end
end
function actions.thread(_, entry)
	if #entry.threads < THREADS then
		table.insert(entry.threads, (entry.process:thread()))
	end
end
-- Whoever it is, the oldest included, as long as one is left.
function actions.fork(p)
	if #processes < SLOTS and not one_in(4) then
		adopt((p:fork()))
	elseif #processes > 1 then
		table.remove(processes, random(#processes) + 1).process:exit()
	end
end

local weighted = {
	mmap = 4, place = 2, large = 1, munmap = 2, mprotect = 4, mremap = 3, shift = 2, madvise = 5, guard = 2, mlock = 2, write = 6, fill = 1,
	read = 2, touch = 2, system = 3, odd = 3, thread = 1, fork = 3,
}
local drawn = {}
for name, weight in pairs(weighted) do
	for _ = 1, weight do
		table.insert(drawn, name)
	end
end
table.sort(drawn)

-- Everything there is of one process; of the one that made the call also what is costly.
local function look(process, closely)
	local maps = process:maps()

	process:pagemap(WINDOW, PAGES)
	process:rss()
	if closely and #maps > 0 then
		local vma = one_of(maps)

		process:smaps(vma.start)
		if vma.length < 100 * PAGE then
			process:pagemap(vma.start, vma.length // PAGE)
			process:mincore(vma.start, vma.length)
		end
	end
end

local function wanted(number)
	if not only then
		return true
	end
	for first, last in only:gmatch("(%d+)%-?(%d*)") do
		if number >= tonumber(first) and number <= (tonumber(last) or tonumber(first)) then
			return true
		end
	end
	return false
end

adopt(quire.process())
for number = 1, operations do
	if wanted(number) then
		reseed(number)
		local entry = one_of(processes)
		actions[one_of(drawn)](one_of(entry.threads), entry)
		for _, other in ipairs(processes) do
			look(other.process, other == entry)
		end
	end
end
