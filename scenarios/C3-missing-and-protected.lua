-- C3: memory registered for missing and wp. A page that is not there is reported as missing, marker or not; what
-- COPY installs is protected only if it is told to.
local p = quire.process()
local K = 0x1000
local a = p:mmap{ length = "32K", prot = "rw" }
local u = p:userfaultfd{ features = { "wp_unpopulated" } }
local EEXIST = -17
check(u:register(a, "32K", { "missing", "wp" }))
check(u:writeprotect(a, "32K", true)) -- markers all over

local function missing(page, write)
	return { event = "pagefault", address = a + page * K, write = write, wp = false, minor = false }
end

-- A read, a write: missing.  COPY without wp loses the protection.
check.fails("blocked", p:read(a, 1))
check.eq(u:read(), missing(0, false))
check.eq(u:copy(a, ("C"):rep(K)), K)
check.eq(p:thread_result(), "C")
check.pagemap(p, a, { present = true, uffd_wp = false })
check.eq(p:write(a, "x"), true)

check.fails("blocked", p:write(a + K, "x"))
check.eq(u:read(), missing(1, true))
check.eq(u:copy(a + K, ("C"):rep(K), { wp = true }), K)
check.eq(u:read(), { event = "pagefault", address = a + K, write = true, wp = true, minor = false })
check(u:writeprotect(a + K, K, false))
check.eq(p:thread_result(), true)

-- Before anybody asks.
check.eq(u:copy(a + 2 * K, ("D"):rep(K), { wp = true }), K)
check.pagemap(p, a + 2 * K, { present = true, exclusive = true, uffd_wp = true })
check.eq(p:read(a + 2 * K, 1), "D")
check.fails("EEXIST", u:copy(a + 2 * K, ("D"):rep(K), { wp = true }))
check.pagemap(p, a + 2 * K, { uffd_wp = true })

-- ZEROPAGE does not take the place of a marker.
check.eq({ u:zeropage(a + 3 * K, K) }, { nil, "EEXIST", EEXIST })
check.pagemap(p, a + 3 * K, { present = false, uffd_wp = true })

-- A marker cleared: an ordinary missing page.
check(u:writeprotect(a + 3 * K, K, false))
check.eq(u:zeropage(a + 3 * K, K), K)
check.pagemap(p, a + 3 * K, { present = true, uffd_wp = false })

-- Where the marker was dropped with the memory.
check(p:madvise(a + 4 * K, K, "dontneed"))
check.pagemap(p, a + 4 * K, { present = false, uffd_wp = false })
