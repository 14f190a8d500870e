-- SPDX-License-Identifier: MIT
-- Signals: to threads that sleep, that have been woken and have not been asked yet, and that die with their process.
local _ENV = require "check_world"

for state, feature in pairs { ["a fault"] = "access", ["an event"] = "events", ["a fork"] = "events" } do
	declare({ "signals", "userfault", feature }, "signal / asleep in " .. state)
	declare({ "signals", "userfault", feature }, "signal / woken from " .. state)
	declare({ "signals", "userfault", feature }, "signal / dying in " .. state)
end
local names <const> = { fault = "a fault", event = "an event", fork = "a fork" }

-- Lets the thread go on, if one message or one request can do that, and asks nobody yet how it went.
local function wake(process, thread)
	local at = thread.spans[1] and thread.spans[1][1] // PAGE * PAGE

	for _, context in ipairs(process.contexts) do
		if thread.waits ~= "fault" then
			read_message(process, context)
		elseif asleep_at(process, at, PAGE) == 1 then
			context.handle:writeprotect(at, PAGE, false, { dontwake = true })
			context.handle:zeropage(at, PAGE, { dontwake = true })
			context.handle:wake(at, PAGE)
		end
	end
end

operation("signal", "signals", 2, function(process)
	local list = {}
	for _, thread in ipairs(sleepers(process)) do
		if names[thread.waits] and not thread.copies then
			table.insert(list, thread)
		end
	end
	if #list == 0 then
		return
	end
	local thread = one_of(list)
	local state = names[thread.waits]
	local how = one_of { "asleep in", "woken from", "woken from", "dying in" }

	if how == "dying in" and (#processes == 1 or one_in(2)) then
		how = "asleep in"
	elseif how == "woken from" and (pressed or #list > 1 and thread.waits ~= "fault") then
		how = "asleep in" -- a message may be another's
	end
	reach("signal", ("%s %s"):format(how, state))
	if how == "woken from" then
		wake(process, thread)
	end
	for _ = 1, one_of { 1, 1, 2 } do
		thread.object:signal()
	end
	if how == "dying in" then
		process_ended(process)
	else
		look_at_sleepers(process)
	end
end)
