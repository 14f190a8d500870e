-- E3: what is told of device memory, whose leaves are of 4K, 2M and 1G: the whole leaf where the whole of it
-- changes, the part where it is cut for that; cutting by itself is not told.
if quire.target ~= "quire" then
	quire.skip("library: only it tells notifiers")
end
local K4, M2, G1 = 4096, 2 << 20, 1 << 30
local p = quire.process()
local n = p:notifier()

local function hears(what, base, ...)
	local messages, brackets = n:read_all(), {}
	for i = 1, #messages, 2 do
		local one, two = messages[i], messages[i + 1]
		check(one.begin and two and not two.begin, "begin, then end")
		check.eq({ one.start, one.finish, one.why }, { two.start, two.finish, two.why })
		table.insert(brackets, { one.start - base, one.finish - base, one.why })
	end
	check.eq(brackets, { ... }, what)
end

local sizes = { { "4K", K4, 0 }, { "2M", M2, 1 }, { "1G", G1, 2 } }
for _, size in ipairs(sizes) do
	local name, page, level = table.unpack(size)
	for _, kind in ipairs{ "dax", "fsdax", "pfn" } do
		local function what(text)
			return kind .. " " .. name .. ": " .. text
		end
		local f = quire.device{ kind = kind, page = name, size = 4 * page }
		-- At an address where the largest leaf fits.
		local a = p:mmap{ length = 4 * page, prot = "rw", shared = true, file = f, fixed = true,
			address = 64 << 30 }
		check.eq(a, 64 << 30)
		for i = 0, 3 do
			p:write(a + i * page, "x")
			check.eq(p:entry(a + i * page).level, level)
		end
		hears(what("leaves come"), a)

		p:mprotect(a + page, 2 * page, "r")
		hears(what("read-only"), a, { page, 3 * page, "protect" })
		p:mprotect(a + page, 2 * page, "none")
		hears(what("none"), a, { page, 3 * page, "protect" })
		p:mprotect(a + page, 2 * page, "rw")
		hears(what("back"), a, { page, 3 * page, "protect" })

		-- A shared mapping keeps write permission in both.
		local child = p:fork()
		hears(what("fork"), a)
		child:exit()

		if page > K4 and kind == "dax" then
			check.fails("EINVAL", p:mprotect(a + page + K4, K4, "r"))
			check.fails("EINVAL", p:munmap(a + page + K4, K4))
			hears(what("a part is refused"), a)
			p:madvise(a + page, page // 2, "dontneed")
			hears(what("half of it named, all goes"), a, { page, 2 * page, "clear" })
			p:write(a + page, "x")
		elseif page > K4 then
			p:mprotect(a + page + K4, K4, "r")
			hears(what("a part is protected"), a, { page + K4, page + 2 * K4, "protect" })
			check.eq(p:entry(a + page + K4).level, 0)
			p:mprotect(a + page + K4, K4, "rw")
			hears(what("and again"), a, { page + K4, page + 2 * K4, "protect" })
			p:munmap(a + 2 * page + K4, K4)
			hears(what("a part is unmapped"), a, { 2 * page + K4, 2 * page + 2 * K4, "unmap" })
			p:munmap(a + 2 * page, page)
			hears(what("and the rest"), a, { 2 * page, 3 * page, "unmap" })
		end
		if kind ~= "pfn" then
			local u = p:userfaultfd{ features = { "wp_async" } }
			u:register(a, page, { "wp" })
			hears(what("registered"), a)
			p:scan{ start = a, length = page, mask = { "written" }, vec_len = 1, wp = true }
			hears(what("scanned"), a, { 0, page, "protect" })
			check.eq(p:entry(a).level, level)
			p:write(a, "y")
			hears(what("a fault releases"), a)
			u:close()
			n:read_all()
		end
		p:mremap(a + 3 * page, page, page, { maymove = true, fixed = 128 << 30 })
		hears(what("moved"), a, { 3 * page, 4 * page, "unmap" })
		if kind == "fsdax" then
			f:truncate(0)
			hears(what("cut off"), a, { 64 << 30, (64 << 30) + page, "clear" },
				{ 0, (page == K4 and 3 or 2) * page, "clear" })
		end
		p:munmap(a, 128 << 30)
		n:read_all()
		f:close()
	end
end

-- Private memory of a device: a write copies 4K from it, and takes away as much.
local f = quire.device{ kind = "fsdax", page = "2M", size = "4M" }
local a = p:mmap{ length = "4M", prot = "rw", file = f, fixed = true, address = 64 << 30 }
p:read(a, 1)
check.eq(p:entry(a).level, 1)
hears("a private leaf comes", a)
p:write(a + 5 * K4, "x")
hears("one page is copied", a, { 5 * K4, 6 * K4, "clear" })
p:madvise(a, 4 * K4, "dontneed")
hears("of what was cut", a, { 0, 4 * K4, "clear" })
p:exit()
hears("exit", a, { 4 * K4, M2, "unmap" })
n:close()
