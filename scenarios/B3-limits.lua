-- B3, B7, C1: what a request may name ends where the user's addresses do, and does not wrap around; then nothing
-- is looked at, and the output field is left alone.  The range that is acted on is whole pages; the
-- source of COPY may begin anywhere.  What is not mapped in the last page is another error.
local K <const> = 4096
local END <const> = 0x7ffffffff000
local p = quire.process()
local a = p:mmap{ length = 8 * K, prot = "rw" }
local source = p:mmap{ length = 4 * K, prot = "rw" }
local u = p:userfaultfd{ features = { "move", "wp_unpopulated", "poison" } }
local v = p:userfaultfd{}
check(p:write(source, ("S"):rep(4 * K)))
check(u:register(a, 8 * K, { "missing", "wp" }))

local REFUSED <const> = { nil, "EINVAL", 0 }

-- Ranges that no request accepts, as bytes from `start`.
local bad = {
	{ END, K }, { END - K, 2 * K }, { END + K, K }, { 0, END + K }, { K, END },
	{ 1 << 47, K }, { (1 << 47) - K, K }, { 1 << 48, K }, { 1 << 62, K },
	{ 1 << 63, 2 * K }, { K, 1 << 63 }, { -(1 << 47), K }, { -K, K }, { -K, 2 * K }, { -2 * K, K },
	{ K, -K }, { -1, K }, { END - K, 0 }, { 0, 0 }, { -K, 0 },
}
-- And those that only the sources of COPY may be.
local unaligned = { { 1, K }, { K, 1 }, { K, K + 1 }, { END - K + 1, K } }

local function refused_everywhere(start, n)
	local at = ("%x + %x"):format(start, n)

	check.eq({ u:copy(start, source, n) }, REFUSED, at)
	check.eq({ u:move(start, source, n) }, REFUSED, at)
	check.eq({ u:move(a, start, n) }, REFUSED, at)
	check.eq({ u:zeropage(start, n) }, REFUSED, at)
	check.eq({ u:poison(start, n) }, REFUSED, at)
	check.eq({ u:continue(start, n) }, REFUSED, at)
	check.fails("EINVAL", u:writeprotect(start, n, true))
	check.fails("EINVAL", u:writeprotect(start, n, false))
	check.fails("EINVAL", u:wake(start, n))
	check.fails("EINVAL", v:register(start, n, { "missing" }))
	check.fails("EINVAL", v:unregister(start, n))
end

for _, range in ipairs(bad) do
	refused_everywhere(range[1], range[2])
	check.eq({ u:copy(a, range[1], range[2]) }, REFUSED)
end
for _, range in ipairs(unaligned) do refused_everywhere(range[1], range[2]) end

-- A source that reaches beyond the end by a byte, and one that ends there, where nothing is mapped.
check.eq({ u:copy(a, END - K + 1, K) }, REFUSED)
check.eq({ u:copy(a, END - 1, K) }, REFUSED)
check.eq({ u:copy(a, 0, K) }, { nil, "EFAULT", -14 })
check.eq({ u:copy(a, 1, K) }, { nil, "EFAULT", -14 })
check.eq({ u:move(a, 0, K) }, { nil, "ENOENT", -2 })
check.eq({ u:copy(0, source, K) }, { nil, "ENOENT", -2 })
check.eq({ u:zeropage(0, K) }, { nil, "ENOENT", -2 })
check.eq({ u:poison(0, K) }, { nil, "ENOENT", -2 })
check.fails("ENOENT", u:writeprotect(0, K, true))
check(u:wake(0, K))
check(u:wake(END - K, K))
check(u:wake(0, END))
check.fails("EINVAL", v:register(0, K, { "missing" }))
check.fails("EINVAL", v:unregister(0, K))

-- A mode that is wrong is no better than a range that is, and nothing was done.
check.eq({ u:copy(a, END, K, { mode = 4 }) }, REFUSED)
check.pagemap(p, a, { present = false, uffd_wp = false })
