-- C9: set a bit, move the page through something, look: what a page is known by outlives every way in which its entry is rewritten. One table of
-- kinds of memory × ways × bits; both targets must agree on all of it, and what must hold whatever they say is checked.
quire.setup { swap = "64M" }
local K <const> = 0x1000

-- Each has six pages: protected; plain; a marker (or nothing); a guard; poison; written again after it was protected and released.
local PROTECTED <const>, PLAIN <const>, MARKER <const>, GUARD <const>, POISON <const>, RELEASED <const> = 0, 1, 2, 3, 4, 5
local PAGES <const> = 6

local kinds = {
	anon = {},
	shared = { file = true, shared = true },
	private = { file = true }, -- pages of the file, which the process has only read
	copied = { file = true, copied = true }, -- private copies of them
}

local function look(p, a)
	local page, text = p:pagemap(a), ""
	for _, bit in ipairs { "present", "swapped", "file", "uffd_wp", "exclusive", "guard" } do
		text = text .. (page[bit] and bit:sub(1, 1):upper() or "")
	end
	return text
end

local function content(kind, i)
	return (kind == "private" and "file" or "page") .. i
end

local function make(kind, options)
	local made = { p = quire.process(), kind = kind }
	local p, k = made.p, kinds[kind]
	if k.file then
		made.f = quire.shmem { size = PAGES * K }
		for i = 0, PAGES - 1 do
			check(made.f:write(i * K, "file" .. i))
		end
	end
	made.a = p:mmap { length = PAGES * K, prot = "rw", shared = k.shared, file = made.f }
	local a = made.a
	made.u = p:userfaultfd { features = { "wp_unpopulated", "poison", table.unpack(options or {}) } }
	check(made.u:register(a, PAGES * K, { "wp" }))
	for _, i in ipairs { PROTECTED, PLAIN, RELEASED } do
		if kind == "private" then
			check(p:read(a + i * K, 1))
		else
			check(p:write(a + i * K, content(kind, i)))
		end
	end
	check(made.u:writeprotect(a, K, true))
	check(made.u:writeprotect(a + MARKER * K, K, true))
	check(made.u:writeprotect(a + RELEASED * K, K, true))
	check(made.u:writeprotect(a + RELEASED * K, K, false))
	check(p:madvise(a + GUARD * K, K, "guard_install"))
	made.poisoned = made.u:poison(a + POISON * K, K) == K
	return made
end

-- Pages in swap, or back in memory.
local function pageout(m)
	check(m.p:madvise(m.a, PAGES * K, "pageout"))
end
local function each_page(m, act)
	for _, i in ipairs { PROTECTED, PLAIN, RELEASED } do
		act(m.a + i * K)
	end
end

local ways = {
	{ "nothing", function() end },
	{ "pageout", pageout },
	{ "pageout, read", function(m) pageout(m) each_page(m, function(a) check(m.p:touch(a, "r")) end) end },
	{ "pageout, read by the kernel", function(m) pageout(m) each_page(m, function(a) check(m.p:syscall_read(a, 1)) end) end },
	{ "pageout, write beside it", function(m) pageout(m) check(m.p:write(m.a + PLAIN * K, content(m.kind, PLAIN))) end },
	{ "pageout, pageout", function(m) pageout(m) each_page(m, function(a) m.p:touch(a, "r") end) pageout(m) end },
	{ "pageout, willneed", function(m) pageout(m) check(m.p:madvise(m.a, PAGES * K, "willneed")) end, swapped = true },
	{ "mprotect", function(m) check(m.p:mprotect(m.a, PAGES * K, "r")) check(m.p:mprotect(m.a, PAGES * K, "rw")) end },
	{ "mprotect none", function(m) check(m.p:mprotect(m.a, PAGES * K, "none")) check(m.p:mprotect(m.a, PAGES * K, "rw")) end },
	{ "pageout, mprotect", function(m) pageout(m) check(m.p:mprotect(m.a, PAGES * K, "r")) check(m.p:mprotect(m.a, PAGES * K, "rw")) end },
	{ "fork", function(m) m.child = m.p:fork() end },
	{ "fork, exit", function(m) m.p:fork():exit() end },
	{ "pageout, fork", function(m) pageout(m) m.child = m.p:fork() end },
	{ "pageout, fork, read there, exit", function(m)
		pageout(m)
		local c = m.p:fork()
		each_page(m, function(a) check(c:touch(a, "r")) end)
		c:exit()
	end },
	{ "fork, pageout, write there", function(m)
		local c = m.p:fork()
		pageout(m)
		if m.kind ~= "shared" then
			each_page(m, function(a) check(c:write(a, "there")) end)
		end
		c:exit()
	end },
	{ "mremap", function(m)
		local to = m.p:mmap { length = PAGES * K, prot = "none" }
		check.eq(m.p:mremap(m.a, PAGES * K, PAGES * K, { maymove = true, fixed = to }), to)
		m.a, m.unregistered = to, true
	end },
	{ "pageout, mremap", function(m)
		pageout(m)
		local to = m.p:mmap { length = PAGES * K, prot = "none" }
		check.eq(m.p:mremap(m.a, PAGES * K, PAGES * K, { maymove = true, fixed = to }), to)
		m.a, m.unregistered = to, true
	end },
	{ "pageout, mremap with the event", function(m)
		pageout(m)
		local to = m.p:mmap { length = PAGES * K, prot = "none" }
		local t = m.p:thread()
		check.fails("blocked", t:mremap(m.a, PAGES * K, PAGES * K, { maymove = true, fixed = to }))
		check.eq(m.u:read(), { event = "remap", from = m.a, to = to, length = PAGES * K })
		check.eq(t:result(), to)
		m.a = to
	end, options = { "event_remap" } },
	{ "dontneed", function(m) check(m.p:madvise(m.a, PAGES * K, "dontneed")) m.dropped = m.kind == "anon" or m.kind == "copied" end },
	{ "pageout, dontneed", function(m) pageout(m) check(m.p:madvise(m.a, PAGES * K, "dontneed")) m.dropped = m.kind == "anon" or m.kind == "copied" end },
	{ "punch", function(m) if m.f then check(m.f:punch(0, PAGES * K)) end m.punched = m.f end },
	{ "pageout, punch", function(m) pageout(m) if m.f then check(m.f:punch(0, PAGES * K)) end m.punched = m.f end },
	{ "pageout, allocate", function(m) pageout(m) if m.f then check(m.f:allocate(0, PAGES * K)) end end },
	{ "cold", function(m) check(m.p:madvise(m.a, PAGES * K, "cold")) end },
	{ "swapoff", function(m) pageout(m) check(quire.swapoff()) end, last = true },
}

local function lost(m)
	return m.dropped or (m.punched and (m.kind == "shared" or m.kind == "private"))
end

local function expected(m, i)
	if m.dropped then
		return m.kind == "anon" and "\0\0\0\0\0" or "file" .. i
	end
	return lost(m) and "\0\0\0\0\0" or content(m.kind, i)
end

local function examine(m, name)
	local p, a, u = m.p, m.a, m.u
	local what = name .. ", " .. m.kind
	for i = 0, PAGES - 1 do
		look(p, a + i * K)
	end
	local smaps = p:smaps(a)
	if m.kind == "shared" or m.kind == "copied" then
		check(smaps.Shared_Clean ~= nil, what) -- the fields are compared between the targets
	end
	local protected = not m.unregistered and not (m.dropped and m.kind == "anon") and not (m.dropped and m.kind == "copied" and not look(p, a):find("U"))
	check.eq(look(p, a):find("U") ~= nil, protected, what .. ": protected")
	check.eq(look(p, a + PLAIN * K):find("U"), nil, what .. ": plain")
	check.eq(look(p, a + RELEASED * K):find("U"), nil, what .. ": released")
	-- The content, and what a write does.
	for _, i in ipairs { PROTECTED, PLAIN, RELEASED } do
		check.eq(p:read(a + i * K, 5), expected(m, i), what .. ": content of page " .. i)
		look(p, a + i * K)
	end
	if m.child then
		for _, i in ipairs { PROTECTED, PLAIN, RELEASED } do
			check.eq(m.child:read(a + i * K, 5), expected(m, i), what .. ": the child's page " .. i)
			check.eq(look(m.child, a + i * K):find("U"), nil, what .. ": the child's bits")
		end
		check(m.child:write(a, "other"))
	end
	if protected then
		check.fails("blocked", p:write(a, "w"))
		check.eq(u:read(), { event = "pagefault", address = a, write = true, wp = true, minor = false }, what)
		check(u:writeprotect(a, K, false))
		check.eq(p:thread_result(), true, what)
	else
		check(p:write(a, "w"), what)
	end
	check(p:write(a + PLAIN * K, "w"), what)
	check(p:write(a + RELEASED * K, "w"), what)
	check.fails("EAGAIN", u:read())
	-- Guards and poison.
	local guard, why = p:read(a + GUARD * K, 1)
	check.eq(why, "SEGV", what .. ": guard")
	if m.poisoned and not (m.dropped and m.kind) then
		local poison, cause = p:read(a + POISON * K, 1)
		check.eq(poison ~= nil or cause == "BUS", true, what .. ": poison")
	end
end

for _, way in ipairs(ways) do
	local made = {}
	for _, kind in ipairs { "anon", "shared", "private", "copied" } do
		local m = make(kind, way.options)
		if way.last then
			made[#made + 1] = m
			pageout(m)
		else
			way[2](m)
			examine(m, way[1])
			m.p:exit()
		end
	end
	if way.last then -- once, for all of them
		check(quire.swapoff())
		for _, m in ipairs(made) do
			examine(m, way[1])
		end
	end
end
