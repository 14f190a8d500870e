-- A1: offsets, lengths and sizes of a file's calls near every limit: those that do not fit an off_t are EINVAL, for punch and allocate a sum that does not is EFBIG.
local K <const> = 4096
local MAX <const> = math.maxinteger -- what a file can have
local limits <const> = { 0, 1, K - 1, K, K + 1, 2 * K, (1 << 31) - K, 1 << 31, (1 << 32) - 1, 1 << 32, (1 << 32) + K, 1 << 47, 1 << 52, 1 << 62, MAX - 2 * K, MAX - K,
	MAX - K + 1, MAX - 1, MAX, math.mininteger, math.mininteger + K, -2 * K, -K, -1 }

-- What a call must say; `empty`: no length is none.
local function expect(offset, length, sum)
	if offset < 0 or length < 0 then
		return "EINVAL"
	end
	return length > MAX - offset and sum or nil
end

local function outcome(error, ...)
	if error then
		check.fails(error, ...)
	else
		check(...)
	end
end

local f = quire.shmem { size = 4 * K }
for _, offset in ipairs(limits) do
	for _, length in ipairs(limits) do
		check(f:truncate(2 * K))
		local error = length == 0 and "EINVAL" or expect(offset, length, "EFBIG")
		outcome(error, f:punch(offset, length))
		if error or length <= 2 * K then
			outcome(error, f:allocate(offset, length))
		end
		outcome(expect(offset, length, "EINVAL"), f:resident(offset, length))
	end
	for _, bytes in ipairs { "x", "xyz" } do
		outcome(expect(offset, #bytes, "EINVAL"), f:write(offset, bytes))
		outcome(expect(offset, #bytes, "EINVAL"), f:read(offset, #bytes))
	end
	outcome(offset < 0 and "EINVAL" or nil, f:truncate(offset))
	outcome(offset < 0 and "EINVAL" or nil, quire.shmem { size = offset })
end

-- The very last byte.
check(f:truncate(0))
check(f:write(MAX - 3, "end"))
check.eq(f:read(MAX - 4, 4), "\0end")
check.eq(f:resident(0, MAX), 1)
check(f:punch(MAX - 2, 2))
check.eq(f:read(MAX - 4, 4), "\0e\0\0")
check(f:truncate(MAX - 1))
check.eq(f:read(MAX - 4, 4), "\0e\0")
check(f:truncate(MAX))
check.eq(f:read(MAX - 4, 4), "\0e\0\0")
check(f:punch(0, MAX)) -- "all of it": an idiom; the last page is a part of one, and stays
check.eq(f:read(MAX - 4, 4), "\0\0\0\0")
check.eq(f:resident(0, MAX), 1)
check(f:allocate(MAX - 1, 1))
check(f:truncate(0))
check.eq(f:resident(0, MAX), 0)
