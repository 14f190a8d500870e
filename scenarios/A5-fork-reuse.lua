-- A5: a page owned by one process only is taken over on write, not copied.
quire.setup { memory = "64M" }
local p = quire.process()
local a = p:mmap { length = "16K", prot = "rw" }
p:write(a, "page")

local function counter(name)
	return quire.target == "quire" and quire.stats()[name] or 0
end
local function frame()
	return quire.target == "quire" and p:entry(a).frame or 0
end

local before, copies = frame(), counter("faults_copy")
p:fork():exit()
check.pagemap(p, a, { present = true, exclusive = true })
check(p:write(a, "mine"), "the child is gone: written in place")
check.eq(frame(), before, "the same frame")
check.eq(counter("faults_copy"), copies, "no copy")

-- While the child lives the write is a copy, and the child keeps the old frame.
local c = p:fork()
check(p:write(a, "copy"))
check.page(c, a, "mine")
if quire.target == "quire" then
	check.eq(counter("faults_copy"), copies + 1)
	check.eq(c:entry(a).frame, before)
	check(p:entry(a).frame ~= before, "another frame")
end
-- And now the child is alone with the old one.
check(c:write(a, "kept"))
check.eq(counter("faults_copy"), quire.target == "quire" and copies + 1 or 0)
check.page(p, a, "copy")

-- A write fault on a page that was forked and then made read-only and writable again.
local d = p:fork()
check(p:mprotect(a, "16K", "r"))
check(p:mprotect(a, "16K", "rw"))
check(p:write(a, "new!"))
check.page(d, a, "copy")
