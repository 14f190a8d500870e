-- SPDX-License-Identifier: MIT
-- Coverage: operation / kind of memory / state of the first page, and what others sleep in meanwhile.
--
-- Of memory of files few states are told apart: cached (in the file, not in the page table), mapped, and protected (or another marker).
local _ENV = require "check_world"

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
local vma_states <const> = { missing = "userfault", wp = "userfault", async = "scan", closed = "protect", ["execute only"] = "protect", locked = "lock" }
local file_states <const> = { cached = "files", mapped = "files", protected = "userfault", ["maybe swapped"] = "swap" }
local merged <const> = {
	exclusive = "mapped", shared = "mapped", zero = "mapped", ["protected empty"] = "protected", poison = "protected", guard = "protected",
}
local waits <const> = { fault = "access", event = "events" }

-- Never made under pressure.
local needs_room <const> = {
	free = true, mlock = true, munlock = true, scan = true, ["scan and protect"] = true, migrate = true, move = true, ["move from"] = true, pin = true,
}

local declared <const> = {}
function declare(features, cell)
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
		if not needs_room[label] then
			declare({ feature, "pressure" }, ("%s / under pressure"):format(label))
		end
	end
end
for label, feature in pairs(labels) do
	for wait, needed in pairs(waits) do
		declare({ feature, "userfault", needed }, ("%s / where a thread sleeps in its %s"):format(label, wait))
	end
end
-- When all have been declared.
function tell_cells()
	local list = {}
	for cell in pairs(declared) do
		table.insert(list, cell)
	end
	table.sort(list)
	cells(list)
end
function reach(...)
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
	add("execute only", vma.prot == "--x")
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
