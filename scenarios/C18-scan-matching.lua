-- C18: finding what was written since, and protecting it again, in one call.
local p = quire.process()
local K = 0x1000
local a = p:mmap{ length = "16K", prot = "rw" }
local u = p:userfaultfd{ features = { "wp_async" } }
check(p:write(a, "A"))
check(p:write(a + 2 * K, "C"))
check(u:register(a, "16K", { "wp" })) -- A . C .

local function region(first, pages, ...)
	return { start = a + first * K, length = pages * K, categories = { ... } }
end
local function written(options)
	local scan = { start = a, length = "16K", mask = { "written" } }
	for name, value in pairs(options or {}) do
		scan[name] = value
	end
	return p:scan(scan)
end
local again = { wp = true, check_wpasync = true }

-- In the beginning everything is written.
local all = {
	region(0, 1, "wpallowed", "written", "present"), region(1, 1, "wpallowed", "written"),
	region(2, 1, "wpallowed", "written", "present"), region(3, 1, "wpallowed", "written"),
}
check.eq({ p:scan{ start = a, length = "16K" } }, { all, a + 4 * K })
check.eq({ written() }, { all, a + 4 * K })
check.eq({ written(again) }, { all, a + 4 * K })
check.pagemap(p, a, { present = true, uffd_wp = true })
check.pagemap(p, a + K, { present = false, swapped = true, uffd_wp = true })

-- Nothing since.
check.eq({ written(again) }, { {}, a + 4 * K })
check.eq({ written() }, { {}, a + 4 * K })

-- Looking changes nothing; taking does.
check(p:write(a + 2 * K, "x"))
check.eq(written(), { region(2, 1, "wpallowed", "written", "present") })
check(p:write(a + K, "y"))
check.eq(written(again), { region(1, 2, "wpallowed", "written", "present") })
check.eq(written(again), {})

-- A read of what was empty is no write.
check.eq(p:read(a + 3 * K, 1), "\0")
check.eq(written(), {})
check.pagemap(p, a + 3 * K, { present = true, uffd_wp = true })

-- Without an array it only protects.
check(p:write(a, "z"))
check.eq({ written{ wp = true, vec_len = 0 } }, { {}, a + 4 * K })
check.eq(written(), {})

-- Without a filter everything is protected, and all is told as it was before.
check(p:write(a, "z"))
check(p:madvise(a + K, K, "dontneed"))
check.eq(p:scan{ start = a, length = 2 * K, wp = true, check_wpasync = true },
	{ region(0, 1, "wpallowed", "written", "present"), region(1, 1, "wpallowed", "written") })
check.pagemap(p, a, { uffd_wp = true })
check.pagemap(p, a + K, { present = false, uffd_wp = true })

-- Where no page table is.
local b = p:mmap{ length = "1G", prot = "rw", noreserve = true } + (512 << 20)
check(u:register(b, "8K", { "wp" }))
local empty = { { start = b, length = 2 * K, categories = { "wpallowed", "written" } } }
check.eq(p:scan{ start = b, length = "8K" }, empty)
check.eq(p:scan{ start = b, length = "8K", mask = { "written" }, wp = true }, empty)
check.pagemap(p, b, { present = false, swapped = true, uffd_wp = true })
check(p:write(b, "x"))
check.eq(p:scan{ start = b, length = "8K", mask = { "written" } },
	{ { start = b, length = K, categories = { "wpallowed", "written", "present" } } })
