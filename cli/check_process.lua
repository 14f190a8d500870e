-- SPDX-License-Identifier: MIT
-- Files, processes with threads that sleep, and contexts: what operations are made on, and what has been seen of it.
local _ENV = require "check_world"

-- === Files: two, which all processes map.  Most mappings show the page of a file that has the place of theirs in the window.

local files = {}

function some_file()
	local number = random(2) + 1
	if mood.group == "device" and not files[number] then
		local kind, page = one_of { "dax", "fsdax", "fsdax", "pfn" }, one_of { "4K", "2M", "2M" }
		local unit = kind == "dax" and page == "2M" and LARGE or PAGE
		local size = math.max(one_of { pages // 2, pages, pages + 1 } * PAGE // unit, 1) * unit
		files[number] = quire.device { size = size, page = LARGE > 64 * PAGE and kind == "dax" and "4K" or page, kind = kind }
	end
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
function meets(spans, at, length)
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

-- Whether a page of this range may have another process's content too, in memory or in swap.
function meets_shared_pages(process, at, length)
	if at < START or at + length > FINISH then
		return true
	end
	for page = at // PAGE * PAGE, at + length - 1, PAGE do
		local seen = process.pages[(page - START) // PAGE + 1]
		if seen and (seen.present and not seen.exclusive or seen.swapped) then
			return true
		end
	end
	return false
end

-- Whether a process other than this one has locked memory.
function others_lock(process)
	for _, other in ipairs(processes) do
		for _, vma in ipairs(other ~= process and other.maps or {}) do
			if has(vma, "lo") then
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
	-- One whose fork has not been told of is not to be closed, and this would be its end; nor is one that sleeps in a copy.
	for _, context in ipairs(waits_in(process, "fork") and {} or process.contexts) do
		if #orphans < 2 and not (context.copier and context.copier.waits) then
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
	thread.call = name
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
-- Whether anything of the process is protected, or may be.
local function is_protected(process)
	for _, page in ipairs(process.pages) do
		if page.uffd_wp then
			return true
		end
	end
	for _, vma in ipairs(process.maps) do
		if has(vma, "uw") or vma.start == SPAN then
			return true
		end
	end
	return pressed
end
-- Closing wakes all that sleep in the context: those that meet must not be two, and a fault one at most.
function may_close(process, context)
	local list, faults = sleepers(process), 0

	for i, thread in ipairs(list) do
		faults = faults + (thread.waits ~= "event" and thread.waits ~= "fork" and 1 or 0)
		for j = 1, i - 1 do
			for _, span in ipairs(list[j].spans) do
				if meets(thread.spans, span[1], span[2]) then
					return false
				end
			end
		end
	end
	if waits_in(process, "fork") and not on.closed_forks and is_protected(process) then
		return false
	end
	return faults <= 1 and not (context.copier and context.copier.waits)
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
	for _, thread in ipairs(sleepers(process)) do
		reach("close", "while a thread sleeps in", thread.waits == "fault" and "a fault" or thread.call)
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
