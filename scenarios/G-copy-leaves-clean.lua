-- G: a page that was copied in and left clean.  Nobody else has its content; clean and write-protected, or in read-only memory, it will not become
-- dirty by itself, and reclaim may throw it away.
local K <const> = 4096
local p = quire.process()
for _, case in ipairs { { prot = "rw", wp = true }, { prot = "rw", wp = false }, { prot = "r", wp = true }, { prot = "r", wp = false } } do
	local a = p:mmap { length = "4K", prot = case.prot }
	local u = p:userfaultfd {}
	check(u:register(a, "4K", { "missing", "wp" }))
	check.eq(u:copy(a, ("c"):rep(K), { wp = case.wp }), K)
	check.eq({ p:smaps(a).Private_Dirty, p:smaps(a).Private_Clean }, { K, 0 })
	check(p:madvise(a, "4K", "pageout"))
	check.page(p, a, "cccc")
	u:close()
end
