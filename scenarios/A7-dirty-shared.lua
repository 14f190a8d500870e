-- A7: when a page of shared memory counts as dirty, for those who only read it: what a child sees of its parent's page.
local K <const> = 4096
local both <const> = { "missing", "wp" }
local function case(name, modes, dirty, act)
	local p = quire.process()
	local t = p:thread()
	local f = quire.shmem { size = 8 * K }
	local a = p:mmap { length = 8 * K, prot = "rw", shared = true, file = f }
	local u = p:userfaultfd { features = { "wp_unpopulated" } }
	if modes then
		check(u:register(a, 8 * K, modes))
	end
	act(p, t, u, a, f)
	local c = p:fork()
	check(c:touch(a, "r"))
	local seen = c:smaps(a)
	check.eq(seen.Shared_Dirty + seen.Private_Dirty, dirty and K or 0, name)
	c:exit()
	p:exit()
	f:close()
end

-- The page itself is dirty when a write has faulted, or the file was written to or allocated.
case("read", nil, false, function(p, _, _, a) p:read(a, 1) end)
case("written", nil, true, function(p, _, _, a) p:write(a, "x") end)
case("to be written", nil, true, function(p, _, _, a) p:madvise(a, K, "populate_write") end)
case("read, to be written", nil, true, function(p, _, _, a)
	p:read(a, 1)
	p:madvise(a, K, "populate_write")
end)
case("read by the kernel", nil, false, function(p, _, _, a) p:syscall_read(a, 1) end)
case("file written", nil, true, function(_, _, _, _, f) f:write(0, "x") end)
case("file allocated", nil, true, function(_, _, _, _, f) f:allocate(0, K) end)

-- What a request puts in is dirty to the entry, not to the page, even when it is written to then.
case("copied", both, false, function(_, _, u, a) u:copy(a, ("c"):rep(K)) end)
case("zeros", both, false, function(_, _, u, a) u:zeropage(a, K) end)
case("zeros, written", both, false, function(p, _, u, a)
	u:zeropage(a, K)
	p:write(a, "x")
end)
case("a write slept", both, false, function(_, t, u, a)
	t:write(a, "x")
	u:zeropage(a, K)
	t:result()
end)

-- After it has been unprotected, even if it was not protected, the next write is a fault.
case("unprotected", both, false, function(_, _, u, a)
	u:zeropage(a, K)
	u:writeprotect(a, K, false)
end)
case("unprotected, written", both, true, function(p, _, u, a)
	u:zeropage(a, K)
	u:writeprotect(a, K, false)
	p:write(a, "x")
end)
case("read, protected, unprotected, written", { "wp" }, true, function(p, _, u, a)
	p:read(a, 1)
	u:writeprotect(a, K, true)
	u:writeprotect(a, K, false)
	p:write(a, "x")
end)

case("unregistered, written", { "wp" }, true, function(p, _, u, a)
	u:zeropage(a, K)
	u:unregister(a, 8 * K)
	p:write(a, "x")
end)

-- A write that is reported afterwards has been a write; one to a page that was there has not.
case("a marker, written", { "wp" }, true, function(_, t, u, a)
	u:writeprotect(a, K, true)
	check.fails("blocked", t:write(a, "x"))
end)
case("a page, written", { "wp" }, false, function(p, t, u, a)
	p:read(a, 1)
	u:writeprotect(a, K, true)
	check.fails("blocked", t:write(a, "x"))
end)
