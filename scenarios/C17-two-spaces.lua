-- C17: protection of shared memory belongs to each address space, and to each mapping, alone.
local K <const> = 0x1000
local function look(p, a)
	local page, text = p:pagemap(a), ""
	for _, bit in ipairs { "present", "swapped", "file", "uffd_wp", "exclusive", "guard" } do
		text = text .. (page[bit] and bit:sub(1, 1):upper() or "")
	end
	return text
end
local p, q = quire.process(), quire.process()
local f = quire.shmem { size = "64K" }
local a = p:mmap { length = "64K", prot = "rw", shared = true, file = f }
local second = p:mmap { length = "64K", prot = "rw", shared = true, file = f }
local b = q:mmap { length = "64K", prot = "rw", shared = true, file = f }
local u, v = p:userfaultfd {}, q:userfaultfd {}
check(u:register(a, "64K", { "wp" }))
check(v:register(b, "64K", { "wp" }))
for i = 0, 3 do
	check(p:write(a + i * K, "page" .. i))
	check(q:touch(b + i * K, "r"))
end
local function report(at)
	return { event = "pagefault", address = at, write = true, wp = true, minor = false }
end

-- Only this mapping of this process.
check(u:writeprotect(a, 4 * K, true))
check.eq({ look(p, a), look(p, second), look(q, b) }, { "PFU", "", "PF" })
check(q:write(b, "by q"))
check(p:write(second + K, "by 2"))
check.eq(look(p, a), "PFU")
check.page(p, a, "by q")
check.page(p, a + K, "by 2")
check.fails("EAGAIN", u:read())
check.fails("EAGAIN", v:read())
check.fails("blocked", p:write(a, "by p"))
check.eq(u:read(), report(a))
check.fails("EAGAIN", v:read())

-- Both: each resolves its own.
check(v:writeprotect(b, 4 * K, true))
check.fails("blocked", q:write(b, "again"))
check.eq(v:read(), report(b))
check(u:writeprotect(a, K, false))
check.eq(p:thread_result(), true)
check.eq(q:thread():read(b, 4), "by p")
check.eq(look(q, b), "PFU")
check(v:writeprotect(b, K, false))
check.eq(q:thread_result(), true)
check.page(p, a, "again")

-- A hole takes the page from both, and leaves both marks.
check(f:punch(2 * K, K))
check.eq({ look(p, a + 2 * K), look(q, b + 2 * K) }, { "SU", "SU" })
check(u:writeprotect(a + 2 * K, K, false))
check.eq({ look(p, a + 2 * K), look(q, b + 2 * K) }, { "", "SU" })
check(p:write(a + 2 * K, "filled"))
check.eq({ look(p, a + 2 * K), look(q, b + 2 * K) }, { "PFE", "SU" })
check.page(q, b + 2 * K, "filled")
check.eq(look(q, b + 2 * K), "PFU")

-- One ends; the other's protection stays.
p:exit()
check.eq(look(q, b + 3 * K), "PFUE")
check.fails("blocked", q:write(b + 3 * K, "x"))
check.eq(v:read(), report(b + 3 * K))
v:close()
check.eq(q:thread_result(), true)
check.page(q, b + 3 * K, "xage3")

-- A private mapping's copy is nobody's business.
local r = quire.process()
local w = r:userfaultfd {}
local c = r:mmap { length = "64K", prot = "rw", file = f }
check(w:register(c, "64K", { "wp" }))
check(r:touch(c + 3 * K, "r"))
check(w:writeprotect(c + 3 * K, K, true))
check(q:write(b + 3 * K, "shared"))
check.page(r, c + 3 * K, "shared")
check.fails("blocked", r:write(c + 3 * K, "mine"))
check(w:writeprotect(c + 3 * K, K, false))
check.eq(r:thread_result(), true)
check.page(q, b + 3 * K, "shared")
check.page(r, c + 3 * K, "mineed")
