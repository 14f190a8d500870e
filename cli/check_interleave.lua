-- SPDX-License-Identifier: MIT
-- Interleavings of two: one thread falls asleep, others change what it waits for, and it goes on.
local _ENV = require "check_world"

for _, name in ipairs { "close", "unregister" } do
	declare({ "interleave", "userfault", "access" }, "touch / after " .. name)
end
for call, feature in pairs { ["a fault"] = "access", fork = "fork", mremap = "remap", madvise = "advise", munmap = "map", mmap = "map" } do
	declare({ "interleave", "userfault", "events", feature }, "close / while a thread sleeps in / " .. call)
end

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
		local name = one_of(strikes)
		if by_name[name] then
			by_name[name].run(process)
		end
		-- Others go on using what is not registered any more.
		if (name == "close" or name == "unregister") and on.access and not process.gone and has_idle_thread(process) and one_in(2) then
			reach("touch", "after " .. name)
			access(process, "write", "touch", process.focus, 1, one_of { "r", "w" })
		end
	end
	process.focus = nil
	if not process.gone and one_in(2) then
		look_at_sleepers(process)
		read_messages(process)
	end
end)
