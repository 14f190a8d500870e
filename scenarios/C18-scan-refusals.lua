-- C18: memory that is not tracked. check_wpasync refuses it with EPERM; without, wp passes over it in silence.
local p = quire.process()
local K = 0x1000

local function scan(a, length, options)
	options.start, options.length = a, length
	return p:scan(options)
end
local function each(a, length, want)
	check.fails("EPERM", scan(a, length, { check_wpasync = true }))
	check.eq({ scan(a, length, { wp = true }) }, { want, a + length })
	check.fails("EPERM", scan(a, length, { wp = true, check_wpasync = true }))
end

-- Not registered; registered with a userfaultfd that is not async; async, but not for wp.
local a = p:mmap{ length = "4K", prot = "rw" }
check(p:write(a, "A"))
each(a, K, {})
check.pagemap(p, a, { present = true, uffd_wp = false })
local u = p:userfaultfd{}
check(u:register(a, K, { "wp" }))
each(a, K, {})
check.pagemap(p, a, { present = true, uffd_wp = false })
u:close()
u = p:userfaultfd{ features = { "wp_async" } }
check(u:register(a, K, { "missing" }))
each(a, K, {})
check.pagemap(p, a, { present = true, uffd_wp = false })

-- In part.
local b = p:mmap{ length = "8K", prot = "rw" }
check(p:write(b, ("B"):rep(2 * K)))
check(u:register(b, K, { "wp" }))
each(b, 2 * K, { { start = b, length = K, categories = { "wpallowed", "written", "present" } } })
check.pagemap(p, b, { present = true, uffd_wp = true })
check.pagemap(p, b + K, { present = true, uffd_wp = false })

-- All of it.
check(u:register(b, 2 * K, { "wp" }))
check.eq({ scan(b, 2 * K, { wp = true, check_wpasync = true, mask = { "written" } }) },
	{ { { start = b + K, length = K, categories = { "wpallowed", "written", "present" } } }, b + 2 * K })

-- Synchronous protection shows as "not written", too, but is not "wpallowed".
u:close()
u = p:userfaultfd{}
check(u:register(b, 2 * K, { "wp" }))
check(u:writeprotect(b, K, true))
check.eq(scan(b, 2 * K, {}), {
	{ start = b, length = K, categories = { "present" } },
	{ start = b + K, length = K, categories = { "written", "present" } },
})
