-- SPDX-License-Identifier: MIT
-- Operations on the memory of a process: mapping, advice, accesses, pins, fork.
local _ENV = require "check_world"

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
			return "mmap", { length = one_of { LARGE, 2 * LARGE, LARGE + LARGE // 2, huge }, prot = "none", noreserve = one_in(2) }
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
			if vma and vma.length >= LARGE then
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

	if vma and one_in(kind_of(vma).group ~= "anon" and 6 or 20) then
		old = 0 -- a second mapping of the same, where it is shared
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

	local vma = vma_at(process, at)
	local leaves = one_in(8) and not (paging and vma and has(vma, "lo"))
	remap(process, at, length, one_of { length, length, length + PAGE, math.max(length - PAGE, 0) },
		{ maymove = true, fixed = one_of { at + by, at - by, at + length, at - length }, dontunmap = leaves })
end)

local function advise(process, advice, at, length)
	if advice == "pageout" and anyone_pins() then
		advice = "cold"
	elseif advice == "free" and (swapping and not on.free_shared or others_lock(process)) and meets_shared_pages(process, at, length) then
		advice = "dontneed"
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

-- Whoever it is, the oldest included, as long as one is left.
operation("fork", "fork", 3, function(process)
	if #processes > 1 and (#processes >= most.processes or one_in(4)) then
		process_ended(one_of(processes))
	elseif #processes < most.processes and not waits_in(process, "fork") and not pins_pages(process) then
		call_on(process, idle_thread(process), {}, "fork")
	end
end)

operation("scan", "scan", 2, function(process)
	local at, length = some_range(process)
	local mask = one_of { {}, {}, { "written" }, { "present" } }
	local protect = one_in(3)

	aim(protect and "scan and protect" or "scan", process, at)
	process.handle:scan { start = at, length = length, mask = mask, wp = protect, check_wpasync = one_in(6),
		max_pages = (mask[1] == "present" or mask[1] == "written" and on.limited_scans) and random(4) or 0 }
end)
