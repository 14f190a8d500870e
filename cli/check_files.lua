-- SPDX-License-Identifier: MIT
-- Operations on files, through no mapping.
local _ENV = require "check_world"

-- The offset of a page that the process may have mapped.
function some_offset(process)
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
