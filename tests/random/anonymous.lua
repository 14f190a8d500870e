-- Random operations on private anonymous memory.  Run on both targets, the transcripts say whether they agree:
--
--	build/quire run --on both tests/random/anonymous.lua -- SEED [OPERATIONS]
--
-- A window of 40 pages that several processes map, split, protect, move and fork; after each operation everything that can be seen of it
-- is looked at.  The same seed makes the same script.
local seed, operations = tonumber(arg[1] or "1"), tonumber(arg[2] or "300")
local PAGE <const> = 4096
local PAGES <const> = 40
local WINDOW <const> = 0x600000200000 - 20 * PAGE -- across a 2M boundary

quire.setup { memory = "128M" }
local state = seed * 0x9e3779b97f4a7c15 + 1
local function random(n)
	state = state * 6364136223846793005 + 1442695040888963407
	return (state >> 33) % n
end
local function one_of(list)
	return list[random(#list) + 1]
end

local processes = { quire.process() }
local prots = { "rw", "rw", "rw", "r", "none", "rx", "w", "rwx" }
local advices = {
	"dontneed", "dontneed", "free", "cold", "pageout", "willneed", "normal", "random", "sequential", "dontfork", "dofork",
	"wipeonfork", "keeponfork", "dontdump", "dodump", "populate_read", "populate_write", "guard_install", "guard_install",
	"guard_remove", "dontneed_locked", "remove", "hugepage", "nohugepage", "mergeable", "unmergeable",
}

local function somewhere()
	return WINDOW + random(PAGES) * PAGE
end
local function some_length(at)
	local room = (WINDOW + PAGES * PAGE - at) // PAGE
	local pages = random(4) == 0 and random(room) + 1 or random(math.min(room, 6)) + 1
	-- Now and then not whole pages.
	return pages * PAGE - (random(12) == 0 and random(PAGE) or 0)
end

local actions = {}
function actions.mmap(p)
	local at = somewhere()
	p:mmap { length = some_length(at), prot = one_of(prots), address = at, fixed = one_of { true, true, "noreplace", false },
		populate = random(6) == 0, noreserve = random(10) == 0 }
end
function actions.munmap(p)
	local at = somewhere()
	p:munmap(at, some_length(at))
end
function actions.mprotect(p)
	local at = somewhere()
	p:mprotect(at, some_length(at), one_of(prots))
end
function actions.mremap(p)
	local at, to = somewhere(), somewhere()
	local old = some_length(at)
	p:mremap(at, old, random(3) == 0 and old or some_length(to), { maymove = random(4) > 0, fixed = random(3) > 0 and to or nil })
end
function actions.madvise(p)
	local at = somewhere()
	p:madvise(at, some_length(at), one_of(advices))
end
function actions.mlock(p)
	local at = somewhere()
	if random(2) == 0 then
		p:mlock(at, some_length(at))
	else
		p:munlock(at, some_length(at))
	end
end
function actions.write(p)
	p:write(somewhere() + random(PAGE), tostring(random(1000)))
end
function actions.read(p)
	p:read(somewhere() + random(PAGE), 8)
end
function actions.touch(p)
	p:touch(somewhere() + random(PAGE), one_of { "r", "w", "x" })
end
function actions.system(p)
	local at = somewhere() + random(PAGE)
	if random(2) == 0 then
		p:syscall_write(at, ("s"):rep(random(9000)))
	else
		p:syscall_read(at, random(9000))
	end
end
function actions.fork(p)
	if #processes < 4 then
		table.insert(processes, (p:fork()))
	else
		table.remove(processes, random(#processes - 1) + 2):exit()
	end
end

local weighted = {
	actions.mmap, actions.mmap, actions.mmap, actions.munmap, actions.mprotect, actions.mprotect, actions.mremap, actions.mremap,
	actions.madvise, actions.madvise, actions.madvise, actions.mlock, actions.write, actions.write, actions.write, actions.write,
	actions.read, actions.touch, actions.system, actions.fork,
}

for _ = 1, operations do
	local p = one_of(processes)
	one_of(weighted)(p)
	for _, q in ipairs(processes) do
		local maps = q:maps()
		q:pagemap(WINDOW, PAGES)
		q:rss()
		if q == p and #maps > 0 then
			local vma = one_of(maps)
			q:smaps(vma.start)
			q:mincore(vma.start, vma.length)
		end
	end
end
