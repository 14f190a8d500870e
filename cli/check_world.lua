-- SPDX-License-Identifier: MIT
-- The case that a seed draws: chance, what can be switched off, kinds of memory, and what the case is dense in.
--
-- The module is the environment of all check_*.lua: what is not local in one is the others' too, and nothing becomes a global.
local globals <const> = _G
local _ENV = setmetatable({}, {
	__index = function(_, name)
		return globals[name] or error(("there is no '%s'"):format(name), 2)
	end,
})

PAGE = 4096
LOWEST = 0x10000 -- below, root alone may map, on Linux
LARGE = quire.table_bytes -- what one page table maps: 2M
SEAM = 0x600000200000 -- a boundary between page tables
FAR = 0x400000000000 -- for mappings too large to touch every page of
DEVICE = FAR + 8 * (1 << 40) -- for memory of devices
SPAN = FAR + 16 * (1 << 40) -- for protection that one entry can have for a whole page table
TOP = 0x7ff000000000 -- where the first mapping without a hint ends; the agent's memory is above
TERABYTE = 1 << 40
END = 0x7ffffffff000 -- of user addresses

-- What can be switched off.
local feature_names <const> = {
	"map", "place", "protect", "remap", "advise", "guard", "lock", "populate", "access", "kernel", "fork", "threads", "userfault", "events",
	"signals", "interleave", "scan", "errors", "files", "terabytes",
	"swap", "pins", "migration", "pressure", "spans", "devices",
	"closed_forks", -- a context is closed while a fork waits in it, also where memory is protected
	"free_shared", -- with swap, MADV_FREE of a page that another process maps
	"limited_scans", -- scans that look for written pages, and report some of them
}

-- === The arguments, and chance

local seed = tonumber(arg[1] or "1")
operations = tonumber(arg[2] or "100")
local only = arg[4]

on = {}
local named <const> = {} -- not by "all"
do
	local wanted, known = arg[3] or "all", {}
	for _, name in ipairs(feature_names) do
		known[name] = true
		on[name] = false
	end
	for without, name in wanted:gmatch("(%-?)([^,]+)") do
		if name == "all" then
			for _, each in ipairs(feature_names) do
				on[each] = true
			end
		elseif not known[name] then
			error(("no feature '%s': there are %s"):format(name, table.concat(feature_names, ", ")), 0)
		else
			on[name] = without == ""
			named[name] = on[name]
		end
	end
end

local state
function reseed(number)
	state = (seed * 1000003 + number) * 0x9e3779b97f4a7c15 + 1
	for _ = 1, 4 do
		state = (state ~ state >> 29) * 0xbf58476d1ce4e5b9
	end
end
function random(n) -- 0 to n - 1
	state = state * 6364136223846793005 + 1442695040888963407
	return (state >> 33) % n
end
function one_of(list)
	return list[random(#list) + 1]
end
function one_in(n)
	return random(n) == 0
end
function wrong(n) -- one in n, where arguments may be wrong
	return on.errors and one_in(n)
end

-- Whether this operation is to be made.
function wanted(number)
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

-- === What cases are made of

-- Kinds of memory.
--	feature		without which there is none
--	options		what mmap needs to be told besides a place, a length and permissions
--	owns		whether a VMA is of the kind
--	group		what coverage calls it
local all_kinds <const> = {
	{
		name = "anon", group = "anon", feature = "map",
		options = function()
			return {}
		end,
		owns = function(vma)
			return not vma.file and not vma.shared
		end,
	},
	{
		name = "shared anonymous", group = "shared", feature = "files",
		options = function()
			return { shared = true }
		end,
		owns = function(vma)
			return not vma.file and vma.shared
		end,
	},
	{
		name = "shmem shared", group = "shared", feature = "files",
		options = function(at)
			return file_options(at, true)
		end,
		owns = function(vma)
			return vma.file and vma.shared
		end,
	},
	{
		name = "shmem private", group = "private file", feature = "files",
		options = function(at)
			return file_options(at, false)
		end,
		owns = function(vma)
			return vma.file and not vma.shared
		end,
	},
	-- In moods of this group alone, where all files are of devices.
	{
		name = "device shared", group = "device", feature = "devices",
		options = function(at)
			return file_options(at, true)
		end,
		owns = function()
			return false -- for what coverage counts it is a file
		end,
	},
	{
		name = "device private", group = "device", feature = "devices",
		options = function(at)
			return file_options(at, false)
		end,
		owns = function()
			return false
		end,
	},
}
kinds = {}
for _, kind in ipairs(all_kinds) do
	if on[kind.feature] then
		table.insert(kinds, kind)
	end
end
-- Those that a case maps, if it does not map all.
local mappable
function some_kind()
	return one_of(mappable)
end
function kind_of(vma)
	for _, kind in ipairs(kinds) do
		if kind.owns(vma) then
			return kind
		end
	end
	return kinds[1]
end

advices = {
	"dontneed", "dontneed", "dontneed", "dontneed", "dontneed", "dontneed", "free", "free", "free", "free", "cold", "cold", "pageout", "willneed", "normal", "random", "sequential", "dontfork", "dofork", "wipeonfork",
	"keeponfork", "dontdump", "dodump", "dontneed_locked", "remove", "hugepage", "nohugepage", "mergeable", "unmergeable",
}
prots = { "rw", "rw", "rw", "rw", "r", "none", "rx", "w", "rwx", "x", "wx" }
modes = { { "missing" }, { "missing" }, { "wp" }, { "wp" }, { "wp" }, { "missing", "wp" }, { "missing", "wp" }, { "missing", "wp" } }
if on.files then
	table.move({ { "minor" }, { "minor", "wp" }, { "missing", "minor" }, { "missing", "minor", "wp" } }, 1, 4, #modes + 1, modes)
end
local wp <const> = { { "wp" } }
local missing <const> = { { "missing" } }
local both <const> = { { "missing", "wp" } }
local minor <const> = { { "minor" }, { "minor", "wp" }, { "missing", "minor" } }
local events <const> = { "event_fork", "event_remap", "event_remove", "event_unmap" }
anything = {
	"event_fork", "event_remap", "event_remove", "event_unmap", "sigbus", "thread_id", "exact_address", "wp_unpopulated", "wp_unpopulated", "wp_async",
	"poison", "move", "pagefault_flag_wp",
}

-- Moods: what a case is dense in, so that few operations meet often.
--	needs		features without which the mood makes no sense
--	more		factors for the weights of operations, or of all operations of a feature
--	negotiated	features that every context asks for; others are drawn
--	modes		to register with
--	registered	the window is from the start
--	group		all memory is of this group of kinds
--	swaps		there is swap
--	prots		permissions that half of the memory has
--	user_mode_only	contexts are told of no fault of the kernel's
--	kinds		most of the memory is of files, or else shared
local moods <const> = {
	{ name = "a bit of everything" },
	{ name = "everything registered", needs = { "userfault" }, registered = true, more = { userfault = 2 } },
	{ name = "mapping and merging", more = { userfault = 0, interleave = 0, map = 2, protect = 2, remap = 2, advise = 2 } },
	{ name = "plain memory of a family", needs = { "fork" }, more = { userfault = 0, interleave = 0, fork = 4, access = 2, kernel = 2 } },
	{
		name = "protection, forks and moves", needs = { "userfault" }, registered = true, modes = wp,
		negotiated = { "wp_unpopulated", "event_fork", "event_remap" },
		more = { writeprotect = 3, fork = 4, remap = 4, access = 2, message = 3 },
	},
	{
		name = "missing pages, events and threads", needs = { "userfault", "events" }, registered = true, modes = missing, negotiated = events,
		more = { copy = 3, zeropage = 3, message = 4, interleave = 4, advise = 2, remap = 2, map = 2 },
	},
	{
		name = "asynchronous protection and scans", needs = { "userfault", "scan" }, registered = true, modes = wp,
		negotiated = { "wp_async", "wp_unpopulated" }, more = { scan = 10, access = 3, writeprotect = 2, fork = 2, remap = 2 },
	},
	{
		name = "guards and poison", needs = { "userfault", "guard" }, registered = true, modes = both, negotiated = { "poison" },
		more = { guard = 8, poison = 8, copy = 3, writeprotect = 2, remap = 2, fork = 2, protect = 2 },
	},
	{ name = "locked memory", needs = { "lock" }, more = { lock = 10, remap = 3, protect = 3, map = 2, userfault = 1 } },
	{
		name = "registered memory is locked", needs = { "userfault", "lock" }, registered = true,
		more = { lock = 8, populate = 8, kernel = 4, writeprotect = 3, copy = 2, remap = 2 },
	},
	{ name = "senseless arguments", needs = { "errors" }, more = { errors = 15 } },
	{
		name = "pages that move", needs = { "userfault" }, registered = true, modes = both, negotiated = { "move" },
		more = { move = 15, copy = 3, zeropage = 2, writeprotect = 2, fork = 3, access = 2 },
	},
	{
		name = "marks that lie dormant", needs = { "userfault" }, registered = true, negotiated = { "wp_unpopulated" },
		more = { register = 5, unregister = 3, writeprotect = 4, access = 2, protect = 2 },
	},
	{ name = "sleepers", needs = { "userfault", "interleave" }, registered = true, more = { interleave = 15, message = 3 } },
	{
		name = "sleepers in events", needs = { "userfault", "interleave", "events" }, registered = true, negotiated = events,
		more = { interleave = 15, message = 3, remap = 3, map = 2, fork = 3 },
	},
	{ name = "files", needs = { "files" }, kinds = true, more = { files = 4, fork = 2, userfault = 1 } },
	{
		name = "registered files", needs = { "files", "userfault" }, kinds = true, registered = true,
		negotiated = { "missing_shmem", "minor_shmem", "wp_hugetlbfs_shmem", "wp_unpopulated" },
		more = { files = 2, writeprotect = 3, continue = 3, copy = 2, interleave = 3, fork = 2 },
	},
	{
		name = "minor faults", needs = { "files", "userfault" }, kinds = true, registered = true, modes = minor, negotiated = { "minor_shmem" },
		more = { files = 3, continue = 10, access = 2, kernel = 2, interleave = 2, message = 2 },
	},
	{
		name = "contexts that are closed", needs = { "userfault", "interleave", "events" }, registered = true, negotiated = events,
		more = { interleave = 15, close = 8, open = 3, register = 3, remap = 3, map = 4, fork = 4, signals = 4 },
	},
	{
		name = "the kernel is not answered", needs = { "userfault", "kernel" }, registered = true, modes = both, user_mode_only = true,
		more = { kernel = 8, populate = 6, lock = 4, writeprotect = 3, copy = 2 },
	},
	{
		name = "private copies in swap", needs = { "files", "swap" }, group = "private file", swaps = true,
		more = { pageout = 4, access = 4, fork = 2, userfault = 2 },
	},
	{ name = "registered memory in swap", needs = { "userfault", "swap" }, registered = true, swaps = true, more = { pageout = 4, access = 3, writeprotect = 2, lock = 2 } },
	{ name = "execute-only memory", needs = { "protect" }, prots = { "x", "x", "x", "wx" }, more = { protect = 4, access = 4, kernel = 4, populate = 4, lock = 3, userfault = 1 } },
	{ name = "large spans", needs = { "spans" }, more = { spans = 25, fork = 2, files = 1 } },
	{
		name = "large spans and scans", needs = { "spans", "scan", "userfault" }, negotiated = { "wp_async", "wp_unpopulated" },
		more = { spans = 25, fork = 2, files = 1 },
	},
	{ name = "devices", needs = { "devices" }, more = { devices = 40, fork = 2, files = 1, userfault = 1 } },
	{ name = "all memory is of devices", needs = { "devices", "files" }, group = "device", more = { files = 3, devices = 0, spans = 0, limits = 0, userfault = 1, fork = 2 } },
	{
		name = "all memory is of devices, and protected", needs = { "devices", "files", "scan", "userfault" }, group = "device", registered = true, modes = wp,
		negotiated = { "wp_async", "wp_unpopulated" }, more = { files = 2, devices = 0, spans = 0, limits = 0, scan = 5, writeprotect = 2, fork = 2 },
	},
	{
		name = "devices that are protected", needs = { "devices", "scan", "userfault" }, negotiated = { "wp_async", "wp_unpopulated" },
		more = { devices = 40, fork = 2, files = 1, userfault = 1 },
	},
	{ name = "near limits", needs = { "errors" }, more = { limits = 40 } },
	{
		name = "no one waits", needs = { "userfault" }, registered = true, negotiated = { "sigbus" },
		more = { access = 3, kernel = 4, writeprotect = 3, copy = 2, zeropage = 2 },
	},
}

-- What this case is like.
reseed(0)
local function possible(mood)
	for _, feature in ipairs(mood.needs or {}) do
		if not on[feature] then
			return false
		end
	end
	return true
end
repeat
	mood = one_of(moods)
until possible(mood)
pages = one_of { 3, 6, 12, 24, 40, 40 }
most = {
	processes = on.fork and one_of { 1, 2, 3, 5 } or 1,
	threads = on.threads and one_of { 2, 3, 4 } or 1,
	contexts = one_of { 1, 2, 3 },
}
mostly = one_of { false, false, "rw", "rw", "r" } -- the permissions that most memory has, or any
local function window()
	local start = SEAM - pages // 2 * PAGE
	return start, start + pages * PAGE
end
START, FINISH = window()

local usual <const> = {}
for _, kind in ipairs(kinds) do
	table.insert(usual, kind.group ~= "device" and kind or nil)
end
mappable = { usual[1] or kinds[1], table.unpack(mood.kinds and one_in(2) and { table.unpack(usual, 2) } or one_in(2) and usual or {}) }
if #mappable > 1 and mood.kinds and one_in(2) then
	table.remove(mappable, 1)
end

if mood.group then
	mappable = {}
	for _, kind in ipairs(kinds) do
		table.insert(mappable, kind.group == mood.group and kind or nil)
	end
end

-- Swap is the machine's, and what pageout does depends on it.  So one case in eight has swap, alone; a few say that there is none; the
-- others stay away from pageout and need not care.  Likewise one in four has pins.  In one of eight the library has hardly a frame left,
-- and pages come and go: then nobody asks where they are, and nothing is done whose result depends on that.  All have what was asked for by
-- its name.
local swap_drawn <const>, pins_drawn <const>, pressure_drawn <const> = random(8), random(4), random(8)
pressed = on.pressure and mood.group ~= "device" and (named.pressure or pressure_drawn == 0)
swapping = on.swap and (named.swap or mood.swaps or swap_drawn == 0) or pressed
pinning = on.pins and (named.pins or pins_drawn == 0) and not pressed
if pressed then
	pages = one_of { 40, 64, 96 }
	START, FINISH = window()
	most.processes = math.min(most.processes, 3)
	mood.more = setmetatable({ fill = 6, populate = 6 }, { __index = mood.more })
	for _, feature in ipairs { "lock", "scan", "terabytes" } do
		on[feature] = false
	end
	for i, advice in ipairs(advices) do
		advices[i] = advice == "free" and "dontneed" or advice
	end
	-- Pages of zeros that a file has, and nobody has written to, may go: then they are missing.
	if on.files and one_in(2) then
		on.files, kinds, mappable = false, { kinds[1] }, { kinds[1] }
	elseif on.files then
		modes, mood.modes = wp, nil
	end
end
local no_swap <const> = on.swap and not swapping and swap_drawn < 4
paging = swapping or no_swap or not on.swap -- pageout is drawn
if swapping then
	table.move({ "pageout", "pageout", "pageout", "cold" }, 1, 4, #advices + 1, advices)
elseif not paging then
	for i, advice in ipairs(advices) do
		advices[i] = advice == "pageout" and "cold" or advice
	end
end

local hardly_any <const> = (LARGE < 2 << 20 and 384 or 256) * PAGE -- of small page tables there are more
quire.setup { memory = pressed and hardly_any or "128M", cpus = 4, swap = swapping and "16M" or no_swap and 0 or nil }

-- Most of the memory is taken for good.
if pressed then
	local ballast = quire.process()
	local length = one_of { 165, 175, 185 } * PAGE
	ballast:mlock(ballast:mmap { length = length, prot = "rw" }, length)
end

return _ENV
