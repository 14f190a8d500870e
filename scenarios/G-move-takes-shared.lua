-- G: MOVE of a page that others have, too.  Only a page that belongs to one entry alone can change its address; one that is shared since a fork is
-- refused, and stays where it is.
local K <const> = 4096
local p = quire.process()
local from = p:mmap { length = "4K", prot = "rw" }
local gap = p:mmap { length = "4K", prot = "none" }
local to = p:mmap { length = "4K", prot = "rw" }
local u = p:userfaultfd { features = { "move" } }
check(u:register(to, "4K", { "missing" }))
p:write(from, "shared")
local c = p:fork()
check.eq({ u:move(to, from, K) }, { nil, "EBUSY", -16 })
check.pagemap(p, from, { present = true, exclusive = false })
check.pagemap(p, to, { present = false })
check(p:write(from, "parent"))
check.eq(u:move(to, from, K), K)
check.page(p, to, "parent")
check.page(c, from, "shared")
