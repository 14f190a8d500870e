-- SPDX-License-Identifier: MIT
-- One case of `quire check`: random operations, drawn from a seed.
--
--	arg[1]	the seed of the case
--	arg[2]	how many operations (100)
--	arg[3]	features, separated by commas, or "all"; "-feature" leaves one out again
--	arg[4]	which of the operations to make ("1-20,35"); all of them when left out
--
-- A window of a few pages across a 2M boundary is mapped, split, protected, registered, filled, moved and forked by several processes,
-- each with several threads and contexts (userfaultfds).  After each operation everything that can be seen is looked at.  Run on two
-- targets, the transcripts say whether they agree.
--
-- To extend it, add an `operation` to one of the parts, or an entry to one of the tables in check_world.lua: `kinds` (of memory), `moods`
-- (what a case is dense in).
--
--	check_world		chance, features, kinds of memory, moods
--	check_process		files, processes, threads that sleep, contexts
--	check_coverage		cells
--	check_place		where to do something; what operations are made of
--	check_memory, check_files, check_contexts, check_signals, check_spans, check_devices, check_senseless, check_limits, check_interleave
--				operations
--
-- Determinism.  A case depends on its arguments and on what the target answered, so two targets that agree are asked the same.  What
-- operation number 17 does depends on the seed, on 17 and on what there is by then; so most operations can be left out without
-- changing the others.  For some things the kernel has no certain answer, and the generator stays away from them:
--	- Two threads that are woken at once fault again in any order.  So no two sleep at the same page, and no request wakes two.
--	- Closing a context while a fork waits for its message to be read, where memory is protected: Linux leaves marks in the child
--	  (feature closed_forks).
--	- With swap, MADV_FREE of a page that another process maps: Linux may lose the other's content (feature free_shared).
--	- MADV_FREE of a page that another process has locked: it is not lazily freed on Linux.
--	- MOVE of what is not there: whether the hole is noticed before what is in the way depends on whether a table happens to exist.
--	- A scan that looks for written pages and is limited: the kernel counts empty entries that happen to have a table (feature limited_scans).
--	- A transfer of a system call on Linux pins all of its pages before it moves a byte: while it sleeps no page is moved or paged out, and no
--	  fork made, which would have to copy those that are pinned.  Of memory that others may see it is one page only, as the bytes moved are those of
--	  the end.
--	- MADV_GUARD_INSTALL where a page of a file is protected never returns.
--	- swapoff never returns while a thread sleeps whose write has brought in a protected page from swap.
--	- A hole that ends inside a file's first page.
--	- PAGEOUT of what DONTUNMAP has unlocked.
-- And from what docs/differences.md says is different on purpose: mremap with UNMAP events but without REMAP events, or below where memory
-- without a place begins; waking marks that lie dormant.

package.path = (arg[0] or ""):gsub("[^/]*$", "") .. "?.lua"
local _ENV = require "check_world"

for _, part in ipairs { "process", "coverage", "place", "memory", "files", "contexts", "signals", "spans", "devices", "senseless", "limits", "interleave" } do
	require("check_" .. part)
end
tell_cells()

-- === Looking

-- Pages in states that few are in, by state: in swap or poison; protected without being there; without any permission; of a file, and not mapped.
local function rare_pages(process)
	local states = { {}, {}, {}, {} }
	for i, page in ipairs(process.pages) do
		local at = START + (i - 1) * PAGE
		local vma = vma_at(process, at)
		local state = page.swapped and 1 or page.uffd_wp and not page.present and 2 or vma and vma.prot == "---" and 3
			or vma and vma.shared and not page.present and 4
		if state then
			table.insert(states[state], at)
		end
	end
	for i = #states, 1, -1 do
		if #states[i] == 0 then
			table.remove(states, i)
		end
	end
	return states
end
function see(process)
	process.maps = process.handle:maps()
	process.pages = pressed and {} or process.handle:pagemap(START, pages)
	process.regions = on.scan and process.handle:scan { start = START, length = pages * PAGE } or nil
	process.rare = rare_pages(process)
	process.edges = { START, SEAM, FINISH }
	for _, vma in ipairs(process.maps) do
		if vma.start >= START and vma.start <= FINISH then
			table.insert(process.edges, vma.start)
			table.insert(process.edges, vma.start + vma.length)
		end
	end
end
-- Everything there is of one process; of the one that did something now and then also what is costly.
local function observe(process, closely)
	see(process)
	if not pressed then
		process.handle:rss()
	end
	for _, context in ipairs(process.contexts) do
		context.handle:poll()
	end
	if closely and not pressed and #process.maps > 0 and one_in(2) then
		local vma = one_of(process.maps)

		process.handle:smaps(vma.start)
		if vma.length < 100 * PAGE then
			process.handle:pagemap(vma.start, vma.length // PAGE)
			process.handle:mincore(vma.start, vma.length)
		end
	end
end

-- Too many threads sleep: messages are read, faults resolved one page at a time, and if nothing helps the process ends.
local function relieve(process)
	read_messages(process)
	for _, context in ipairs(process.contexts) do
		local handle = context.handle
		for page = START, FINISH - PAGE, PAGE do
			if asleep_at(process, page, PAGE) == 1 then
				if one_in(2) then
					handle:zeropage(page, PAGE, { dontwake = true })
				end
				handle:writeprotect(page, PAGE, false, { dontwake = true })
				handle:wake(page, PAGE)
				look_at_sleepers(process)
			end
		end
	end
	read_messages(process)
	for number = #process.contexts, 1, -1 do
		if not has_idle_thread(process) and may_close(process, process.contexts[number]) then
			close(process, number)
		end
	end
	if not has_idle_thread(process) then
		process_ended(process)
	end
end

-- === The case

local drawn = {}
for _, entry in ipairs(registry) do
	local more = mood.more or {}
	for _ = 1, entry.weight * (more[entry.name] or more[entry.feature] or 1) do
		table.insert(drawn, entry)
	end
end
if #drawn == 0 then
	drawn = registry -- the mood is about features that are switched off
end
if #drawn == 0 then
	error("no operation has these features alone", 0)
end

local function begin()
	local process = adopt(quire.process())
	if mood.registered or one_in(2) then
		local options = some_kind().options(START)
		options.address, options.length, options.prot, options.fixed = START, pages * PAGE, "rw", true
		process.handle:mmap(options)
	end
	if mood.registered then
		open_context(process)
		for _, context in ipairs(process.contexts) do
			context.handle:register(START, pages * PAGE, one_of(mood.modes or modes))
		end
	end
	see(process)
end
local function step()
	local process = one_of(processes)

	one_of(drawn).run(process)
	if not process.gone then
		look_at_sleepers(process)
	end
	if not process.gone and not has_idle_thread(process) then
		relieve(process)
	end
	if #processes == 0 then
		begin()
	end
	for _, other in ipairs(processes) do
		observe(other, other == process)
	end
end

-- At the end everyone is woken, and what can be read is.
local function finish(process)
	if #sleepers(process) > 0 then
		relieve(process)
	end
	if process.gone or #sleepers(process) > 0 then
		return
	end
	while #process.contexts > 0 do
		close(process, #process.contexts)
	end
	for _, vma in ipairs(process.handle:maps()) do
		for at = vma.start, vma.start + math.min(vma.length, 40 * PAGE) - PAGE, PAGE do
			if vma.prot:find("r", 1, true) then
				process.handle:read(at, PAGE)
			end
		end
	end
end

begin()
for number = 1, operations do
	if wanted(number) then
		reseed(number)
		step()
	end
end
reseed(operations + 1)
for _, process in ipairs { table.unpack(processes) } do
	finish(process)
end
