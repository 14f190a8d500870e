-- D3: pagemap, mincore, smaps and the entries tell the same.
quire.setup { memory = "64M" }
local p = quire.process()
local pages = 64
local a = p:mmap { length = pages * 4096, prot = "rw" }

-- A pattern of everything that a private page can be.
for i = 0, pages - 1 do
	local at = a + i * 4096
	local what = i * 7 % 6
	if what == 1 then
		p:read(at, 1)
	elseif what >= 2 then
		p:write(at, "page")
	end
	if what == 3 then
		p:madvise(at, "4K", "guard_install")
	elseif what == 4 then
		p:mprotect(at, "4K", "none")
	elseif what == 5 then
		p:mprotect(at, "4K", "r")
	end
end
local c = p:fork()
for i = 0, pages - 1, 5 do
	c:write(a + i * 4096, "child")
end

for _, q in ipairs { p, c } do
	local map = q:pagemap(a, pages)
	local core = q:mincore(a, pages * 4096)
	local rss, exclusive = 0, 0
	check.eq(#core, pages)
	for i = 1, pages do
		check.eq(core[i], map[i].present or map[i].guard and core[i], "page " .. i)
		if quire.target == "quire" then
			local entry = q:entry(a + (i - 1) * 4096)
			check.eq(entry.kind == "leaf", map[i].present)
			check.eq(entry.kind == "guard", map[i].guard)
			check.eq(entry.uffd_wp, map[i].uffd_wp)
			rss = rss + (entry.kind == "leaf" and not entry.special and 4096 or 0)
			exclusive = exclusive + (map[i].exclusive and 4096 or 0)
		end
	end
	local sum = { Rss = 0, Private = 0, Size = 0 }
	for _, vma in ipairs(q:maps()) do
		local s = q:smaps(vma.start)
		sum.Rss = sum.Rss + s.Rss
		sum.Private = sum.Private + s.Private_Clean + s.Private_Dirty
		sum.Size = sum.Size + s.Size
		check.eq(s.Rss, s.Private_Clean + s.Private_Dirty + s.Shared_Clean + s.Shared_Dirty)
		check.eq(s.Anonymous, s.Rss)
		check.eq(s.VmFlags, vma.flags)
	end
	check.eq(sum.Size, pages * 4096)
	check.eq(sum.Rss, q:rss().anon)
	if quire.target == "quire" then
		check.eq(sum.Rss, rss)
		check.eq(sum.Private, exclusive)
	end
end

-- mincore's errors.
check.fails("EINVAL", p:mincore(a + 1, 4096))
check.eq(p:mincore(a, 0), {})
check.eq(#p:mincore(a, 1), 1)
p:munmap(a + 0x2000, "4K")
check.fails("ENOMEM", p:mincore(a, 5 * 4096))
check.fails("ENOMEM", p:mincore(a + 0x2000, 4096))
check.fails("ENOMEM", p:mincore(1 << 47, 4096))
