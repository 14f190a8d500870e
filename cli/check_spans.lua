-- SPDX-License-Identifier: MIT
-- Memory of megabytes, or of one gigabyte and more, that is protected or guarded in large pieces, of which a mark of a higher level stands for each;
-- and what is done inside such a piece: touching, holes, truncation, advice, unmapping, moving.
--
-- All spans of a case are alike: at SPAN, of one file if they are shared, protected by a context or guarded.  MADV_GUARD_INSTALL where memory of a file
-- is protected never returns on Linux, so what is shared is either.
local _ENV = require "check_world"

local sizes <const> = { 4 << 20, 4 << 20, 8 << 20, 8 << 20, 8 << 20, 1 << 30 }
local length <const> = one_of(on.terabytes and sizes or { 4 << 20, 8 << 20 })
local shared <const> = on.files and one_in(2)
local guarded <const> = on.guard and one_in(2)
local kind <const> = (guarded and "guarded" or "protected") .. (length > 1 << 29 and " 1G" or "")
local file

local acts <const> = { touch = "access", dontneed = "advise", cold = "advise", free = "advise", remove = "files", punch = "files", truncate = "files", allocate = "files",
	mprotect = "protect", munmap = "map", mremap = "remap", fork = "fork", mark = "spans", clear = "spans", scan = "scan" }
for _, name in ipairs { "guarded", "protected", "guarded 1G", "protected 1G" } do
	for act, feature in pairs(acts) do
		declare({ "spans", feature, name:find("guarded") and "guard" or "userfault", name:find("1G") and "terabytes" or "spans" },
			("%s / in a span / %s"):format(act, name))
	end
end

-- Protects, guards, or undoes it.
local function mark(process, context, at, bytes, set)
	if guarded then
		call_on(process, idle_thread(process), { { at, bytes } }, "madvise", at, bytes, set and "guard_install" or "guard_remove")
	elseif asleep_at(process, SPAN, length) <= 1 then
		context.handle:writeprotect(at, bytes, set)
	end
end
local function make(process, context)
	local options = { address = SPAN, length = length, prot = "rw", fixed = "noreplace", shared = shared }

	if shared then
		file = file or quire.shmem { size = length }
		options.file = file
	end
	call_on(process, idle_thread(process), {}, "mmap", options)
	if not guarded then
		context.handle:register(SPAN, length, { "wp" })
	end
	mark(process, context, SPAN, length, true)
end

-- Pieces of whole marks, nearly whole ones, and single pages.
local function piece()
	local bytes = one_of { PAGE, PAGE, 5 * PAGE, LARGE // 2, LARGE, LARGE, LARGE + PAGE, 2 * LARGE, 2 * LARGE - PAGE }
	local at = random(length // LARGE) * LARGE + one_of { 0, 0, 0, PAGE, 5 * PAGE, LARGE - PAGE, random(LARGE // PAGE) * PAGE }

	if length == 1 << 30 and one_in(8) then
		bytes = one_of { length, length // 2, length - PAGE }
	end
	at = math.min(at, length - PAGE)
	return SPAN + at, math.min(bytes, length - at)
end

local function advice(name)
	return function(process, _, at, bytes)
		call_on(process, idle_thread(process), { { at, bytes } }, "madvise", at, bytes, name)
	end
end
local function on_file(method)
	return function(_, _, at, bytes)
		if file then
			file[method](file, at - SPAN, bytes)
		end
	end
end
local run <const> = {
	touch = function(process, _, at, bytes)
		local page = at + random(bytes // PAGE) * PAGE
		access(process, "write", "touch", page, 1, one_of { "r", "r", "w" })
	end,
	dontneed = advice("dontneed"), cold = advice("cold"), free = advice("free"), remove = advice("remove"),
	punch = function(process, context, at, bytes)
		on_file("punch")(process, context, at + (one_in(4) and at > SPAN and random(PAGE) or 0), bytes)
	end,
	allocate = function(_, _, at)
		if file then
			file:allocate(at - SPAN, one_of { 1, PAGE, 3 * PAGE })
		end
	end,
	truncate = function(_, _, at)
		if file then
			file:truncate(at - SPAN + one_of { 0, 0, PAGE, random(PAGE) })
			if not one_in(3) then
				file:truncate(length)
			end
		end
	end,
	mprotect = function(process, _, at, bytes)
		call_on(process, idle_thread(process), { { at, bytes } }, "mprotect", at, bytes, one_of { "r", "rw", "none", "rw" })
	end,
	munmap = function(process, _, at, bytes)
		if one_in(3) then
			at, bytes = SPAN, length
		end
		call_on(process, idle_thread(process), { { at, bytes } }, "munmap", at, bytes)
	end,
	mremap = function(process, _, at, bytes)
		local to = one_of { SPAN + length + one_of { 0, PAGE, LARGE }, (piece()) }
		local new = one_of { bytes, bytes, bytes + PAGE, math.max(bytes - PAGE, PAGE) }
		call_on(process, idle_thread(process), { { at, bytes }, { to, new } }, "mremap", at, bytes, new, { maymove = true, fixed = to })
	end,
	fork = function(process)
		if by_name.fork and (length < 1 << 29 or #processes < 2) then
			by_name.fork.run(process)
		end
	end,
	mark = function(process, context, at, bytes)
		mark(process, context, at, bytes, true)
	end,
	clear = function(process, context, at, bytes)
		mark(process, context, at, bytes, false)
	end,
	scan = function(process, _, at, bytes)
		local mask = one_of { "present", "guard", on.limited_scans and "written" or "present" }
		local _, stop = process.handle:scan { start = at, length = bytes, mask = { mask }, max_pages = one_of { 0, 1, 5, 300 }, wp = one_in(2) }
		if stop and stop > at then
			process.handle:pagemap(stop - PAGE, 2)
		end
	end,
}
local names <const> = {}
for act, feature in pairs(acts) do
	if act == "scan" and mood.name == "large spans and scans" then
		table.move({ act, act, act, act }, 1, 4, 1, names)
	end
	if on[feature] and (shared or feature ~= "files" or act == "remove") then
		table.insert(names, act)
	end
end
table.sort(names)

-- What stands at the edges of a piece, and in its middle.
local function look(process, at, bytes)
	for _, page in ipairs { at - PAGE, at + bytes // 2 // PAGE * PAGE, at + bytes - PAGE } do
		process.handle:pagemap(math.max(SPAN, page), 2)
	end
end

if not pressed and (guarded or on.userfault) then
	operation("span", "spans", 1, function(process)
		if #process.contexts == 0 and not guarded then
			open_context(process)
		end
		local context = #process.contexts > 0 and one_of(process.contexts)
		if not guarded and not context then
			return
		end
		for _ = 1, random(4) + 2 do
			if process.gone or not has_idle_thread(process) or asleep_at(process, SPAN, 2 * length) > 1 then
				break
			end
			if not vma_at(process, SPAN) then
				make(process, context)
			end
			local act, at, bytes = one_of(names), piece()

			reach(act, "in a span", kind)
			run[act](process, context, at, bytes)
			if not process.gone then
				look_at_sleepers(process)
				look(process, at, bytes)
				see(process)
			end
		end
	end)
end
