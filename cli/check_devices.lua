-- SPDX-License-Identifier: MIT
-- Memory of devices, of each kind, with leaves of 4K, 2M and 1G; and what is done to whole leaves, to parts of them, and across their edges.
--
-- All devices of a case are alike: two files, mapped at DEVICE and somewhat behind it.
local _ENV = require "check_world"

local pages_of <const> = { ["4K"] = PAGE, ["2M"] = LARGE, ["1G"] = LARGE * (LARGE // PAGE) }
local kind <const> = one_of { "dax", "fsdax", "fsdax", "pfn" }
local small <const> = LARGE < 2 << 20 -- page tables are: so much is not much then
local huge <const> = (on.terabytes or small) and one_in(small and 3 or 8)
local page <const> = one_of(huge and { "1G" } or { "4K", "4K", "2M", "2M", "2M" })
local LEAF <const> = pages_of[page]
local SMALLER <const> = math.max(LEAF // (LARGE // PAGE), PAGE) -- a leaf one level down
local leaves <const> = page == "1G" and 2 or page == "4K" and 8 or 4
local length <const> = leaves * LEAF
local files = {}

local acts <const> = {
	touch = "access", read = "access", write = "access", mmap = "map", munmap = "map", mprotect = "protect", mremap = "remap", advice = "advise",
	dontneed = "advise", populate = "populate", lock = "lock", fork = "fork", register = "userfault", unregister = "userfault", protect = "userfault",
	unprotect = "userfault", scan = "scan", ["scan and protect"] = "scan", file_write = "files", punch = "files", truncate = "files", allocate = "files",
	remove = "files", system = "kernel", pin = "pins", fill = "userfault",
}
-- What there is none of.
local senseless <const> = { pfn = { ["scan and protect"] = true, protect = true, unprotect = true } }
for _, each in ipairs { "dax", "fsdax", "pfn" } do
	for size in pairs(pages_of) do
		for act, feature in pairs(acts) do
			if not (senseless[each] and senseless[each][act]) then
				declare({ "devices", feature, size == "1G" and not small and "terabytes" or "devices" }, ("%s / on a device / %s %s"):format(act, each, size))
			end
		end
	end
end

local function some_device()
	local number = random(2) + 1
	files[number] = files[number] or quire.device { size = length, page = page, kind = kind }
	return files[number]
end
-- Whole leaves, parts of them, and what lies across an edge.
local function piece()
	local bytes = one_of { LEAF, LEAF, LEAF, 2 * LEAF, length, PAGE, PAGE, 5 * PAGE, LEAF // 2, SMALLER, LEAF + PAGE, 2 * LEAF - PAGE }
	local at = random(leaves) * LEAF + one_of { 0, 0, 0, 0, 0, PAGE, LEAF - PAGE, LEAF // 2, SMALLER, random(LEAF // PAGE) * PAGE }

	bytes = math.max(bytes // PAGE * PAGE, PAGE)
	at = math.min(at // PAGE * PAGE, length - PAGE)
	return DEVICE + at, math.min(bytes, length - at)
end
local function spot(at, bytes)
	return at + one_of { 0, bytes - 1, bytes // 2, random(bytes) }
end
local function on_range(name, ...)
	local rest <const> = { ... }
	return function(process, at, bytes)
		local thread = idle_thread(process)
		local arguments = {}
		for i, argument in ipairs(rest) do
			arguments[i] = type(argument) == "table" and one_of(argument) or argument
		end
		call_on(process, thread, { { at, bytes } }, name, at, bytes, table.unpack(arguments))
	end
end
local function context_of(process)
	if #process.contexts == 0 then
		open_context(process)
	end
	return #process.contexts > 0 and one_of(process.contexts).handle
end

local function map(process, at, bytes)
	local offset = one_in(4) and (random(leaves) * LEAF) or at - DEVICE
	if one_in(kind == "dax" and 16 or 8) and page ~= "4K" and kind ~= "dax" then
		offset = math.max(offset + one_of { PAGE, -PAGE, SMALLER }, 0)
	end
	local shared = kind == "dax" and not wrong(16) or not one_in(4)
	if not shared and bytes > 64 * PAGE and kind ~= "dax" and one_in(2) then
		shared = true
	end
	call_on(process, idle_thread(process), { { at, bytes } }, "mmap",
		{ address = at, length = bytes, fixed = true, prot = one_of { "rw", "rw", "rw", "r", "none", "rx" }, shared = shared, file = some_device(), offset = offset,
			populate = on.populate and shared and one_in(8) })
end
local run <const> = {
	touch = function(process, at, bytes)
		access(process, "write", "touch", spot(at, bytes), 1, one_of { "r", "r", "w", "w", "x" })
	end,
	read = function(process, at, bytes)
		local from = spot(at, bytes)
		access(process, "read", "read", from, 8, 8)
	end,
	write = function(process, at, bytes)
		local text = tostring(random(1000))
		access(process, "write", "write", spot(at, bytes), #text, text)
	end,
	mmap = map,
	munmap = on_range("munmap"),
	mprotect = on_range("mprotect", { "r", "rw", "rw", "none" }),
	mremap = function(process, at, bytes)
		local to = one_of { DEVICE + length + one_of { LEAF, 2 * LEAF, LEAF + PAGE, LEAF + SMALLER }, (piece()) }
		local new = one_of { bytes, bytes, bytes, bytes + PAGE, bytes + LEAF, math.max(bytes - PAGE, PAGE), math.max(bytes - LEAF, PAGE) }
		local old = one_in(8) and 0 or bytes
		local dontunmap = one_in(8)
		call_on(process, idle_thread(process), { { at, old }, { to, new } }, "mremap", at, old, dontunmap and old or new, { maymove = true, fixed = to, dontunmap = dontunmap })
	end,
	advice = on_range("madvise", { "normal", "random", "sequential", "dontfork", "dofork", "mergeable", "unmergeable", "hugepage", "nohugepage", "dontdump", "dodump",
		"keeponfork", "wipeonfork", "willneed", "cold", "free" }),
	dontneed = on_range("madvise", { "dontneed", "dontneed", "dontneed_locked" }),
	populate = function(process, at, bytes)
		if bytes <= 64 * PAGE or not vma_at(process, at) or vma_at(process, at).shared then
			on_range("madvise", { "populate_read", "populate_write" })(process, at, bytes)
		end
	end,
	lock = function(process, at, bytes)
		if bytes <= 64 * PAGE or not vma_at(process, at) or vma_at(process, at).shared then
			on_range(one_of { "mlock", "mlock", "munlock" })(process, at, bytes)
		end
	end,
	fork = function(process)
		if by_name.fork and (page ~= "1G" or #processes < 2) then
			by_name.fork.run(process)
		end
	end,
	register = function(process, at, bytes)
		local context = context_of(process)
		if context then
			context:register(at, bytes, one_in(8) and one_of(modes) or { "wp" })
		end
	end,
	unregister = function(process, at, bytes)
		local context = context_of(process)
		if context then
			context:unregister(at, bytes)
		end
	end,
	protect = function(process, at, bytes)
		local context = context_of(process)
		if context then
			context:writeprotect(at, bytes, true)
		end
	end,
	unprotect = function(process, at, bytes)
		local context = context_of(process)
		if context then
			context:writeprotect(at, bytes, false)
		end
	end,
	fill = function(process, at)
		local context = context_of(process)
		if not context then
			return
		end
		local choice = one_of { "copy", "zeropage", "continue", "poison" }
		if choice == "copy" then
			context:copy(at, ("c"):rep(PAGE))
		else
			context[choice](context, at, PAGE)
		end
	end,
	scan = function(process, at, bytes)
		process.handle:scan { start = at, length = bytes, mask = one_of { {}, { "present" }, { "huge" } }, max_pages = one_of { 0, 0, 1, 5, 600 } }
	end,
	["scan and protect"] = function(process, at, bytes)
		process.handle:scan { start = at, length = bytes, mask = one_of { {}, { "written" }, { "present" } }, wp = true, check_wpasync = one_in(4),
			max_pages = kind ~= "dax" and one_of { 0, 0, 0, 1, 5, 600 } or 0 }
	end,
	file_write = function(_, at, bytes)
		some_device():write(spot(at, bytes) - DEVICE, one_of { "F", "file" })
	end,
	punch = function(_, at, bytes)
		some_device():punch(at - DEVICE + (one_in(8) and random(PAGE) or 0), bytes - (one_in(8) and random(PAGE) or 0))
	end,
	truncate = function(_, at)
		local file = some_device()
		file:truncate(at - DEVICE + one_of { 0, 0, PAGE, random(PAGE) })
		if not one_in(3) then
			file:truncate(length)
		end
	end,
	allocate = function(_, at, bytes)
		if bytes <= 64 * PAGE or page ~= "1G" then
			some_device():allocate(at - DEVICE, bytes)
		end
	end,
	remove = on_range("madvise", "remove"),
	system = function(process, at, bytes)
		local to = spot(at, bytes)
		if one_in(2) then
			access(process, "syscall_write", "syscall_write", to, 6, "system")
		else
			access(process, "syscall_read", "syscall_read", to, 6, 6)
		end
	end,
	pin = function(process, at, bytes)
		if #process.pins < 3 then
			access(process, "pin", "pin", at, math.min(bytes, 8 * PAGE), math.min(bytes, 8 * PAGE))
		elseif one_in(2) then
			table.remove(process.pins, random(#process.pins) + 1):release()
		end
	end,
}
local names <const> = {}
for act, feature in pairs(acts) do
	if on[feature] and (act ~= "pin" or pinning) then
		for _ = 1, ({ touch = 4, write = 4, mprotect = 3, mremap = 3, ["scan and protect"] = 3, register = 2 })[act] or 1 do
			table.insert(names, act)
		end
	end
end
table.sort(names)

-- What stands there, by leaves; and some of the content.
local function look(process, at, bytes)
	if on.scan then
		process.handle:scan { start = DEVICE, length = length + 4 * LEAF }
	end
	for _, where in ipairs { at - PAGE, at + bytes // 2 // PAGE * PAGE, at + bytes - PAGE } do
		where = math.max(DEVICE, where)
		process.handle:pagemap(where, 2)
	end
	local vma = vma_at(process, at)
	if vma and one_in(4) then
		process.handle:smaps(at)
		process.handle:mincore(at, PAGE)
	end
end

if not pressed then
	operation("device", "devices", 1, function(process)
		for _ = 1, random(4) + 2 do
			if process.gone or not has_idle_thread(process) or asleep_at(process, DEVICE, 4 * length) > 0 then
				break
			end
			if not vma_at(process, DEVICE) and not vma_at(process, DEVICE + LEAF) then
				map(process, DEVICE, length)
				see(process)
				if mood.name == "devices that are protected" and context_of(process) then
					context_of(process):register(DEVICE, length, { "wp" })
				end
			end
			local act, at, bytes = one_of(names), piece()

			if has_idle_thread(process) and asleep_at(process, DEVICE, 4 * length) == 0 then
				reach(act, "on a device", kind .. " " .. page)
				run[act](process, at, bytes)
			end
			if not process.gone then
				look_at_sleepers(process)
				look(process, at, bytes)
				see(process)
			end
		end
	end)
end
