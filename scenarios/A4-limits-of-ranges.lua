-- A4: ranges near every limit, for munmap, mprotect, mlock, munlock, mincore and each advice: lengths that wrap when they are rounded up, sums that wrap, ends beyond user addresses.
-- What would reach mapped memory that is not the script's is left out; every answer is compared.
local K <const> = 4096
local END <const> = 0x7ffffffff000
local A <const> = 0x600000000000
local root <const> = quire.has("root")
local MAX <const> = math.maxinteger
local p = quire.process()
local lengths <const> = { 0, 1, K - 1, K, K + 1, 2 * K, (1 << 31) - K, 1 << 31, (1 << 32) - 1, 1 << 32, (1 << 32) + K, END - K, END - 1, END, END + 1, 1 << 47, (1 << 47) + K,
	1 << 52, 1 << 62, MAX - K + 1, MAX, math.mininteger, math.mininteger + K, -A - K, -A - 1, -A, -A + 1, -A + K, -2 * K, -K - 1, -K, -K + 1, -1 }
local advices <const> = { "normal", "sequential", "willneed", "cold", "pageout", "dontneed", "free", "remove", "populate_read", "populate_write", "dontfork", "dofork", "wipeonfork",
	"keeponfork", "guard_install", "guard_remove", "mergeable", "dontdump", "dodump" }

-- Whether the call cannot reach beyond what the script has: it ends below the window's end, begins behind all memory, or is refused for its form.
local function harmless(start, length)
	local rounded = (length + K - 1) & ~(K - 1)
	local stop = start + rounded
	if start % K ~= 0 or rounded == 0 or math.ult(stop, start) or not math.ult(start, END) then
		return true
	end
	return start == A and math.ult(length, 1 << 40)
end

for _, start in ipairs { A, A + 1, 0, K, END - K, END, END + K, 1 << 47, math.mininteger, -2 * K, -K } do
	for _, length in ipairs(lengths) do
		if harmless(start, length) then
			p:mmap { length = 4 * K, prot = "rw", address = A, fixed = true }
			p:mprotect(start, length, "r")
			p:mprotect(start, length, "rw")
			if quire.has("root") then -- anyone else's limit comes first
				if root then -- for others a limit is looked at first
				p:mlock(start, length)
			end
			end
			p:munlock(start, length)
			for _, advice in ipairs(advices) do
				p:madvise(start, length, advice)
			end
			p:munmap(start, length)
			p:maps()
		end
		-- mincore is said to take any length; it looks at the range as a whole first.
		if math.ult(length, 1 << 32) and start ~= END - K then
			p:mincore(start, length)
		end
	end
end

-- The system's own accesses.
for _, address in ipairs { 0, A - 1, A + 4 * K - 1, END - 1, END, (1 << 47) - 1, 1 << 47, MAX, math.mininteger, -K, -2, -1 } do
	if address ~= END - 1 then
		p:syscall_read(address, 1)
		p:syscall_write(address, "x")
		p:syscall_read(address, 2)
	end
end

p:mmap { length = 4 * K, prot = "rw", address = A, fixed = true }
check.fails("EINVAL", p:munmap(A, -K))
check.fails("EINVAL", p:munmap(A, 0))
check.fails("ENOMEM", p:mprotect(A, -K, "r"))
check(p:mprotect(A, 0, "r"))
check.fails("ENOMEM", p:mprotect(A, -1, "r")) -- which is 0 when it is rounded up
check.fails("EINVAL", p:madvise(A, -K, "dontneed"))
check.fails("EINVAL", p:madvise(A, -1, "dontneed"))
check(p:madvise(A, 0, "dontneed"))
check.eq(#p:maps(), 1)
