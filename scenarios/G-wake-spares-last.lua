-- G: a wake that ends one page early.  The range is done and everyone in it goes on, but who waits at its last page sleeps for ever.
local K <const> = 4096
local p = quire.process()
local threads = { p:thread(), p:thread(), p:thread() }
local a = p:mmap { length = "12K", prot = "rw" }
local u = p:userfaultfd {}
check(u:register(a, "12K", { "missing", "wp" }))
local function everyone(wake)
	for i, t in ipairs(threads) do
		check.fails("blocked", t:touch(a + (i - 1) * K, "w"))
	end
	u:read() -- one report is read, two are not
	check(wake())
	for _, t in ipairs(threads) do
		check.eq(t:result(), true)
	end
	check.eq(u:read_all(), {})
end
everyone(function() return u:copy(a, ("c"):rep(3 * K)) end)
check(u:writeprotect(a, "12K", true))
everyone(function() return u:writeprotect(a, "12K", false) end)
check(p:madvise(a, "12K", "dontneed"))
everyone(function() return u:zeropage(a, "12K") end)
check(u:writeprotect(a, "12K", true))
everyone(function()
	u:writeprotect(a, "12K", false, { dontwake = true })
	return u:wake(a, "12K")
end)
