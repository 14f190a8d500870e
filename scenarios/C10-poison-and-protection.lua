-- C10: a protected poison of shared memory keeps its mark when nobody is registered any more, and loses it with the poison; while somebody is, the mark stays.
local K <const> = 4096
local function marks(p, a)
	local page = p:pagemap(a)
	return (page.swapped and "S" or "") .. (page.uffd_wp and "U" or "")
end
for _, leave in ipairs { "close", "unregister", "stay" } do
	for _, way in ipairs { "dontneed", "truncate", "remove" } do
		local name = leave .. ", " .. way
		local p = quire.process()
		local f = quire.shmem { size = 2 * K }
		local a = p:mmap { length = 2 * K, prot = "rw", shared = true, file = f }
		local u = p:userfaultfd { features = { "wp_async" } }
		check(u:register(a, 2 * K, { "wp" }))
		check(u:poison(a, 2 * K))
		p:scan { start = a + K, length = K, wp = true }
		if leave == "close" then
			u:close()
		elseif leave == "unregister" then
			check(u:unregister(a, 2 * K))
		end
		check.eq(marks(p, a + K), "SU", name)
		if way == "truncate" then
			check(f:truncate(0))
			check(f:truncate(2 * K))
		else
			check(p:madvise(a, 2 * K, way))
		end
		-- A punched hole leaves poison as it is.
		check.eq(marks(p, a), way == "remove" and "S" or "", name)
		check.eq(marks(p, a + K), (way == "remove" or leave == "stay") and "SU" or "", name)
	end
end
