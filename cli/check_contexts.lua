-- SPDX-License-Identifier: MIT
-- Operations on contexts.
local _ENV = require "check_world"

function open_context(process)
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
	local handle = process.handle:userfaultfd { features = list, user_mode_only = mood.user_mode_only and not one_in(4) or one_in(16), nonblock = not one_in(16) }
	if handle then
		table.insert(process.contexts, { handle = handle })
	end
end

-- An operation on one of the process's contexts; where there is none, one is opened.
function on_context(name, weight, run)
	operation(name, "userfault", weight, function(process)
		if #process.contexts == 0 then
			open_context(process)
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
		open_context(process)
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
