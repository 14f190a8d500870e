-- B6: close wakes whoever waits, ends the registration, and drops every protection; poison stays.
local p = quire.process()
local K = 0x1000
local a = p:mmap{ length = "64K", prot = "rw" }
check(p:write(a, "zero"))
check(p:touch(a + K, "r"))
local u = p:userfaultfd{ features = { "wp_unpopulated", "poison", "event_remove" } }
check(u:register(a, "64K", { "missing", "wp" }))
check(u:writeprotect(a, 3 * K, true)) -- a page, a page of zeros, a marker
check.eq(u:poison(a + 3 * K, K), K)
check.pagemap(p, a, { present = true, uffd_wp = true })
check.pagemap(p, a + K, { present = true, uffd_wp = true })
check.pagemap(p, a + 2 * K, { present = false, swapped = true, uffd_wp = true })
check.pagemap(p, a + 3 * K, { present = false, swapped = true, uffd_wp = false })

-- One waits for a missing page, one for a protected one, one for its event to be read; of one the report is read.
local t, v, w = p:thread(), p:thread(), p:thread()
check.fails("blocked", p:write(a, "ZERO"))
check.eq(u:read().wp, true)
check.fails("blocked", t:write(a + 4 * K, "four"))
check.fails("blocked", w:write(a + K, "one"))
check.fails("blocked", v:madvise(a + 5 * K, K, "dontneed"))

check(u:close())
check.eq(p:thread_result(), true)
check.eq(t:result(), true)
check.eq(w:result(), true)
check.eq(v:result(), true)
check.page(p, a, "ZERO")
check.page(p, a + K, "one")
check.page(p, a + 4 * K, "four")

check.pagemap(p, a, { present = true, uffd_wp = false })
check.pagemap(p, a + 2 * K, { present = false, swapped = false, uffd_wp = false })
check.eq((" " .. p:smaps(a).VmFlags .. " "):find(" u[mw] "), nil)
check.eq(p:write(a + 2 * K, "two"), true)
check.eq({ p:read(a + 3 * K, 1) }, { nil, "BUS", "ADRERR" })
check.pagemap(p, a + 3 * K, { present = false, swapped = true })
check(p:madvise(a + 3 * K, K, "dontneed"))
check.eq(p:read(a + 3 * K, 1), "\0")
