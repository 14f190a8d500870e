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
-- To extend it, add an `operation` here, or an entry to one of the tables in check_world.lua: `kinds` (of memory), `moods` (what a case
-- is dense in).
--
-- Determinism.  A case depends on its arguments and on what the target answered, so two targets that agree are asked the same.  What
-- operation number 17 does depends on the seed, on 17 and on what there is by then; so most operations can be left out without
-- changing the others.  For some things the kernel has no certain answer, and the generator stays away from them:
--	- Two threads that are woken at once fault again in any order.  So no two sleep at the same page, and no request wakes two.
--	- Closing a context while a fork waits for its message to be read.
--	- MOVE of what is not there: whether the hole is noticed before what is in the way depends on whether a table happens to exist.
--	- A scan that looks for written pages and is limited: the kernel counts empty entries that happen to have a table.
--	- A transfer of a system call on Linux pins all of its pages before it moves a byte: while it sleeps no page is moved or paged out, and no
--	  fork made, which would have to copy those that are pinned.  Of memory that others may see it is one page only, as the bytes moved are those of
--	  the end.
--	- MADV_GUARD_INSTALL where a page of a file is protected never returns.
--	- swapoff never returns while a thread sleeps whose write has brought in a protected page from swap.
--	- A hole that ends inside a file's first page.
--	- PAGEOUT of what DONTUNMAP has unlocked.
-- And from what docs/differences.md says is different on purpose: mremap with UNMAP events but without REMAP events, or below where memory without a place begins; waking marks
-- that lie dormant.

package.path = (arg[0] or ""):gsub("[^/]*$", "") .. "?.lua"
local _ENV = require "check_world"

-- === Operations

local registry = {} -- in order
local by_name = {}
-- An operation gets a process that has an idle thread.
local function operation(name, feature, weight, run)
	if on[feature] then
		by_name[name] = { name = name, feature = feature, weight = weight, run = run }
		table.insert(registry, by_name[name])
	end
end

-- A call of any idle thread on a range.
local function call(process, label, name, at, length, ...)
	aim(label, process, at)
	return call_on(process, idle_thread(process), { { at, length } }, name, at, length, ...)
end
-- The same where it touches pages, which must not be those of a thread that sleeps.
local function access(process, label, name, at, length, ...)
	if asleep_at(process, at, length) == 0 then
		aim(label, process, at)
		return call_on(process, idle_thread(process), { { at, length } }, name, at, ...)
	end
end

operation("mmap", "map", 4, function(process)
	local at = somewhere(process)
	local options = some_kind().options(at)

	options.address, options.length, options.prot = at, some_length(process, at), some_prot()
	options.fixed = one_of { true, true, "noreplace", false }
	options.populate = on.populate and one_in(6)
	options.noreserve = one_in(10)
	aim("mmap", process, at)
	call_on(process, idle_thread(process), { { at, options.length } }, "mmap", options)
end)
operation("munmap", "map", 2, function(process)
	call(process, "munmap", "munmap", some_range(process))
end)

-- What the target makes of a hint, and where it places things without one.
operation("place", "place", 2, function(process)
	local near = somewhere(process)
	local hint = one_of { 0, 0, 0, near, near + random(PAGE), (some_range(process)), on.errors and one_of { 1, PAGE, 1 << 47, -1, -PAGE } or 0 }

	if hint >= TOP - 8 * PAGE and hint < 1 << 47 then
		hint = 0
	end
	if #process.maps < 40 then
		call_on(process, idle_thread(process), {}, "mmap",
			{ length = (random(5) + 1) * PAGE, prot = some_prot(), address = hint, populate = on.populate and one_in(8) })
	end
end)
operation("large", "place", 1, function(process)
	local huge = on.terabytes and TERABYTE or 4 << 20
	local at = FAR + random(4) * huge
	local thread = idle_thread(process)
	local choices <const> = {
		function()
			return "mmap", { length = one_of { "2M", "4M", 3 << 20, huge }, prot = "none", noreserve = one_in(2) }
		end,
		function()
			return "mmap", { length = huge * (random(3) + 1), prot = "none", address = at, fixed = one_of { true, "noreplace" } }
		end,
		function()
			return "mmap", { length = one_of { huge, 1 << 47 }, prot = "rw", address = at, fixed = one_of { "noreplace", false } }
		end,
		function()
			return "munmap", at, huge // (random(3) + 1) // PAGE * PAGE
		end,
		function()
			return "mremap", at, huge, huge * random(3), { maymove = one_in(2) }
		end,
		function()
			local vma = #process.maps > 0 and one_of(process.maps)
			if vma and vma.length >= 2 << 20 then
				return "munmap", vma.start + random(3) * PAGE, vma.length
			end
			return "munmap", at, huge
		end,
	}
	call_on(process, thread, {}, one_of(choices)())
end)

operation("mprotect", "protect", 4, function(process)
	local at, length = some_range(process)
	call(process, "mprotect", "mprotect", at, length, some_prot())
end)

local function remap(process, at, old, new, options)
	if options.fixed and options.fixed >= 0 and options.fixed < LOWEST then
		options.fixed = clamp(options.fixed)
	end
	local to = options.fixed or at
	aim("mremap", process, at)
	if options.fixed then
		aim("mremap to", process, to)
	end
	call_on(process, idle_thread(process), { { at, old }, { to, new } }, "mremap", at, old, new, options)
end
operation("mremap", "remap", 3, function(process)
	local at, old = some_range(process)
	local to = one_in(6) and some_range(process) or somewhere(process)
	local new = one_in(3) and old or some_length(process, clamp(to))
	local vma = vma_at(process, at)
	local options = { maymove = not one_in(5), fixed = (not on.place or not one_in(3)) and to + (wrong(40) and random(PAGE) or 0) or nil }

	if vma and kind_of(vma).group ~= "anon" and one_in(6) then
		old = 0 -- a second mapping of the same
	elseif one_in(8) and not (paging and vma and has(vma, "lo")) then
		options.dontunmap = true
		new = wrong(4) and new or old
	end
	remap(process, at, old, new, options)
end)
-- The same size, over several VMAs or nearly so; and onto itself.
operation("shift", "remap", 2, function(process)
	local at = somewhere(process)
	local length = some_length(process, at)
	local by = random(8) * PAGE

	remap(process, at, length, one_of { length, length, length + PAGE, math.max(length - PAGE, 0) },
		{ maymove = true, fixed = one_of { at + by, at - by, at + length, at - length } })
end)

local function advise(process, advice, at, length)
	if advice == "pageout" and anyone_pins() then
		advice = "cold"
	end
	call(process, advice, "madvise", at, length, advice)
end
operation("madvise", "advise", 5, function(process)
	-- 100 and 101 would take real memory out of use.
	local odd <const> = { -1, 5, 6, 7, 26, 27, 99, 104, 1000, 0x7fffffff, -2147483648 }
	local at, length = some_range(process)
	local advice = wrong(25) and one_of(odd) or one_of(advices)
	advise(process, advice, at, length)
end)
if swapping then
	operation("pageout", "swap", 8, function(process)
		local at, length = some_range(process)
		local advice = one_of { "pageout", "pageout", "pageout", "pageout", "cold", "willneed" }
		if one_in(4) then
			at, length = START, pages * PAGE
		end
		advise(process, advice, at, length)
	end)
	operation("swapoff", "swap", 1, function()
		if one_in(2) and not pressed and not anyone_sleeps() then
			quire.swapoff()
		end
	end)
end
if not pressed then
	operation("migrate", "migration", 3, function(process)
		local at, length = some_range(process)
		aim("migrate", process, at)
		process.handle:migrate(at, length)
	end)
end
operation("guard", "guard", 3, function(process)
	local at, length = some_range(process)
	local advice = one_of { "guard_install", "guard_install", "guard_remove" }
	if advice == "guard_remove" or not meets_protected_files(process, at, length + PAGE) then
		call(process, advice, "madvise", at, length, advice)
	end
end)
operation("populate", "populate", 1, function(process)
	local at, length = some_range(process)
	local advice = one_of { "populate_read", "populate_write" }
	access(process, "populate", "madvise", at, length, length, advice)
end)
operation("mlock", "lock", 2, function(process)
	local at, length = some_range(process)
	local name = one_of { "mlock", "munlock" }
	access(process, name, name, at, length, length)
end)

operation("write", "access", 6, function(process)
	local bytes = tostring(random(1000))
	access(process, "write", "write", somewhere(process) + random(PAGE), #bytes, bytes)
end)
operation("fill", "access", 1, function(process)
	local length = random(3 * PAGE)
	access(process, "write", "write", somewhere(process) + random(PAGE), length, ("f"):rep(length))
end)
operation("read", "access", 3, function(process)
	local length = one_of { 1, 8, PAGE, 9000 }
	access(process, "read", "read", somewhere(process) + random(PAGE), length, length)
end)
operation("touch", "access", 3, function(process)
	local how = one_of { "r", "w", "x" }
	access(process, how == "x" and "execute" or how == "r" and "read" or "write", "touch", somewhere(process) + random(PAGE), 1, how)
end)
operation("system", "kernel", 3, function(process)
	local at = one_in(8) and some_range(process) or somewhere(process) + random(PAGE)
	local length = one_of { random(9000), random(9000), 0, 1, PAGE }

	if #process.contexts > 0 and meets_files(process, at, length) then
		length = math.min(length, PAGE - at % PAGE)
	end
	if one_in(2) then
		access(process, "syscall_write", "syscall_write", at, length, ("s"):rep(length))
	else
		access(process, "syscall_read", "syscall_read", at, length, length)
	end
end)

if pinning then
	operation("pin", "pins", 4, function(process)
		if #process.pins < 3 then
			local at, length = some_range(process)
			access(process, "pin", "pin", at, length, length)
		end
	end)
	operation("unpin", "pins", 3, function(process)
		if #process.pins > 0 then
			table.remove(process.pins, random(#process.pins) + 1):release()
		end
	end)
end

-- === Operations on files, through no mapping

-- The offset of a page that the process may have mapped.
local function some_offset(process)
	return somewhere(process) - START
end
local function on_file(name, weight, run)
	operation(name, "files", weight, function(process)
		run(process, some_file())
	end)
end
on_file("file_write", 3, function(process, file)
	local bytes = ("F"):rep(one_of { 1, 100, PAGE, 9000 })
	file:write(some_offset(process) + one_of { 0, random(PAGE) }, bytes)
end)
on_file("file_read", 1, function(process, file)
	file:read(some_offset(process), one_of { 1, PAGE, 9000 })
end)
on_file("truncate", 2, function(process, file)
	file:truncate(some_offset(process) + one_of { 0, PAGE, random(PAGE), 8 * PAGE, pages * PAGE })
end)
on_file("punch", 2, function(process, file)
	local offset, length = some_offset(process) + (one_in(4) and random(PAGE) or 0), (random(4) + 1) * PAGE - (one_in(4) and random(PAGE) or 0)
	file:punch(offset, offset + length < PAGE and PAGE or wrong(20) and 0 or length)
end)
on_file("allocate", 1, function(process, file)
	file:allocate(some_offset(process) + (one_in(4) and random(PAGE) or 0), wrong(20) and 0 or random(4 * PAGE) + 1)
end)
on_file("resident", 2, function(process, file)
	if not pressed then
		file:resident(0, 2 * pages * PAGE)
	end
end)
operation("remove", "files", 3, function(process)
	local at, length = some_range(process)
	call(process, "remove", "madvise", at, length, "remove")
end)
operation("file_close", "files", 1, function()
	local _, number = some_file()
	if one_in(4) then
		close_file(number)
	end
end)

-- Whoever it is, the oldest included, as long as one is left.
operation("fork", "fork", 3, function(process)
	if #processes > 1 and (#processes >= most.processes or one_in(4)) then
		process_ended(one_of(processes))
	elseif #processes < most.processes and not waits_in(process, "fork") and not pins_pages(process) then
		call_on(process, idle_thread(process), {}, "fork")
	end
end)

-- Where nothing can be mapped; from the window on, lengths that end beyond the user half, or wrap.
local odd_addresses <const> = {
	0, 1, PAGE, 0x7ffffffff000, 0x7fffffffffff, 1 << 47, 0x800000001000, 1 << 48, 1 << 62, 1 << 63, 0xffff7fffffffffff, 0xffff800000000000,
	0xffffffffffffe000, 0xfffffffffffff000, -1,
}
local wraps <const> = { -PAGE * 2, -PAGE, 1 - PAGE, -2, -1 }
local odd_lengths <const> = { 1 << 47, 1 << 48, 1 << 62, 1 << 63, -1 << 47, table.unpack(wraps) }

-- An address and a length of which at least one makes no sense.
local function senseless(process)
	if one_in(2) then
		return one_of(odd_addresses), one_of { 0, 1, PAGE, 3 * PAGE }
	end
	return somewhere(process), one_of(odd_lengths)
end
operation("odd", "errors", 3, function(process)
	local at, length = senseless(process)
	local inside = somewhere(process)
	local maymove = one_in(2)
	local choices <const> = {
		{ "munmap", at, length },
		{ "mprotect", at, length, plain_prot() }, -- PROT_GROWSDOWN might meet the agent's stack
		{ "madvise", inside, one_of(wraps), one_of(advices) },
		{ "madvise", one_of(odd_addresses), PAGE, one_of(advices) },
		{ "mlock", at, length },
		{ "munlock", at, length },
		{ "mmap", { length = one_of(odd_lengths), prot = "rw", address = inside, fixed = one_of { true, false, "noreplace" } } },
		{ "mmap", { length = one_of { 0, PAGE }, prot = "rw", address = inside + random(PAGE), fixed = one_of { true, false, "noreplace" } } },
		{ "mremap", inside, one_of { 0, PAGE, one_of(odd_lengths) }, one_of { 0, PAGE, one_of(odd_lengths) }, { maymove = maymove } },
		{ "mremap", inside, 2 * PAGE, one_of { PAGE, 2 * PAGE }, { maymove = not one_in(4), fixed = one_of(odd_addresses) | 1 << 47 } },
		{ "mremap", one_of(odd_addresses), one_of { 0, PAGE }, PAGE, { maymove = maymove, fixed = one_in(2) and inside or nil } },
		{ "syscall_read", one_of(odd_addresses), one_of { 0, 1, PAGE } },
		{ "syscall_write", one_of(odd_addresses), ("o"):rep(one_of { 0, 1, PAGE }) },
		{ "touch", one_of { 0, PAGE, 0x10000, START - 8 * PAGE, FAR - 1 }, one_of { "r", "w", "x" } },
	}
	local needed <const> = {
		munmap = "map", mmap = "map", mprotect = "protect", madvise = "advise", mlock = "lock", munlock = "lock", mremap = "remap",
		syscall_read = "kernel", syscall_write = "kernel", touch = "access",
	}
	local choice = one_of(choices)
	if on[needed[choice[1]]] then
		call_on(process, idle_thread(process), { { inside, 2 * PAGE } }, table.unpack(choice))
	end
end)

-- === Operations on contexts

local function open(process)
	local list = { table.unpack(mood.negotiated or {}) }

	for _ = 1, random(5) do
		table.insert(list, one_of(anything))
	end
	if table.concat(list, " "):find("unmap") then
		table.insert(list, "event_remap")
	end
	for i = #list, 1, -1 do
		if not on.events and list[i]:find("^event") then
			table.remove(list, i)
		end
	end
	local handle = process.handle:userfaultfd { features = list, user_mode_only = one_in(16), nonblock = not one_in(16) }
	if handle then
		table.insert(process.contexts, { handle = handle })
	end
end

-- An operation on one of the process's contexts; where there is none, one is opened.
local function on_context(name, weight, run)
	operation(name, "userfault", weight, function(process)
		if #process.contexts == 0 then
			open(process)
		end
		if #process.contexts > 0 then
			run(process, one_of(process.contexts))
		end
	end)
end
-- A range at which one thread at most is woken.
local function range_to_wake(process)
	local at, length = some_range(process)
	if asleep_at(process, at, length) > 1 then
		length = PAGE
	end
	if asleep_at(process, at, length) > 1 then
		return START - 2 * PAGE, PAGE
	end
	return at, length
end
-- Whether a page table that holds the one range holds the other, or else the source is there.
local function alike(process, from, to, length)
	local low, high = math.min(from, to), math.max(from, to) + length
	for at = from // PAGE * PAGE, from + length - 1, PAGE do
		local page = process.pages[(at - START) // PAGE + 1]
		if not (page and page.present) then
			return low // (2 << 20) == (high - 1) // (2 << 20)
		end
	end
	return true
end
-- Whose result does not depend on which pages are there.
local harmless <const> = { register = true, unregister = true, writeprotect = true, wake = true }
local function request(process, context, label, name, at, ...)
	if pressed and on.files and not harmless[name] then
		return
	end
	aim(label, process, at)
	context.handle[name](context.handle, at, ...)
end

operation("open", "userfault", 2, function(process)
	if #process.contexts < most.contexts then
		open(process)
	end
end)
on_context("close", 1, function(process)
	local number = random(#process.contexts) + 1
	if one_in(2) and may_close(process, process.contexts[number]) then
		close(process, number)
	end
end)
on_context("message", 3, read_message)
on_context("register", 4, function(process, context)
	local at, length = some_range(process)
	local unusual <const> = { {}, { "minor" }, { "missing", "minor" } }
	local chosen = wrong(10) and not pressed and one_of(unusual) or one_of(mood.modes and not one_in(3) and mood.modes or modes)
	if meets_dormant_pages(process, at, length) then
		chosen = { "missing" }
	end
	request(process, context, "register", "register", at, length, chosen)
end)
on_context("unregister", 1, function(process, context)
	request(process, context, "unregister", "unregister", range_to_wake(process))
end)
on_context("writeprotect", 5, function(process, context)
	local at, length = range_to_wake(process)
	local protect = not one_in(3)
	request(process, context, protect and "writeprotect" or "unprotect", "writeprotect", at, length, protect, { dontwake = one_in(8) })
end)
on_context("copy", 2, function(process, context)
	local at, length = range_to_wake(process)
	request(process, context, "copy", "copy", at, ("c"):rep(length), { wp = one_in(2), dontwake = one_in(8) })
end)
-- From memory of the process, which may itself have to be waited for.
on_context("copy_memory", 1, function(process, context)
	local to, length = range_to_wake(process)
	local from = somewhere(process)

	if not context.copier then
		context.copier = { object = context.handle, result = context.handle.result, copies = true }
		table.insert(process.threads, context.copier)
	end
	if not context.copier.waits and not context.inherited and not (pressed and on.files) and asleep_at(process, from, length) == 0 then
		aim("copy", process, to)
		aim("copy from", process, from)
		call_on(process, context.copier, { { from, length }, { to, length } }, "copy", to, from, length, { wp = one_in(2), dontwake = one_in(8) })
	end
end)
on_context("zeropage", 2, function(process, context)
	local at, length = range_to_wake(process)
	request(process, context, "zeropage", "zeropage", at, length, { dontwake = one_in(8) })
end)
on_context("poison", 1, function(process, context)
	local at, length = range_to_wake(process)
	request(process, context, "poison", "poison", at, length, { dontwake = one_in(8) })
end)
on_context("continue", 1, function(process, context)
	local at, length = range_to_wake(process)
	request(process, context, "continue", "continue", at, length, { dontwake = one_in(8), wp = one_in(8) })
end)
on_context("move", 2, function(process, context)
	local to, length = range_to_wake(process)
	local from = some_range(process)
	if not pressed and alike(process, from, to, length) and not pins_pages(process) then
		aim("move from", process, from)
		request(process, context, "move", "move", to, from, length, { allow_src_holes = one_in(2), dontwake = one_in(8) })
	end
end)
on_context("wake", 1, function(process, context)
	request(process, context, "wake", "wake", range_to_wake(process))
end)

-- 4M that are protected in large pieces and touched here and there.
if not pressed then
	on_context("span", 1, function(process, context)
		local handle = context.handle

		if not vma_at(process, SPAN) then
			call_on(process, idle_thread(process), {}, "mmap", { address = SPAN, length = "4M", prot = "rw", fixed = "noreplace" })
			handle:register(SPAN, "4M", { "wp" })
			handle:writeprotect(SPAN, "4M", true)
		end
		for _ = 1, random(4) + 1 do
			local page = one_of { 0, 1, 511, 512, 1023, random(1024) }
			local piece = one_of { 1, 256, 512, 1024 }

			if one_in(2) and asleep_at(process, SPAN, 4 << 20) <= 1 then
				handle:writeprotect(SPAN + random(1024 // piece) * piece * PAGE, piece * PAGE, not one_in(3))
			elseif has_idle_thread(process) then
				access(process, "write", "touch", SPAN + page * PAGE, 1, one_of { "r", "r", "w" })
			end
			handle:poll()
			look_at_sleepers(process)
			process.handle:pagemap(SPAN + math.min(page, 1020) * PAGE, 4)
		end
	end)
end

-- A request that makes no sense, or is made too early, or too late.
local function senseless_request(process, handle)
	local at, length = senseless(process)
	local inside = somewhere(process)
	local choices <const> = {
		{ "register", at, length, one_of(modes) },
		{ "unregister", at, length },
		{ "writeprotect", at, length, one_in(2) },
		{ "copy", one_of(odd_addresses), ("o"):rep(one_of { 0, 1, PAGE }) },
		{ "zeropage", at, length },
		{ "poison", at, length },
		{ "continue", at, length },
		{ "move", at, inside, length },
		{ "move", inside, at, length },
		{ "wake", at, length },
		{ "api", { api = one_of { 0, 0xaa, 0xab }, features = one_of { {}, { "poison" }, 1 << 40 } } },
	}
	local name = one_of(choices)
	handle[name[1]](handle, table.unpack(name, 2))
end
if on.errors then
	on_context("odd_request", 2, function(process, context)
		-- Those that wrap may be seen to reach over every sleeper.
		if #sleepers(process) <= 1 and not meets_dormant_pages(process, START, FINISH - START) then
			senseless_request(process, context.handle)
		end
	end)
	operation("raw", "userfault", 1, function(process)
		local handle = quire.userfaultfd_raw(process.handle, { flags = one_of { 0, 1, 2, 0x800, 0x80801, 0x40000000 } })
		if handle then
			senseless_request(process, handle)
			handle:poll()
			handle:close()
		end
	end)
end
operation("orphan", "userfault", 1, function(process)
	local context = #orphans > 0 and orphans[1]
	local handle = context and context.handle
	local at, length = some_range(process)

	if not context then
		return
	elseif one_in(4) then
		table.remove(orphans, 1)
		handle:close()
		return
	end
	handle:read()
	handle:poll()
	local choices <const> = {
		{ "register", at, length, one_of(modes) },
		{ "unregister", at, length },
		{ "writeprotect", at, length, one_in(2) },
		{ "copy", at, ("c"):rep(length) },
		{ "move", at, somewhere(process), length },
		{ "wake", at, length },
	}
	local choice = one_of(choices)
	handle[choice[1]](handle, table.unpack(choice, 2))
end)

operation("scan", "scan", 2, function(process)
	local at, length = some_range(process)
	local mask = one_of { {}, {}, { "written" }, { "present" } }
	local protect = one_in(3)

	aim(protect and "scan and protect" or "scan", process, at)
	process.handle:scan { start = at, length = length, mask = mask, wp = protect, check_wpasync = one_in(6),
		max_pages = mask[1] == "present" and random(4) or 0 }
end)
operation("signal", "signals", 1, function(process)
	local list = {}
	for _, thread in ipairs(sleepers(process)) do
		if thread.waits == "fault" and not thread.copies then
			table.insert(list, thread)
		end
	end
	if #list > 0 then
		one_of(list).object:signal()
	end
end)

-- === Looking

local function see(process)
	process.maps = process.handle:maps()
	process.pages = pressed and {} or process.handle:pagemap(START, pages)
	process.regions = on.scan and process.handle:scan { start = START, length = pages * PAGE } or nil
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

-- === Interleavings of two: one thread falls asleep, others change what it waits for, and it goes on

-- Pages at which an access would report.
local function reporting_pages(process)
	local found = {}
	for i, page in ipairs(process.pages) do
		local at = START + (i - 1) * PAGE
		local vma = vma_at(process, at)
		if vma and vma.prot:find("r", 1, true) and asleep_at(process, at, PAGE) == 0 then
			if (has(vma, "um") or has(vma, "ui")) and not page.present and not page.swapped then
				table.insert(found, { at = at, how = one_of { "read", "write" } })
			elseif has(vma, "uw") and page.uffd_wp and vma.prot:find("w", 1, true) then
				table.insert(found, { at = at, how = "write" })
			end
		end
	end
	return found
end
local function registered_vmas(process)
	local found = {}
	for _, vma in ipairs(process.maps) do
		if vma.start >= START and vma.start < FINISH and (has(vma, "um") or has(vma, "uw") or has(vma, "ui")) then
			table.insert(found, vma)
		end
	end
	return found
end
-- Puts a thread to sleep, or tries to; returns the page that it is about.
local function lull(process)
	local reporting, registered = reporting_pages(process), registered_vmas(process)

	if #reporting > 0 and (not on.events or not one_in(3)) then
		local page = one_of(reporting)
		local name = (on.kernel and one_in(4) and "syscall_" or "") .. page.how
		local bytes = meets_files(process, page.at, 2 * PAGE) and PAGE or one_of { 1, 1, PAGE, 2 * PAGE }
		access(process, name, name, page.at, bytes, page.how == "read" and bytes or ("i"):rep(bytes))
		return page.at
	elseif #registered > 0 then
		local vma = one_of(registered)
		process.focus = vma.start + random(vma.length // PAGE) * PAGE
		local name = one_of { "munmap", "mmap", "mremap", "shift", "madvise", "fork" }
		if by_name[name] then
			by_name[name].run(process)
		end
		return process.focus
	end
end
local strikes <const> = {
	"munmap", "mmap", "mprotect", "mremap", "mremap", "shift", "madvise", "guard", "remove", "punch", "truncate", "file_write", "continue", "mlock", "fork", "register", "unregister", "unregister", "close",
	"writeprotect", "writeprotect", "copy", "copy_memory", "zeropage", "poison", "move", "move", "wake", "scan", "signal", "message", "message",
}
table.move({ swapping and "pageout", swapping and "pageout", pinning and "pin", pinning and "unpin" }, 1, 4, #strikes + 1, strikes)
operation("interleave", "interleave", 2, function(process)
	process.focus = lull(process)
	for _ = 1, process.focus and random(3) + 1 or 0 do
		look_at_sleepers(process)
		if process.gone or not has_idle_thread(process) then
			break
		end
		see(process)
		local strike = by_name[one_of(strikes)]
		if strike then
			strike.run(process)
		end
	end
	process.focus = nil
	if not process.gone and one_in(2) then
		look_at_sleepers(process)
		read_messages(process)
	end
end)

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
		open(process)
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
