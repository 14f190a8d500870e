-- Random operations on private anonymous memory registered with userfaultfd.  Run on both targets, the transcripts say whether they agree:
--
--	build/quire run --on both tests/random/userfault.lua -- SEED [OPERATIONS]
--
-- A window of 24 pages that several processes with several threads and contexts register, protect, fill, move and fork; after each operation
-- everything that can be seen of it is looked at.  Threads sleep in faults and events; only those that are awake are given work.  The same
-- seed makes the same script.
--
-- Left out, for the kernel gives no certain answer: closing a context while a fork waits for its message to be read.  And because the library
-- differs (docs/differences.md): a fork while a system call sleeps with some pages of its transfer pinned.
local seed, operations = tonumber(arg[1] or "1"), tonumber(arg[2] or "300")
local PAGE <const> = 4096
local PAGES <const> = 24
local WINDOW <const> = 0x600000200000 - 12 * PAGE -- across a 2M boundary
local THREADS <const> = 3
local SLEEPERS <const> = 2

quire.setup { memory = "128M" }
local state = seed * 0x9e3779b97f4a7c15 + 1
local function random(n)
	state = state * 6364136223846793005 + 1442695040888963407
	return (state >> 33) % n
end
local function one_of(list)
	return list[random(#list) + 1]
end
local function chance(n)
	return random(n) == 0
end

-- Processes: { process=, threads=, contexts= }.  Threads: { thread=, waits= the name of the call it sleeps in }.
local processes = {}

-- Each thread makes accesses in its own part of the window: of two that are woken at the same page, any may come first.
local function add_process(handle)
	local process = { handle = handle, contexts = {}, threads = { { thread = handle, result = handle.thread_result } } }
	for i = 2, THREADS do
		local thread = handle:thread()
		process.threads[i] = { thread = thread, result = thread.result }
	end
	for i, thread in ipairs(process.threads) do
		thread.part = WINDOW + (i - 1) * PAGES // THREADS * PAGE
	end
	table.insert(processes, process)
	return process
end
local function forget(process)
	process.gone = true
	for i, other in ipairs(processes) do
		if other == process then
			table.remove(processes, i)
			return
		end
	end
end

local function sleepers(process)
	local list = {}
	for _, thread in ipairs(process.threads) do
		if thread.waits then
			table.insert(list, thread)
		end
	end
	return list
end
local function waits_in(process, name)
	for _, thread in ipairs(process.threads) do
		if thread.waits == name then
			return true
		end
	end
	return false
end

-- A call has come to an end, or to a stop.
local function settle(process, thread, name, result, why)
	if result == nil and why == "blocked" then
		thread.waits = name
		return nil
	end
	thread.waits = nil
	if name == "fork" then
		local contexts = process.born or {}
		process.born = nil
		if result then
			add_process(result).contexts = contexts
		end
	end
	return result
end
local function idle_thread(process)
	local idle = {}
	for _, thread in ipairs(process.threads) do
		if not thread.waits then
			table.insert(idle, thread)
		end
	end
	return one_of(idle)
end
local function call_on(process, thread, name, ...)
	return settle(process, thread, name, thread.thread[name](thread.thread, ...))
end
local function call(process, name, ...)
	return call_on(process, idle_thread(process), name, ...)
end
-- An access: `name` with an address in the thread's part of the window, and what `rest` makes of the bytes from there to the part's end.
local function access(process, name, rest)
	local thread = idle_thread(process)
	local offset = random(PAGES // THREADS * PAGE - 8)
	call_on(process, thread, name, thread.part + offset, rest(PAGES // THREADS * PAGE - offset))
end
local function look_at_sleepers(process)
	for _, thread in ipairs(sleepers(process)) do
		settle(process, thread, thread.waits, thread.result(thread.thread))
	end
end

local function read_one(process, context)
	local message, why = context:read()
	if message and message.event == "fork" then
		process.born = process.born or {}
		table.insert(process.born, message.child)
	end
	return message, why
end
local function read_messages(process)
	for _, context in ipairs(process.contexts) do
		repeat
			local message = read_one(process, context)
			if message and message.event ~= "pagefault" then
				look_at_sleepers(process)
			end
		until not message
	end
end

local function somewhere()
	return WINDOW + random(PAGES) * PAGE
end
local function some_length(at)
	local room = (WINDOW + PAGES * PAGE - at) // PAGE
	local pages = chance(4) and random(room) + 1 or random(math.min(room, 4)) + 1
	return pages * PAGE
end
-- A range for userfaultfd, which now and then is not one.
local function some_range()
	local at = somewhere()
	local length = some_length(at)
	if chance(24) then
		return at + random(PAGE), length
	elseif chance(24) then
		return at, length + random(PAGE)
	elseif chance(40) then
		return at, 0
	end
	return at, length
end

local prots = { "rw", "rw", "rw", "rw", "r", "none", "rwx" }
local advices = {
	"dontneed", "dontneed", "dontneed", "free", "cold", "pageout", "dontfork", "dofork", "wipeonfork", "keeponfork", "dontdump", "dodump",
	"guard_install", "guard_install", "guard_remove", "dontneed_locked", "mergeable",
}
local features = {
	"event_fork", "event_remap", "event_remove", "event_unmap", "sigbus", "thread_id", "exact_address", "wp_unpopulated", "wp_unpopulated",
	"wp_async", "poison", "move", "pagefault_flag_wp",
}
local modes = {
	{ "missing" }, { "missing" }, { "wp" }, { "wp" }, { "wp" }, { "missing", "wp" }, { "missing", "wp" }, { "missing", "wp" }, {}, { "minor" },
	{ "missing", "minor" },
}

local actions = {}
function actions.mmap(process)
	local at = somewhere()
	call(process, "mmap", { length = some_length(at), prot = one_of(prots), address = at, fixed = one_of { true, true, "noreplace" } })
end
function actions.munmap(process)
	local at = somewhere()
	call(process, "munmap", at, some_length(at))
end
function actions.mprotect(process)
	local at = somewhere()
	call(process, "mprotect", at, some_length(at), one_of(prots))
end
function actions.mremap(process)
	local at, to = somewhere(), somewhere()
	local old = some_length(at)
	local new = random(3) == 0 and old or some_length(to)
	call(process, "mremap", at, old, new,
		{ maymove = random(8) > 0, fixed = random(5) > 0 and to or nil })
end
function actions.madvise(process)
	local at = somewhere()
	call(process, "madvise", at, some_length(at), one_of(advices))
end
-- What touches pages: whole ones of the thread's own part.
local function on_part(process, name, ...)
	local thread = idle_thread(process)
	local first = random(PAGES // THREADS)
	call_on(process, thread, name, thread.part + first * PAGE, (random(PAGES // THREADS - first) + 1) * PAGE, ...)
end
function actions.populate(process)
	on_part(process, "madvise", one_of { "populate_read", "populate_write" })
end
function actions.mlock(process)
	on_part(process, one_of { "mlock", "munlock", "munlock" })
end
function actions.write(process)
	access(process, "write", function()
		return tostring(random(1000))
	end)
end
function actions.read(process)
	access(process, "read", function()
		return 4
	end)
end
function actions.touch(process)
	access(process, "touch", function()
		return one_of { "r", "w", "x" }
	end)
end
function actions.system(process)
	if chance(2) then
		access(process, "syscall_write", function(room)
			return ("s"):rep(random(math.min(room, 9000)) + 1)
		end)
	else
		access(process, "syscall_read", function(room)
			return random(math.min(room, 9000)) + 1
		end)
	end
end
function actions.fork(process)
	if waits_in(process, "fork") or waits_in(process, "syscall_read") or waits_in(process, "syscall_write") then
		return
	end
	if #processes < 3 then
		call(process, "fork")
	elseif process ~= processes[1] and #sleepers(process) == 0 then
		forget(process)
		process.handle:exit()
	end
end
function actions.open(process)
	if #process.contexts < 3 then
		local list = {}
		for _ = 1, random(6) do
			table.insert(list, one_of(features))
		end
		table.insert(process.contexts, process.handle:userfaultfd { features = list, user_mode_only = chance(12) })
	elseif chance(3) and not waits_in(process, "fork") then
		table.remove(process.contexts, random(#process.contexts) + 1):close()
	end
end
function actions.scan(process)
	local at = somewhere()
	local mask = one_of { {}, {}, { "written" }, { "present" } }
	process.handle:scan { start = at, length = some_length(at), mask = mask, wp = chance(3), check_wpasync = chance(6),
		max_pages = mask[1] == "present" and random(4) or 0 }
end
function actions.signal(process)
	local list = sleepers(process)
	if #list > 0 then
		local thread = one_of(list)
		if thread.waits == "read" or thread.waits == "write" or thread.waits == "touch" then
			thread.thread:signal()
		end
	end
end

local on_context = {}
function on_context.register(context)
	local at, length = some_range()
	context:register(at, length, one_of(modes))
end
function on_context.unregister(context)
	context:unregister(some_range())
end
function on_context.writeprotect(context)
	local at, length = some_range()
	context:writeprotect(at, length, random(3) > 0, { dontwake = chance(10) })
end
function on_context.copy(context)
	local at, length = some_range()
	context:copy(at, ("c"):rep(length), { wp = chance(2), dontwake = chance(8) })
end
function on_context.zeropage(context)
	local at, length = some_range()
	context:zeropage(at, length, { dontwake = chance(8) })
end
function on_context.poison(context)
	local at, length = some_range()
	context:poison(at, length, { dontwake = chance(8) })
end
function on_context.continue(context)
	local at, length = some_range()
	context:continue(at, length, { dontwake = chance(8), wp = chance(8) })
end
function on_context.move(context)
	local from = some_range()
	local at, length = some_range()
	context:move(at, from, length, { allow_src_holes = chance(2), dontwake = chance(8) })
end
function on_context.wake(context)
	context:wake(some_range())
end
function on_context.poll(context)
	context:poll()
end
local weighted_on_context = {
	on_context.register, on_context.register, on_context.register, on_context.register, on_context.unregister, on_context.writeprotect,
	on_context.writeprotect, on_context.writeprotect, on_context.writeprotect, on_context.writeprotect, on_context.copy, on_context.copy,
	on_context.zeropage, on_context.zeropage, on_context.poison, on_context.continue, on_context.move, on_context.move, on_context.wake,
	on_context.poll,
}
function actions.context(process)
	if #process.contexts > 0 then
		one_of(weighted_on_context)(one_of(process.contexts))
	end
end
function actions.message(process)
	if #process.contexts > 0 then
		read_one(process, one_of(process.contexts))
	end
end

local weighted = {
	actions.mmap, actions.mmap, actions.munmap, actions.mprotect, actions.mremap, actions.mremap, actions.madvise, actions.madvise,
	actions.madvise, actions.populate, actions.mlock, actions.write, actions.write, actions.write, actions.read, actions.touch, actions.touch, actions.system,
	actions.system, actions.fork, actions.open, actions.open, actions.scan, actions.scan, actions.signal, actions.message, actions.message,
}
for _ = 1, 20 do
	table.insert(weighted, actions.context)
end

-- Too many threads sleep: messages are read, faults resolved, and if nothing helps the contexts are closed.
local function relieve(process)
	read_messages(process)
	for _, context in ipairs(process.contexts) do
		if chance(2) then
			context:zeropage(WINDOW, PAGES * PAGE, { dontwake = true })
		end
		context:writeprotect(WINDOW, PAGES * PAGE, false, { dontwake = true })
		-- One at a time, lest their next faults come in any order.
		for page = WINDOW, WINDOW + (PAGES - 1) * PAGE, PAGE do
			if #sleepers(process) > 0 then
				context:wake(page, PAGE)
				look_at_sleepers(process)
			end
		end
	end
	look_at_sleepers(process)
	read_messages(process)
	if #sleepers(process) > SLEEPERS - 1 and not waits_in(process, "fork") then
		while #process.contexts > 0 do
			table.remove(process.contexts):close()
			look_at_sleepers(process)
		end
	end
	look_at_sleepers(process)
	if #sleepers(process) > SLEEPERS - 1 then
		forget(process)
		process.handle:exit()
		if #processes == 0 then
			add_process(quire.process())
		end
	end
end

local function observe(process)
	local handle = process.handle
	handle:maps()
	handle:pagemap(WINDOW, PAGES)
	handle:rss()
	for _, context in ipairs(process.contexts) do
		context:poll()
	end
end

add_process(quire.process()).handle:mmap { length = PAGES * PAGE, prot = "rw", address = WINDOW, fixed = true }
for _ = 1, operations do
	local process = one_of(processes)
	one_of(weighted)(process)
	look_at_sleepers(process)
	if #sleepers(process) >= SLEEPERS then
		relieve(process)
	end
	for _, other in ipairs(processes) do
		observe(other)
	end
	local maps = process.gone and {} or process.handle:maps()
	if #maps > 0 then
		local vma = one_of(maps)
		process.handle:smaps(vma.start)
		process.handle:scan { start = vma.start, length = vma.length }
	end
end
