-- SPDX-License-Identifier: MIT
-- Offsets and lengths near every limit: of pages, of 32 bits, of user addresses, of what a file can have, of 64 bits; and sums that wrap.
--
-- On Linux the agent has memory of its own in the address space: what could reach it is not asked for.  So a range lies in what scripts use, or is none.
local _ENV = require "check_world"

local MAX <const> = math.maxinteger -- what a file can have

-- Values by the limit that they are near.
local near <const> = {
	["0"] = { 0, 1, PAGE - 1, PAGE, PAGE + 1, 2 * PAGE },
	["32 bits"] = { (1 << 31) - PAGE, (1 << 31) - 1, 1 << 31, (1 << 31) + PAGE, (1 << 32) - PAGE, (1 << 32) - 1, 1 << 32, (1 << 32) + PAGE },
	addresses = { END - PAGE, END - 1, END, END + 1, END + PAGE, (1 << 47) - 1, 1 << 47, (1 << 47) + PAGE, 1 << 48 },
	["51 bits"] = { (1 << 51) - PAGE, 1 << 51, (1 << 52) - PAGE, 1 << 52, (1 << 52) + PAGE, 1 << 62 },
	files = { MAX - 2 * PAGE + 1, MAX - PAGE, MAX - PAGE + 1, MAX - 1, MAX, math.mininteger, math.mininteger + PAGE },
	["64 bits"] = { -2 * PAGE, -PAGE - 1, -PAGE, -PAGE + 1, -2, -1 },
}
local limits <const> = {}
for limit in pairs(near) do
	table.insert(limits, limit)
end
table.sort(limits)

local calls <const> = {
	mmap = "map", ["mmap of a file"] = "files", munmap = "map", mprotect = "protect", madvise = "advise", mlock = "lock", mincore = "access", mremap = "remap",
	["mremap to"] = "remap", ["system access"] = "kernel", punch = "files", allocate = "files", truncate = "files", ["file access"] = "files", resident = "files",
	scan = "scan", request = "userfault",
}
for name, feature in pairs(calls) do
	for _, limit in ipairs(limits) do
		declare({ feature, "errors" }, ("%s / near the limit of %s"):format(name, limit))
	end
end

-- One near a limit; or one that, added to `start`, is.
local function value(name, start)
	local limit = one_of(limits)
	local result = one_of(near[limit])

	reach(name, "near the limit of " .. limit)
	return start and one_in(3) and result - start or result
end
local function range(process, name)
	local inside = somewhere(process)
	local start = one_in(3) and value(name) or inside
	local length = start == inside and value(name, start) or one_of { 0, 1, PAGE, one_of(near[one_of(limits)]) }

	if not is_harmless(start, length) then
		return inside // PAGE * PAGE, -PAGE
	end
	return start, length
end
-- Whether that much memory can be had, and so would be.
local function can_be_had(length)
	return math.ult(length, END + 1)
end
local function little(length)
	return not can_be_had(length) or length < 1 << 20
end

local all <const> = {
	mmap = function(process)
		local length = value("mmap", START)
		if little(length) then
			return "mmap", { length = length, prot = plain_prot(), address = somewhere(process), fixed = one_of { true, false, "noreplace" }, shared = on.files and one_in(3) }
		end
		return "mmap", { length = length, prot = "none", address = FAR, fixed = "noreplace", noreserve = true, shared = on.files and one_in(3) },
			not on.terabytes or TERABYTE < length
	end,
	["mmap of a file"] = function(process)
		local offset = value("mmap of a file") & (one_in(8) and -1 or -PAGE)
		local length = one_in(3) and value("mmap of a file", offset) or some_length(process, START)
		return "mmap", { length = length, prot = plain_prot(), address = somewhere(process), fixed = one_of { true, true, false, "noreplace" }, shared = one_in(2),
			file = some_file(), offset = offset }, not little(length)
	end,
	munmap = function(process)
		return "munmap", { range(process, "munmap") }
	end,
	mprotect = function(process)
		local start, length = range(process, "mprotect")
		return "mprotect", { start, length, plain_prot() }
	end,
	madvise = function(process)
		local start, length = range(process, "madvise")
		local advice = one_of(advices)
		return "madvise", { start, length, advice == "pageout" and "cold" or advice == "free" and "dontneed" or advice }
	end,
	mlock = function(process)
		return one_of { "mlock", "munlock" }, { range(process, "mlock") }
	end,
	mremap = function(process)
		local at = somewhere(process)
		local old, new = value("mremap", at), one_in(2) and value("mremap", at) or some_length(process, START)
		return "mremap", { at, old, new, { maymove = not one_in(4), dontunmap = one_in(8) } }, not little(new) or not is_harmless(at, old)
	end,
	["mremap to"] = function(process)
		local to = one_in(2) and somewhere(process) or value("mremap to") | 1 << 47
		local at = somewhere(process)
		local old, new = one_in(2) and value("mremap to", at) or some_length(process, START), one_in(2) and value("mremap to", to) or some_length(process, START)
		return "mremap", { at, old, new, { maymove = not one_in(8), fixed = to, dontunmap = one_in(8) } }, not little(new) or not is_harmless(at, old)
	end,
	["system access"] = function(process)
		local at = value("system access")
		local length = one_of { 0, 1, PAGE, 2 * PAGE }
		if one_in(2) then
			return "syscall_read", { at, length }, at >= LOWEST and at < END or at < LOWEST and at >= 0 and vma_at(process, 0)
		end
		return "syscall_write", { at, ("l"):rep(length) }, at >= LOWEST and at < END or at < LOWEST and at >= 0 and vma_at(process, 0)
	end,
}

local observed <const> = {
	mincore = function(process)
		local start, length = range(process, "mincore")
		if length >= 0 and length < 1 << 24 and (start < TOP or start >= END) then
			process.handle:mincore(start, length)
		end
	end,
	scan = function(process)
		local start, length = range(process, "scan")
		process.handle:scan { start = start, length = length }
	end,
	punch = function()
		local offset = value("punch")
		local length = value("punch", offset)
		if offset >= PAGE or offset + length >= PAGE or length < 0 then
			some_file():punch(offset, length)
		end
	end,
	allocate = function()
		local offset = value("allocate")
		local length = value("allocate", offset)
		if length < 1 << 16 or offset < 0 or length > MAX - offset then
			some_file():allocate(offset, length)
		end
	end,
	truncate = function()
		some_file():truncate(value("truncate"))
	end,
	["file access"] = function()
		local offset, bytes = value("file access"), one_of { 1, 3, PAGE, 2 * PAGE }
		if one_in(2) then
			some_file():write(offset, ("L"):rep(bytes))
		else
			some_file():read(offset, bytes)
		end
	end,
	resident = function()
		local offset = value("resident")
		some_file():resident(offset, value("resident", offset))
	end,
	request = function(process)
		local context = #process.contexts > 0 and one_of(process.contexts).handle
		if not context or #sleepers(process) > 0 or meets_dormant_pages(process, START, FINISH - START) then
			return
		end
		local start, length = range(process, "request")
		local inside = somewhere(process)
		local choices <const> = {
			{ "register", start, length, one_of(modes) },
			{ "unregister", start, length },
			{ "writeprotect", start, length, one_in(2) },
			{ "copy", value("request") | 1 << 47, ("l"):rep(PAGE) },
			{ "zeropage", start, length },
			{ "poison", start, length },
			{ "continue", start, length },
			{ "move", inside, start | 1 << 47, length },
			{ "move", start | 1 << 47, inside, length },
			{ "wake", start, length },
		}
		local choice = one_of(choices)
		context[choice[1]](context, table.unpack(choice, 2))
	end,
}
-- What depends on which pages a file has, which come and go.
local steady <const> = { mincore = true, resident = true, scan = true, request = true }

local names <const> = {}
for name, feature in pairs(calls) do
	if on[feature] then
		table.insert(names, name)
	end
end
table.sort(names)

if #names > 0 then
	operation("limits", "errors", 4, function(process)
		for _ = 1, random(4) + 1 do
			local name = one_of(names)
			if observed[name] then
				if not (pressed and steady[name]) then
					observed[name](process)
				end
			else
				local method, arguments, dangerous = all[name](process)
				local list = method == "mmap" and { arguments } or arguments
				if not dangerous and has_idle_thread(process) and not anyone_sleeps() then
					call_on(process, idle_thread(process), { { START, FINISH - START } }, method, table.unpack(list))
				end
			end
		end
	end)
end
