-- B2: what registering file memory answers, for each mode and each kind.
local K <const> = 0x1000
local missing = { wake = true, copy = true, zeropage = true, move = true, poison = true }
local function with(set, name)
	local copy = { [name] = true }
	for key in pairs(set) do
		copy[key] = true
	end
	return copy
end
local minor = { wake = true, copy = true, zeropage = true, move = true, poison = true, continue = true }
local p = quire.process()
local f = quire.shmem { size = "64K" }
local kinds = {
	shared = { shared = true, file = f },
	private = { file = f },
	anonshared = { shared = true },
}
for _, name in ipairs { "shared", "private", "anonshared" } do
	local kind = kinds[name]
	local a = p:mmap { length = "64K", prot = "rw", shared = kind.shared, file = kind.file }
	local u = p:userfaultfd {}
	local function flags()
		return p:smaps(a).VmFlags:match("um") or "-", p:smaps(a).VmFlags:match("uw") or "-", p:smaps(a).VmFlags:match("ui") or "-"
	end
	check.eq(u:register(a, "64K", { "missing" }), missing, name)
	check.eq({ flags() }, { "um", "-", "-" })
	check.eq(u:register(a, "64K", { "wp" }), with(missing, "writeprotect"), name)
	check.eq({ flags() }, { "-", "uw", "-" })
	check.eq(u:register(a, "64K", { "minor" }), minor, name)
	check.eq({ flags() }, { "-", "-", "ui" })
	check.eq(u:register(a, "64K", { "missing", "wp", "minor" }), with(minor, "writeprotect"), name)
	check.eq({ flags() }, { "um", "uw", "ui" })
	check.eq(u:register(a, "64K", { "missing", "minor" }), minor, name)
	check.eq({ flags() }, { "um", "uw", "ui" }) -- what is registered for more stays so
	check(u:unregister(a, "64K"))
	check(u:register(a, "64K", { "missing", "minor" }))

	-- In part: the VMA splits, and is one again afterwards.
	local whole = #p:maps()
	check(u:unregister(a + 4 * K, 4 * K))
	check.eq(#p:maps(), whole + 2, name)
	check(u:register(a + 4 * K, 4 * K, { "missing", "minor" }))
	check.eq(#p:maps(), whole, name)
	check(u:unregister(a, "64K"))
	check.eq({ flags() }, { "-", "-", "-" })

	check.fails("EINVAL", u:register(a, "64K", 0))
	check.fails("EINVAL", u:register(a, "64K", 8))
	check.fails("EINVAL", u:register(a + 1, "64K", { "missing" }))
	local v = p:userfaultfd {}
	check(u:register(a, K, { "wp" }))
	check.fails("EBUSY", v:register(a, "64K", { "missing" }))
	u:close()
	check(v:register(a, "64K", { "missing" }))
	v:close()
	check(p:munmap(a, "64K"))
end

-- Permissions are no obstacle, the lack of pages neither.
local u = p:userfaultfd {}
local a = p:mmap { length = "64K", prot = "none", shared = true, file = f, offset = "1M" }
check(u:register(a, "64K", { "missing", "wp", "minor" }))
-- Anonymous private memory has nothing that a minor fault could find.
local b = p:mmap { length = "64K", prot = "rw" }
check.fails("EINVAL", u:register(b, "64K", { "minor" }))
check.fails("EINVAL", u:register(b, "64K", { "missing", "minor" }))
