-- What comes back from swap is clean; it is dirty again when the kernel takes it from its slot's cache to
-- make it one process's own. (BEHAVIOUR A7, A9)
quire.setup{ swap = "16M" }
local K = 4096

-- Of a page: private or shared, dirty or clean; or in swap, or nothing.
local function state(p, m)
	local smaps = p:smaps(m)
	for _, field in ipairs{ "Private_Dirty", "Private_Clean", "Shared_Dirty", "Shared_Clean", "Swap" } do
		if smaps[field] > 0 then
			return field
		end
	end
	return "nothing"
end

-- A page in swap, of a process and perhaps of its child.
local function swapped(steps)
	local p = quire.process()
	local m = p:mmap{ length = K, prot = "rw" }
	p:write(m, "x")
	p:madvise(m, K, "pageout")
	check.eq(state(p, m), "Swap")
	steps(p, m)
	p:exit()
end

local function forked(steps)
	swapped(function(p, m)
		local c = p:fork()
		steps(p, m, c)
		c:exit()
	end)
end

local function protected(steps)
	swapped(function(p, m)
		p:read(m, 1)
		local u = p:userfaultfd{}
		check(u:register(m, K, { "wp" }))
		check(u:writeprotect(m, K, true))
		p:madvise(m, K, "pageout")
		check.eq(state(p, m), "Swap")
		steps(p, m)
		u:close()
	end)
end

-- Read back for one, it is clean whoever reads.
for _, read in ipairs{ "read", "syscall_read" } do
	swapped(function(p, m)
		p[read](p, m, 1)
		check.eq(state(p, m), "Private_Clean")
	end)
	forked(function(p, m, c)
		p:madvise(m, K, "dontneed")
		c[read](c, m, 1)
		check.eq(state(c, m), "Private_Clean")
	end)
end

-- Read ahead, or for another, it is in the cache; a kernel that must have it exclusively takes it out.
forked(function(p, m, c)
	p:madvise(m, K, "dontneed")
	c:madvise(m, K, "willneed")
	c:read(m, 1)
	check.eq(state(c, m), "Private_Clean")
	c:syscall_read(m, 1)
	check.eq(state(c, m), "Private_Dirty")
end)
forked(function(p, m, c)
	p:read(m, 1)
	c:read(m, 1)
	check.eq(state(c, m), "Shared_Clean")
	p:madvise(m, K, "dontneed")
	check.eq(state(c, m), "Private_Clean")
	c:syscall_read(m, 1)
	check.eq(state(c, m), "Private_Dirty")
end)

-- So does a write, also one that stops at the protection then.
protected(function(p, m)
	check.fails("blocked", p:thread():write(m, "z"))
	check.eq(state(p, m), "Private_Clean")
end)
protected(function(p, m)
	p:madvise(m, K, "willneed")
	check.fails("blocked", p:thread():write(m, "z"))
	check.eq(state(p, m), "Private_Dirty")
end)
protected(function(p, m)
	p:madvise(m, K, "willneed")
	p:read(m, 1)
	check.fails("blocked", p:thread():write(m, "z"))
	check.eq(state(p, m), "Private_Clean")
end)

-- Given up and written to again, a page stays the first time that it is to go; so does one that a child
-- gave up.
swapped(function(p, m)
	p:write(m, "a")
	p:madvise(m, K, "free")
	p:write(m, "b")
	p:madvise(m, K, "pageout")
	check.eq(state(p, m), "Private_Dirty")
	p:madvise(m, K, "pageout")
	check.eq(state(p, m), "Swap")
end)
swapped(function(p, m)
	p:write(m, "a")
	local c = p:fork()
	c:madvise(m, K, "free")
	c:exit()
	p:madvise(m, K, "pageout")
	check.eq(state(p, m), "Private_Dirty")
	p:madvise(m, K, "pageout")
	check.eq(state(p, m), "Swap")
end)

-- When swap goes, what is mapped and was in a slot's cache is dirty; what was read for one alone is not.
swapped(function(p, ahead)
	swapped(function(q, alone)
		check(p:madvise(ahead, K, "willneed"))
		p:read(ahead, 1)
		q:read(alone, 1)
		check.eq({ state(p, ahead), state(q, alone) }, { "Private_Clean", "Private_Clean" })
		check(quire.swapoff())
		check.eq({ state(p, ahead), state(q, alone) }, { "Private_Dirty", "Private_Clean" })
	end)
end)
