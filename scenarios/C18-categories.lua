-- C18, D3: categories of memory that is not registered. Whether an empty entry is "written" is left out here: it
-- depends on page tables.
local p = quire.process()
local K = 0x1000
local a = p:mmap{ length = "32K", prot = "rw" }
check(p:write(a, ("A"):rep(2 * K)))
check(p:touch(a + 2 * K, "r"))
check(p:madvise(a + 3 * K, K, "guard_install"))
check(p:mprotect(a + K, K, "none"))

local function page(n)
	return table.concat(p:scan{ start = a + n * K, length = K }[1].categories, "+")
end

check.eq(page(0), "written+present")
check.eq(page(1), "written+present")
check.eq(page(2), "written+present+pfnzero")
check.eq(page(3), "written+swapped+guard")
check.pagemap(p, a + 3 * K, { present = false, swapped = true, guard = true })

-- After a fork both are as before.
local c = p:fork()
check.eq(table.concat(c:scan{ start = a, length = K }[1].categories, "+"), "written+present")
check.eq(page(0), "written+present")

-- A process can be scanned that is not running, and one that has no memory there.
check.eq({ c:scan{ start = 0x10000, length = K } }, { {}, 0x11000 })
