-- SPDX-License-Identifier: MIT
-- Calls and requests that make no sense, or nearly none.
local _ENV = require "check_world"

-- Where nothing can be mapped; from the window on, lengths that end beyond the user half, or wrap.
local odd_addresses <const> = {
	0, 1, PAGE, 0x7ffffffff000, 0x7fffffffffff, 1 << 47, 0x800000001000, 1 << 48, 1 << 62, 1 << 63, 0xffff7fffffffffff, 0xffff800000000000,
	0xffffffffffffe000, 0xfffffffffffff000, -1,
}
local wraps <const> = { -PAGE * 2, -PAGE, 1 - PAGE, -2, -1 }
local odd_lengths <const> = { 1 << 47, 1 << 48, 1 << 62, 1 << 63, -1 << 47, table.unpack(wraps) }

-- An address and a length of which at least one makes no sense.
local function senseless(process)
	if one_in(2) then
		return one_of(odd_addresses), one_of { 0, 1, PAGE, 3 * PAGE }
	end
	return somewhere(process), one_of(odd_lengths)
end
operation("odd", "errors", 3, function(process)
	local at, length = senseless(process)
	local inside = somewhere(process)
	local maymove = one_in(2)
	local choices <const> = {
		{ "munmap", at, length },
		{ "mprotect", at, length, plain_prot() }, -- PROT_GROWSDOWN might meet the agent's stack
		{ "madvise", inside, one_of(wraps), one_of(advices) },
		{ "madvise", one_of(odd_addresses), PAGE, one_of(advices) },
		{ "mlock", at, length },
		{ "munlock", at, length },
		{ "mmap", { length = one_of(odd_lengths), prot = "rw", address = inside, fixed = one_of { true, false, "noreplace" } } },
		{ "mmap", { length = one_of { 0, PAGE }, prot = "rw", address = inside + random(PAGE), fixed = one_of { true, false, "noreplace" } } },
		{ "mremap", inside, one_of { 0, PAGE, one_of(odd_lengths) }, one_of { 0, PAGE, one_of(odd_lengths) }, { maymove = maymove } },
		{ "mremap", inside, 2 * PAGE, one_of { PAGE, 2 * PAGE }, { maymove = not one_in(4), fixed = one_of(odd_addresses) | 1 << 47 } },
		{ "mremap", one_of(odd_addresses), one_of { 0, PAGE }, PAGE, { maymove = maymove, fixed = one_in(2) and inside or nil } },
		{ "syscall_read", one_of(odd_addresses), one_of { 0, 1, PAGE } },
		{ "syscall_write", one_of(odd_addresses), ("o"):rep(one_of { 0, 1, PAGE }) },
		{ "touch", one_of { 0, PAGE, 0x10000, START - 8 * PAGE, FAR - 1 }, one_of { "r", "w", "x" } },
	}
	local needed <const> = {
		munmap = "map", mmap = "map", mprotect = "protect", madvise = "advise", mlock = "lock", munlock = "lock", mremap = "remap",
		syscall_read = "kernel", syscall_write = "kernel", touch = "access",
	}
	local choice = one_of(choices)
	if on[needed[choice[1]]] and (math.type(choice[2]) ~= "integer" or math.type(choice[3]) ~= "integer" or is_harmless(choice[2], choice[3])) then
		call_on(process, idle_thread(process), { { inside, 2 * PAGE } }, table.unpack(choice))
	end
end)

-- A request that makes no sense, or is made too early, or too late.
local function senseless_request(process, handle)
	local at, length = senseless(process)
	local inside = somewhere(process)
	local choices <const> = {
		{ "register", at, length, one_of(modes) },
		{ "unregister", at, length },
		{ "writeprotect", at, length, one_in(2) },
		{ "copy", one_of(odd_addresses), ("o"):rep(one_of { 0, 1, PAGE }) },
		{ "zeropage", at, length },
		{ "poison", at, length },
		{ "continue", at, length },
		{ "move", at, inside, length },
		{ "move", inside, at, length },
		{ "wake", at, length },
		{ "api", { api = one_of { 0, 0xaa, 0xab }, features = one_of { {}, { "poison" }, 1 << 40 } } },
	}
	local name = one_of(choices)
	handle[name[1]](handle, table.unpack(name, 2))
end
if on.errors then
	on_context("odd_request", 2, function(process, context)
		-- Those that wrap may be seen to reach over every sleeper.
		if #sleepers(process) <= 1 and not meets_dormant_pages(process, START, FINISH - START) then
			senseless_request(process, context.handle)
		end
	end)
	operation("raw", "userfault", 1, function(process)
		local handle = quire.userfaultfd_raw(process.handle, { flags = one_of { 0, 1, 2, 0x800, 0x80801, 0x40000000 } })
		if handle then
			senseless_request(process, handle)
			handle:poll()
			handle:close()
		end
	end)
end
