-- A3: lengths of mremap near every limit, in place, elsewhere, to a given place that overlaps or not, and with the old place left.
-- Where an old length wraps, so does Linux's look at whether the places overlap: room is made at the new one before the call is refused.
local K <const> = 4096
local END <const> = 0x7ffffffff000
local A <const> = 0x600000000000
local FAR <const> = A + (1 << 36)
local MAX <const> = math.maxinteger
local p = quire.process()
local f = quire.shmem { size = 8 * K }
local lengths <const> = { 0, 1, 8 * K, 9 * K, END, 1 << 47, MAX, -A, -A + K, -K, -1 }
local places <const> = {
	{},
	{ maymove = true },
	{ fixed = FAR }, -- without maymove
	{ maymove = true, fixed = FAR },
	{ maymove = true, fixed = A + 4 * K },
	{ maymove = true, fixed = A - 4 * K },
	{ maymove = true, fixed = A },
	{ maymove = true, fixed = A + 8 * K },
	{ maymove = true, fixed = A + 1 },
	{ maymove = true, fixed = -K },
	{ maymove = true, dontunmap = true },
	{ maymove = true, dontunmap = true, fixed = FAR },
}

for _, shared in ipairs { false, true } do
	for _, old in ipairs(lengths) do
		for _, new in ipairs(lengths) do
			for _, options in ipairs(places) do
				if new ~= END and (not shared or old == 0) then -- there is room for END
					p:mmap { length = 8 * K, prot = "rw", address = A, fixed = true, shared = shared, file = shared and f or nil }
					local a = p:mremap(A, old, new, options)
					if a ~= A then
						p:maps()
					end
					p:munmap(A - 16 * K, 64 * K)
					if a then
						p:munmap(a, new)
					end
					p:munmap(FAR, 16 * K)
				end
			end
		end
	end
end

p:mmap { length = 8 * K, prot = "rw", address = A, fixed = true }
check.fails("EFAULT", p:mremap(A, -K, 12 * K, { maymove = true, fixed = A + 64 * K }))
check.fails("EINVAL", p:mremap(A, K, -K, { maymove = true }))
check.fails("EINVAL", p:mremap(A, K, 0, { maymove = true }))
