-- B5, A5: a fork while another thread sleeps in the fetch of an instruction. The child has the calling thread alone; its new threads fault as
-- any others.
local p = quire.process()
local K = 0x1000
local a = p:mmap{ length = "8K", prot = "rwx" }
local u = p:userfaultfd{}
local sleeper, other = p:thread(), p:thread()

check(u:register(a, K, { "missing" }))
check.fails("blocked", sleeper:touch(a, "x"))
local c = other:fork()
local first, second = c:thread(), c:thread()
for _, thread in ipairs{ c, first, second } do
	check.eq({ thread:write(a + 8 * K, "nowhere") }, { nil, "SEGV", "MAPERR" })
	check.eq({ thread:touch(a + 8 * K, "x") }, { nil, "SEGV", "MAPERR" })
	check(thread:touch(a + K, "r"))
end
check.eq(u:read().address, a)
check.eq(u:zeropage(a, K), K)
sleeper:result()
