-- B3, A6: an access that the kernel makes for a process is reported and waits like one of its own.
local p = quire.process()
local K = 0x1000
local a = p:mmap{ length = "64K", prot = "rw" }
local u = p:userfaultfd{}
check(u:register(a, "64K", { "missing" }))
local next_page = a

-- Each call sleeps in its first fault on a fresh page, which is answered by COPY.
local function reported(write, want, call, ...)
	local page = next_page
	next_page = next_page + K
	check.fails("blocked", call(p, page, ...))
	check.eq(u:read(), { event = "pagefault", address = page, write = write, wp = false, minor = false })
	check.eq(u:copy(page, ("C"):rep(K)), K)
	check.eq(p:thread_result(), want)
	check.fails("EAGAIN", u:read())
	return page
end

reported(false, "CCCC", p.syscall_read, 4)
check.page(p, reported(true, true, p.syscall_write, "abc"), "abcC")
reported(false, true, p.madvise, K, "populate_read")
reported(true, true, p.madvise, K, "populate_write")
reported(true, true, p.mlock, K)
reported(false, true, p.touch, "r")
reported(true, true, p.touch, "w")

-- Nothing is brought in by willneed.
check(p:madvise(next_page, K, "willneed"))
check.fails("EAGAIN", u:read())
check.pagemap(p, next_page, { present = false })

-- mmap with populate meets no registration: the mapping is new.
local b = p:mmap{ length = "8K", prot = "rw", populate = true }
check.eq(p:mincore(b, "8K"), { true, true })
