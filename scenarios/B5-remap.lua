-- B5: the remap event. The registration moves with the memory, and with it protection; events come after the move.
local p = quire.process()
local K = 0x1000
local t = p:thread()

local function letters(address)
	local flags = " " .. p:smaps(address).VmFlags .. " "
	return (flags:find(" um ", 1, true) and "m" or "") .. (flags:find(" uw ", 1, true) and "w" or "")
end

local u = p:userfaultfd{ features = { "event_remap" } }
local to = p:mmap{ length = "16K", prot = "none" }
local a = p:mmap{ length = "16K", prot = "rw" }
check(p:write(a, "first"))
check(u:register(a, "16K", { "missing", "wp" }))
check(u:writeprotect(a, K, true))

check.fails("blocked", t:mremap(a, "16K", "16K", { maymove = true, fixed = to }))
check.fails("ENOENT", p:smaps(a))
check.pagemap(p, to, { present = true, uffd_wp = true }, "moved already, and still protected")
check.eq(u:read(), { event = "remap", from = a, to = to, length = 4 * K })
check.eq(t:result(), to)
check.eq(letters(to), "mw")
check.fails("blocked", p:write(to, "x"))
check.eq(u:read(), { event = "pagefault", address = to, write = true, wp = true, minor = false })
check(u:writeprotect(to, K, false))
check.eq(p:thread_result(), true)
check.page(p, to, "xirst")

-- Growing in place tells nothing; what was added is registered as well.
check(p:munmap(to + 2 * K, 2 * K))
check.eq(t:mremap(to, 2 * K, 3 * K), to)
check.fails("EAGAIN", u:read())
check.eq(letters(to + 2 * K), "mw")
check(p:munmap(to, 3 * K))
check(u:close())

-- With the unmap event as well: remap, then unmap of where it was.  Onto registered memory: that goes first.
u = p:userfaultfd{ features = { "event_remap", "event_unmap" } }
a, to = p:mmap{ length = "8K", prot = "rw" }, p:mmap{ length = "8K", prot = "rw" }
check(u:register(a, "8K", { "missing" }))
check(u:register(to, "8K", { "missing" }))
check.fails("blocked", t:mremap(a, "8K", "8K", { maymove = true, fixed = to }))
check.eq(u:read(), { event = "unmap", start = to, finish = to + 2 * K })
check.fails("blocked", t:result())
check.eq(u:read(), { event = "remap", from = a, to = to, length = 2 * K })
check.fails("blocked", t:result())
check.eq(u:read(), { event = "unmap", start = a, finish = a + 2 * K })
check.eq(t:result(), to)
check.eq(letters(to), "m")
check.fails("EAGAIN", u:read())

-- Without the remap event, neither the registration nor the protection moves.
local w = p:userfaultfd{}
a, to = p:mmap{ length = "8K", prot = "rw" }, p:mmap{ length = "8K", prot = "none" }
check(p:write(a, "second"))
check(w:register(a, "8K", { "wp" }))
check(w:writeprotect(a, "8K", true))
check.eq(t:mremap(a, "8K", "8K", { maymove = true, fixed = to }), to)
check.eq(letters(to), "")
check.pagemap(p, to, { present = true, uffd_wp = false })
check.eq(p:write(to, "S"), true)
check.fails("EAGAIN", w:read())
check.page(p, to, "Second")

-- Who waits at the old place goes on waiting there.
local v = p:userfaultfd{ features = { "event_remap" } }
a, to = p:mmap{ length = "4K", prot = "rw" }, p:mmap{ length = "4K", prot = "none" }
check(p:write(a, "third"))
check(v:register(a, K, { "wp" }))
check(v:writeprotect(a, K, true))
check.fails("blocked", p:write(a, "T"))
check.eq(v:read().address, a)
check.fails("blocked", t:mremap(a, K, K, { maymove = true, fixed = to }))
check.eq(v:read(), { event = "remap", from = a, to = to, length = K })
check.eq(t:result(), to)
check(v:writeprotect(to, K, false))
check.fails("blocked", p:thread_result())
check(v:wake(a, K))
check.fails("SEGV", p:thread_result())
check.page(p, to, "third")
