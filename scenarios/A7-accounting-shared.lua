-- A7: what shared and file memory counts as, in memory and in swap.
quire.setup { swap = "64M" }
local K <const> = 0x1000
local p = quire.process()
local f = quire.shmem { size = "64K" }
local function rss(q)
	local r = q:rss()
	return r.anon // K .. "a " .. r.shmem // K .. "s " .. r.file // K .. "f " .. r.swap // K .. "w"
end
check.eq(rss(p), "0a 0s 0f 0w")

local s = p:mmap { length = "64K", prot = "rw", shared = true, file = f }
for i = 0, 3 do
	check(p:write(s + i * K, "page"))
end
check.eq(rss(p), "0a 4s 0f 0w")
local n = p:mmap { length = "64K", prot = "rw", shared = true }
check(p:write(n, "page"))
check.eq(rss(p), "0a 5s 0f 0w")
local v = p:mmap { length = "64K", prot = "rw", file = f }
check(p:madvise(v, 2 * K, "populate_read"))
local around = p:smaps(v).Rss // K -- a read may map neighbours
check.eq(rss(p), "0a " .. 5 + around .. "s 0f 0w")
check(p:write(v, "copy"))
check.eq(rss(p), "1a " .. 4 + around .. "s 0f 0w")
check(p:munmap(v, "64K"))

-- Another process that maps the pages makes them shared, in smaps too.
local q = quire.process()
local t = q:mmap { length = "8K", prot = "rw", shared = true, file = f }
check.eq(rss(q), "0a 0s 0f 0w")
check(q:touch(t, "w"))
check(q:touch(t + K, "w"))
check.eq(rss(q), "0a 2s 0f 0w")
local smaps = p:smaps(s)
check.eq({ smaps.Rss // K, smaps.Pss // K, smaps.Shared_Dirty // K, smaps.Private_Dirty // K, smaps.Anonymous }, { 4, 3, 2, 2, 0 })
check.pagemap(p, s, { present = true, file = true, exclusive = false })
check.pagemap(p, s + 2 * K, { present = true, file = true, exclusive = true })
q:exit()
check.pagemap(p, s, { present = true, file = true, exclusive = true })
check.eq(p:smaps(s).Private_Dirty, 4 * K)

-- In swap: a page of a file counts where its mapping could have it.
local a = p:mmap { length = "64K", prot = "rw" }
check(p:write(a, "anon"))
check(p:madvise(a, K, "pageout"))
check.eq(rss(p), "0a 5s 0f 1w")
check.eq({ p:smaps(a).Swap, p:smaps(a).SwapPss, p:smaps(a).Rss }, { K, K, 0 })
check(p:madvise(s, 2 * K, "pageout"))
check.eq(rss(p), "0a 3s 0f 3w")
check.eq({ p:smaps(s).Swap, p:smaps(s).SwapPss, p:smaps(s).Rss }, { 2 * K, 0, 2 * K })
q = quire.process()
t = q:mmap { length = "4K", prot = "rw", shared = true, file = f, offset = K }
check.eq(rss(q), "0a 0s 0f 1w")
local c = p:fork()
check.eq(c:smaps(a).SwapPss, K // 2)
c:exit()
check.page(p, s, "page")
check.eq(rss(p), "0a 4s 0f 2w")
check(quire.swapoff())
check.eq(rss(p), "1a 4s 0f 0w")

-- Size and locked pages.
check.eq(p:smaps(s).Size, 16 * K)
check(p:mlock(s, 4 * K))
check.eq(p:smaps(s).Locked, p:smaps(s).Pss)
check.eq(p:rss().shmem, 5 * K)
