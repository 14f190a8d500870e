-- SPDX-License-Identifier: MIT
-- Where to do something, and what operations are made of.
local _ENV = require "check_world"

function clamp(at)
	return math.max(START, math.min(at, FINISH - PAGE))
end
-- A page of the window: where something begins or ends, or was done lately, and beside it; or any.
function somewhere(process)
	local what = random(4)
	if process.rare and #process.rare > 0 and one_in(mood.swaps and 2 or 3) then
		return one_of(one_of(process.rare))
	end
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
-- Whether the range lies in what scripts use, or is none: on Linux the agent has memory of its own in the address space, which no call must reach.
function is_harmless(start, length)
	local whole = (length + start % PAGE + PAGE - 1) & -PAGE -- of mlock; others refuse what is not aligned

	start = start & -PAGE
	if whole == 0 or math.ult(start + whole, start) or not math.ult(start, END) then
		return true
	end
	return start >= LOWEST and math.ult(start, TOP - TERABYTE) and math.ult(length, TERABYTE)
end
function plain_prot()
	return one_of(prots)
end
function some_prot()
	local odd <const> = { 8, 11, 0x10, 0x13, 0x01000000, 0x02000001, 0x03000000, 0x40, -1, 0x7fffffff, -2147483648 }
	if mood.prots and one_in(2) then
		return one_of(mood.prots)
	end
	return wrong(25) and one_of(odd) or mostly and not one_in(3) and mostly or one_of(prots)
end

-- === Operations

registry = {} -- in order
by_name = {}
-- An operation gets a process that has an idle thread.
function operation(name, feature, weight, run)
	if on[feature] then
		by_name[name] = { name = name, feature = feature, weight = weight, run = run }
		table.insert(registry, by_name[name])
	end
end

-- A call of any idle thread on a range.
function call(process, label, name, at, length, ...)
	aim(label, process, at)
	return call_on(process, idle_thread(process), { { at, length } }, name, at, length, ...)
end
-- The same where it touches pages, which must not be those of a thread that sleeps.
function access(process, label, name, at, length, ...)
	if asleep_at(process, at, length) == 0 then
		aim(label, process, at)
		return call_on(process, idle_thread(process), { { at, length } }, name, at, ...)
	end
end
