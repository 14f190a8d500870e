-- A1: an address space has a limit of VMAs, and a call that would pass it changes nothing.
quire.setup { memory = "64M" }
if quire.target == "linux" then
	quire.skip("library: the process has VMAs of its own, which count")
end
local p = quire.process()
local K <const> = 4096
local W <const> = 0x500000000000
local a = p:mmap { length = 140000 * K, prot = "r", address = W, fixed = true }

-- Every other page gets another permission until there are too many.
local page, why = 0, nil
repeat
	local done, errno = p:mprotect(a + page * K, K, "none")
	why = errno
	page = page + 2
until not done or page > 139000
check.eq(why, "ENOMEM")
check(page > 60000, "some 65,000 of them")
local before = #p:maps()
check.fails("ENOMEM", p:munmap(a + (page + 11) * K, K))
check.fails("ENOMEM", p:mprotect(a + (page + 11) * K, K, "rw"))
check.eq(#p:maps(), before)

-- What takes VMAs away is possible, and then there is room.
check(p:munmap(a, 100 * K))
check(p:munmap(a + (page + 11) * K, K))
