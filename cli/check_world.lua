-- SPDX-License-Identifier: MIT
-- What the operations of check_generator.lua are made on: the case that a seed draws, processes with threads that sleep and contexts,
-- what has been seen of them, and where to do something next.
--
-- The module is the environment of both files: what is not local here is the other's too, and nothing becomes a global.
local globals <const> = _G
local _ENV = setmetatable({}, {
	__index = function(_, name)
		return globals[name] or error(("there is no '%s'"):format(name), 2)
	end,
})

PAGE = 4096
LOWEST = 0x10000 -- below, root alone may map, on Linux
SEAM = 0x600000200000 -- the 2M boundary
FAR = 0x400000000000 -- for mappings too large to touch every page of
SPAN = FAR + 16 * (1 << 40) -- for protection that one entry can have for 512 pages
TOP = 0x7ff000000000 -- where the first mapping without a hint ends; the agent's memory is above
TERABYTE = 1 << 40

-- What can be switched off.
local feature_names <const> = {
	"map", "place", "protect", "remap", "advise", "guard", "lock", "populate", "access", "kernel", "fork", "threads", "userfault", "events",
	"signals", "interleave", "scan", "errors", "files", "terabytes",
	"swap", "pins", "migration", "pressure",
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
	"dontneed", "dontneed", "dontneed", "free", "cold", "pageout", "willneed", "normal", "random", "sequential", "dontfork", "dofork", "wipeonfork",
	"keeponfork", "dontdump", "dodump", "dontneed_locked", "remove", "hugepage", "nohugepage", "mergeable", "unmergeable",
}
local prots <const> = { "rw", "rw", "rw", "rw", "r", "none", "rx", "w", "rwx" }
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
local mostly <const> = one_of { false, false, "rw", "rw", "r" } -- the permissions that most memory has, or any
local function window()
	local start = SEAM - pages // 2 * PAGE
	return start, start + pages * PAGE
end
START, FINISH = window()

mappable = { kinds[1], table.unpack(mood.kinds and one_in(2) and { table.unpack(kinds, 2) } or one_in(2) and kinds or {}) }
if #mappable > 1 and mood.kinds and one_in(2) then
	table.remove(mappable, 1)
end

-- Swap is the machine's, and what pageout does depends on it.  So one case in eight has swap, alone; a few say that there is none; the
-- others stay away from pageout and need not care.  Likewise one in four has pins.  In one of eight the library has hardly a frame left,
-- and pages come and go: then nobody asks where they are, and nothing is done whose result depends on that.  All have what was asked for by
-- its name.
local swap_drawn <const>, pins_drawn <const>, pressure_drawn <const> = random(8), random(4), random(8)
pressed = on.pressure and (named.pressure or pressure_drawn == 0)
swapping = on.swap and (named.swap or swap_drawn == 0) or pressed
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

quire.setup { memory = pressed and "1M" or "128M", cpus = 4, swap = swapping and "16M" or no_swap and 0 or nil }

-- Most of the memory is taken for good.
if pressed then
	local ballast = quire.process()
	local length = one_of { 165, 175, 185 } * PAGE
	ballast:mlock(ballast:mmap { length = length, prot = "rw" }, length)
end

-- === Files: two, which all processes map.  Most mappings show the page of a file that has the place of theirs in the window.

local files = {}

function some_file()
	local number = random(2) + 1
	files[number] = files[number] or quire.shmem { size = one_of { 0, pages // 2, pages, pages, pages + 1 } * PAGE + (one_in(4) and random(PAGE) or 0) }
	return files[number], number
end
function file_options(at, shared)
	local offset = (at - START) // PAGE * PAGE
	if one_in(5) then
		offset = offset + one_of { -pages // 2, pages // 2, 1, -1 } * PAGE
	end
	return { file = some_file(), shared = shared, offset = math.max(offset, 0) + (wrong(40) and random(PAGE) or 0) }
end
function close_file(number)
	files[number]:close()
	files[number] = nil
end

-- === Processes, threads that sleep, and contexts
--
-- A process is { handle=, threads=, contexts=, pins=, maps= and pages= (as they were last seen), edges=, hot= }.  A thread is { object=, result=,
-- waits= (the kind of call that it sleeps in), spans= (the pages that this call may touch) }.  A context is { handle=, copier= (the hidden
-- thread that copies from memory) }.

processes = {}
orphans = {} -- contexts whose process has ended

function adopt(handle, contexts)
	local process = { handle = handle, contexts = contexts or {}, threads = {}, pins = {}, maps = {}, pages = {}, edges = { START, SEAM, FINISH }, hot = { SEAM } }

	process.threads[1] = { object = handle, result = handle.thread_result }
	for i = 2, most.threads do
		local thread = handle:thread()
		process.threads[i] = { object = thread, result = thread.result }
	end
	table.insert(processes, process)
	return process
end

function sleepers(process)
	local list = {}
	for _, thread in ipairs(process.gone and {} or process.threads) do
		if thread.waits then
			table.insert(list, thread)
		end
	end
	return list
end
local function idle_threads(process)
	local list = {}
	for _, thread in ipairs(process.threads) do
		if not thread.waits and not thread.copies then
			table.insert(list, thread)
		end
	end
	return list
end
function idle_thread(process)
	return one_of(idle_threads(process))
end
function has_idle_thread(process)
	return #idle_threads(process) > 0
end
function waits_in(process, kind)
	for _, thread in ipairs(process.threads) do
		if thread.waits == kind then
			return true
		end
	end
	return false
end
function anyone_sleeps()
	for _, process in ipairs(processes) do
		if #sleepers(process) > 0 then
			return true
		end
	end
	return false
end
local function meets(spans, at, length)
	for _, span in ipairs(spans) do
		if at < span[1] + span[2] and at + length > span[1] // PAGE * PAGE then
			return true
		end
	end
	return false
end
-- How many threads sleep in calls that touch this range.
function asleep_at(process, at, length)
	local count = 0
	for _, thread in ipairs(process.threads) do
		if thread.waits and meets(thread.spans, at, length) then
			count = count + 1
		end
	end
	return count
end

-- Whether memory of this range may be seen in another place, too.
function meets_files(process, at, length)
	for _, vma in ipairs(process.maps) do
		if at < vma.start + vma.length and at + length > vma.start and kind_of(vma).group ~= "anon" then
			return true
		end
	end
	return false
end

-- Whether a protected page of a file, or what may be one, lies in this range.
function meets_protected_files(process, at, length)
	for _, vma in ipairs(process.maps) do
		local first, last = math.max(vma.start, at), math.min(vma.start + vma.length, at + length)
		for page = first, kind_of(vma).group ~= "anon" and last - 1 or first - 1, PAGE do
			local seen = process.pages[(page - START) // PAGE + 1]
			if seen and seen.uffd_wp or not seen and has(vma, "uw") then
				return true
			end
		end
	end
	return false
end

-- Whether a page of this range is marked, and the mark lies dormant.
function meets_dormant_pages(process, at, length)
	for page = math.max(START, at // PAGE * PAGE), math.min(FINISH, at + length) - 1, PAGE do
		local seen = process.pages[(page - START) // PAGE + 1]
		if seen and seen.present and seen.uffd_wp and not has(vma_at(process, page), "uw") then
			return true
		end
	end
	return false
end

-- Whether a system call sleeps that has pinned pages before the one that it waits for.
function pins_pages(process)
	for _, thread in ipairs(process.threads) do
		if thread.waits == "fault" and thread.transfers and thread.spans[1][1] // PAGE ~= (thread.spans[1][1] + thread.spans[1][2] - 1) // PAGE then
			return true
		end
	end
	return false
end

function process_ended(process)
	process.gone = true
	for i, other in ipairs(processes) do
		if other == process then
			table.remove(processes, i)
		end
	end
	-- One whose fork has not been told of is not to be closed, and this would be its end.
	for _, context in ipairs(waits_in(process, "fork") and {} or process.contexts) do
		if #orphans < 2 then
			table.insert(orphans, context)
		end
	end
	process.handle:exit()
end

-- A call has come to an end, or to a stop.  A child is there when its parent's fork returns, with the contexts that were told of it.
local function settle(process, thread, kind, result, why)
	if result == nil and why == "blocked" then
		thread.waits = kind
		return result
	end
	thread.waits = nil
	if result and kind == "pin" then
		table.insert(process.pins, result)
	elseif kind == "fork" then
		local contexts = process.born
		process.born = nil
		if result then
			adopt(result, contexts)
		end
	end
	return result
end
function look_at_sleepers(process)
	for _, thread in ipairs(sleepers(process)) do
		settle(process, thread, thread.waits, thread.result(thread.object))
	end
end

-- What a thread that sleeps in this call waits for.  A system call that faults pages in may do so after it has told of an event.
local sleeps_in <const> = { fork = "fork", munmap = "event", mmap = "event", mremap = "event", madvise = "event", pin = "pin" }
function call_on(process, thread, spans, name, ...)
	thread.spans = spans
	thread.transfers = name:find("^syscall") ~= nil
	return settle(process, thread, sleeps_in[name] or "fault", thread.object[name](thread.object, ...))
end

function read_message(process, context)
	local message = context.handle:read()
	if message and message.event == "fork" then
		process.born = process.born or {}
		table.insert(process.born, { handle = message.child, inherited = true })
	end
	return message
end
function read_messages(process)
	for _, context in ipairs(process.contexts) do
		repeat
			local message = read_message(process, context)
			look_at_sleepers(process)
		until not message
	end
end
function may_close(process, context)
	return #sleepers(process) <= 1 and not waits_in(process, "fork") and not (context.copier and context.copier.waits)
end
function close(process, number)
	local context = table.remove(process.contexts, number)
	if context.copier then
		for i, thread in ipairs(process.threads) do
			if thread == context.copier then
				table.remove(process.threads, i)
			end
		end
	end
	context.handle:close()
	look_at_sleepers(process)
end
-- ... anywhere; other processes may have the same pages.
function anyone_pins()
	for _, process in ipairs(processes) do
		if pins_pages(process) then
			return true
		end
	end
	return false
end

-- === Coverage: operation / kind of memory / state of the first page, and what others sleep in meanwhile
--
-- Of memory of files few states are told apart: cached (in the file, not in the page table), mapped, and protected (or another marker).

local built, cells, reached = pcall(function() return quire.cells, quire.reached end)
if not built then cells, reached = function() end, function() end end

-- Operations on memory, and states, each with the feature without which there is none.
local labels <const> = {
	mmap = "map", munmap = "map", mprotect = "protect", mremap = "remap", ["mremap to"] = "remap", dontneed = "advise", free = "advise",
	pageout = "advise", cold = "advise", guard_install = "guard", guard_remove = "guard", register = "userfault", unregister = "userfault",
	writeprotect = "userfault", unprotect = "userfault", copy = "userfault", zeropage = "userfault", poison = "userfault", move = "userfault",
	["move from"] = "userfault", scan = "scan", ["scan and protect"] = "scan", migrate = "migration",
}
local file_labels <const> = { remove = "files", continue = "userfault" }

-- These fault pages in, and so are never made where another thread sleeps.
local accesses <const> = {
	read = "access", write = "access", execute = "access", syscall_read = "kernel", syscall_write = "kernel", populate = "populate", mlock = "lock",
	munlock = "lock", ["copy from"] = "userfault", pin = "pins",
}
local page_states <const> = {
	unmapped = "map", empty = "map", zero = "scan", exclusive = "access", shared = "fork", protected = "userfault", ["protected empty"] = "userfault",
	guard = "guard", poison = "userfault", swapped = "swap",
}
local vma_states <const> = { missing = "userfault", wp = "userfault", async = "scan", closed = "protect", locked = "lock" }
local file_states <const> = { cached = "files", mapped = "files", protected = "userfault", ["maybe swapped"] = "swap" }
local merged <const> = {
	exclusive = "mapped", shared = "mapped", zero = "mapped", ["protected empty"] = "protected", poison = "protected", guard = "protected",
}
local waits <const> = { fault = "access", event = "events" }

local declared <const> = {}
local function declare(features, cell)
	for _, feature in ipairs(features) do
		if not on[feature] then
			return
		end
	end
	declared[cell] = true
end
local function declare_states(feature, label, group, states)
	for state, needed in pairs(states) do
		declare({ feature, needed }, ("%s / %s / %s"):format(label, group, state))
	end
end
for _, list in ipairs { labels, accesses, file_labels } do
	for label, feature in pairs(list) do
		if list ~= file_labels then
			declare_states(feature, label, "anon", page_states)
			declare_states(feature, label, "anon", vma_states)
		end
		declare_states(feature, label, "shared", file_states)
		declare_states(feature, label, "private file", { mapped = "files", swapped = "swap" })
		declare({ feature, "userfault", "events", "fork" }, ("%s / while a fork sleeps"):format(label))
		declare({ feature, "pressure" }, ("%s / under pressure"):format(label))
	end
end
for label, feature in pairs(labels) do
	for wait, needed in pairs(waits) do
		declare({ feature, "userfault", needed }, ("%s / where a thread sleeps in its %s"):format(label, wait))
	end
end
do
	local list = {}
	for cell in pairs(declared) do
		table.insert(list, cell)
	end
	table.sort(list)
	cells(list)
end
local function reach(...)
	local cell = table.concat({ ... }, " / ")
	if declared[cell] then
		reached(cell)
	end
end

function vma_at(process, at)
	for _, vma in ipairs(process.maps) do
		if at >= vma.start and at < vma.start + vma.length then
			return vma
		end
	end
end
function has(vma, flag)
	return vma.flags:find(flag, 1, true) ~= nil
end
local function categories_at(process, at)
	local found = {}
	for _, region in ipairs(process.regions or {}) do
		if at >= region.start and at < region.start + region.length then
			for _, category in ipairs(region.categories) do
				found[category] = true
			end
		end
	end
	return found
end
local function page_state(process, at, vma)
	local page = process.pages[(at - START) // PAGE + 1]
	if not vma then
		return "unmapped"
	elseif not page then
		return "outside the window"
	elseif page.guard then
		return "guard"
	elseif page.uffd_wp then
		return page.present and "protected" or "protected empty"
	elseif page.swapped then
		return swapping and "swapped" or "poison" -- hardly ever poison where there is swap
	elseif not page.present then
		return "empty"
	elseif page.exclusive then
		return "exclusive"
	end
	return categories_at(process, at).pfnzero and "zero" or "shared"
end
local function vma_states_at(process, at, vma)
	local states = {}
	local function add(state, holds)
		table.insert(states, holds and state or nil)
	end
	add("missing", has(vma, "um"))
	add("wp", has(vma, "uw"))
	add("async", categories_at(process, at).wpallowed)
	add("closed", vma.prot == "---")
	add("locked", has(vma, "lo"))
	return states
end
local function reach_states(process, label, page, vma)
	local group, state = vma and kind_of(vma).group or "anon", page_state(process, page, vma)

	if group == "anon" then
		reach(label, group, state)
		for _, other in ipairs(vma and vma_states_at(process, page, vma) or {}) do
			reach(label, group, other)
		end
	elseif state == "empty" and one_in(2) and process.handle:mincore(page, PAGE)[1] then
		reach(label, group, "cached")
	elseif state == "empty" and swapping then
		reach(label, group, "maybe swapped")
	else
		reach(label, group, merged[state] or state)
	end
end
-- An operation is about to begin at this page: remembered for those that follow, and for the coverage.
function aim(label, process, at)
	local page = at // PAGE * PAGE
	local vma = vma_at(process, page)

	table.insert(process.hot, 1, page)
	process.hot[7] = nil
	if pressed then
		reach(label, "under pressure")
	else
		reach_states(process, label, page, vma)
	end
	for _, thread in ipairs(process.threads) do
		if thread.waits == "fork" then
			reach(label, "while a fork sleeps")
		elseif thread.waits and meets(thread.spans, page, PAGE) then
			reach(label, "where a thread sleeps in its " .. thread.waits)
		end
	end
end

-- === Where to do something

function clamp(at)
	return math.max(START, math.min(at, FINISH - PAGE))
end
-- A page of the window: where something begins or ends, or was done lately, and beside it; or any.
function somewhere(process)
	local what = random(4)
	if process.focus and not one_in(4) then
		return clamp(process.focus + (one_in(3) and (random(3) - 1) * PAGE or 0))
	elseif what < 2 then
		return START + random(pages) * PAGE
	end
	return clamp(one_of(what == 2 and process.edges or process.hot) + (random(3) - 1) * PAGE)
end
function some_length(process, at)
	local room = math.max((FINISH - at) // PAGE, 1)
	local to = one_of(process.edges) + (random(3) - 1) * PAGE
	local length = (random(math.min(room, 6)) + 1) * PAGE

	if one_in(4) then
		length = (random(room) + 1) * PAGE
	elseif one_in(4) and to > at and to <= FINISH then
		length = to - at
	end
	return length - (wrong(16) and random(PAGE) or 0)
end
-- In the window; now and then just around one of the process's VMAs, wherever they are; now and then not a range at all.
function some_range(process)
	local at = somewhere(process)
	local length = some_length(process, at)
	local vma = one_in(8) and #process.maps > 0 and one_of(process.maps)

	if vma and vma.length < 100 * PAGE then
		at = vma.start + (random(3) - 1) * PAGE
		length = one_of { vma.length, vma.length + PAGE, vma.length + 2 * PAGE, PAGE, 2 * PAGE }
	end
	if wrong(40) then
		at = at + random(PAGE)
	end
	return at, wrong(40) and 0 or length
end
function plain_prot()
	return one_of(prots)
end
function some_prot()
	local odd <const> = { 8, 11, 0x10, 0x13, 0x01000000, 0x02000001, 0x03000000, 0x40, -1, 0x7fffffff, -2147483648 }
	return wrong(25) and one_of(odd) or mostly and not one_in(3) and mostly or one_of(prots)
end

return _ENV
