-- B7: whatever COPY, ZEROPAGE, CONTINUE, POISON and MOVE come to, the destination's VMA counts as one with pages of its own: fork copies even its
-- page of zeros.  COPY takes the place of any marker.
local K = 0x1000
local function try(name, fill)
	local p = quire.process()
	local a = p:mmap{ length = "32K", prot = "rw" }
	local u = p:userfaultfd{}
	check(p:touch(a, "r"))
	check(u:register(a, "32K", { "missing" }))
	fill(u, a)
	local c = p:fork()
	check.eq(c:pagemap(a).present, name ~= "nothing", name)
	c:exit()
	p:exit()
end
try("nothing", function() end)
try("zeropage", function(u, a) check.fails("EEXIST", u:zeropage(a, K)) end)
try("copy", function(u, a) check.fails("EEXIST", u:copy(a, ("c"):rep(K))) end)
try("continue", function(u, a) check.fails("EINVAL", u:continue(a + K, K)) end)
try("poison", function(u, a) check.fails("EEXIST", u:poison(a, K)) end)
try("move", function(u, a) check.fails("EEXIST", u:move(a, a + K, K)) end)

local p = quire.process()
local a = p:mmap{ length = "32K", prot = "rw" }
local u = p:userfaultfd{}
check(u:register(a, "32K", { "missing" }))
check(p:madvise(a, K, "guard_install"))
check(u:poison(a + K, K))
check.eq(u:copy(a, ("c"):rep(2 * K)), 2 * K)
check.eq(p:read(a, 1), "c")
check.fails("EEXIST", u:copy(a, ("c"):rep(K)))

-- Another context's registration is not good enough for MOVE.
local v = p:userfaultfd{}
check.fails("EINVAL", v:move(a + 4 * K, a, K))
