-- B3: the reported address is that of the page, unless EXACT_ADDRESS was asked for.
local p = quire.process()
local K = 0x1000
local a = p:mmap{ length = "16K", prot = "rw" }

for _, exact in ipairs{ false, true } do
	local u = p:userfaultfd{ features = exact and { "exact_address" } or {} }
	check(p:madvise(a, "16K", "dontneed"))
	check(u:register(a, "16K", { "missing", "wp" }))
	check.fails("blocked", p:read(a + 0x123, 1))
	check.eq(u:read().address, exact and a + 0x123 or a)
	check.eq(u:copy(a, ("C"):rep(K)), K)
	check.eq(p:thread_result(), "C")

	check(u:writeprotect(a, K, true))
	check.fails("blocked", p:write(a + 0x456, "x"))
	check.eq(u:read(), { event = "pagefault", address = exact and a + 0x456 or a, write = true,
		wp = true, minor = false })
	-- The page that is waited for is the same.
	check(u:writeprotect(a, K, false))
	check.eq(p:thread_result(), true)

	check.fails("blocked", p:read(a + K + 8, 1))
	check.eq(u:zeropage(a + K, K, { dontwake = true }), K)
	check.fails("blocked", p:thread_result())
	check(u:wake(a + K, K))
	check.eq(p:thread_result(), "\0")
	u:close()
end
