-- G: sleeping for ever on a page that is not there any more.  A thread waits for its write to a protected page; meanwhile the page is dropped, replaced
-- by a marker, moved away, filled anew, or its memory is unmapped or no longer registered.  Woken, the thread must look again, and not wait for what
-- it had seen.
local K <const> = 4096
local p = quire.process()
local t = p:thread()
local u = p:userfaultfd { features = { "wp_unpopulated", "move" } }
local function waiter()
	local a = p:mmap { length = "4K", prot = "rw" }
	p:write(a, "page")
	check(u:register(a, "4K", { "wp" }))
	check(u:writeprotect(a, "4K", true))
	check.fails("blocked", t:write(a, "x"))
	check.eq(u:read(), { event = "pagefault", address = a, write = true, wp = true, minor = false })
	return a
end
local function goes_on(a, bytes)
	check(u:wake(a, "4K"))
	check.eq(t:result(), true)
	check.page(p, a, bytes)
	check.fails("EAGAIN", u:read())
end

local a = waiter()
check(p:madvise(a, "4K", "dontneed"))
goes_on(a, "x\0")

-- A marker in the place of the page: one more report, of the page that comes to stand there.
a = waiter()
check(p:madvise(a, "4K", "dontneed"))
check(u:writeprotect(a, "4K", true))
check(u:wake(a, "4K"))
check.fails("blocked", t:result())
check.eq(u:read(), { event = "pagefault", address = a, write = true, wp = true, minor = false })
check.pagemap(p, a, { present = true, uffd_wp = true })
check(u:writeprotect(a, "4K", false))
check.eq(t:result(), true)
check.page(p, a, "x\0")

-- Moved away.
a = waiter()
local gap = p:mmap { length = "4K", prot = "none" }
local to = p:mmap { length = "4K", prot = "rw" }
check(u:register(to, "4K", { "missing" }))
check.eq(u:move(to, a, K), K)
goes_on(a, "x\0")
check.page(p, to, "page")

-- Filled anew.
a = waiter()
check(p:madvise(a, "4K", "dontneed"))
check.eq(u:copy(a, ("c"):rep(K)), K)
check.eq(t:result(), true)
check.page(p, a, "xccc")

-- No longer registered.
a = waiter()
check(u:unregister(a, "4K"))
goes_on(a, "xage")

-- Guarded, unmapped, and mapped by something else.
a = waiter()
check(p:madvise(a, "4K", "guard_install"))
check(u:wake(a, "4K"))
check.fails("SEGV", t:result())
a = waiter()
check(p:munmap(a, "4K"))
check(u:wake(a, "4K"))
check.fails("SEGV", t:result())
a = waiter()
check.eq(p:mmap { length = "4K", prot = "rw", address = a, fixed = true }, a)
goes_on(a, "x\0")
