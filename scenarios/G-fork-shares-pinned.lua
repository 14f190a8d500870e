-- G: a page that is pinned is shared by a fork like any other.  Then the parent's next write makes a copy, and whoever has the pin goes on with a page that
-- is nobody's.
local p = quire.process()
local a = p:mmap { length = "8K", prot = "rw" }
check(p:write(a, "old"))
local pin = p:pin(a, "4K")
local c = p:fork()
check.pagemap(p, a, { present = true, exclusive = true })
check.pagemap(c, a, { present = true, exclusive = true })
check(p:write(a, "new"))
check.page(c, a, "old")
check(pin:release())
