-- E3: an MMU notifier brackets every change of leaves: begin before the first one, end behind the last, with the
-- exact range; no bracket where nothing changes or a call is refused.
quire.setup{ memory = "64M", swap = "16M" }
local PAGE = 4096
local p = quire.process()
local a = p:mmap{ length = "64K", prot = "rw" }
local n = p:notifier()

-- Each bracket as { first page, page behind the last, why }; begin and end are pairs, never nested.
local function heard()
	local messages, brackets = n:read_all(), {}
	check.eq(#messages % 2, 0, "begin and end are pairs")
	for i = 1, #messages, 2 do
		local one, two = messages[i], messages[i + 1]
		check.eq({ one.begin, two.begin }, { true, false }, "begin, then end")
		check.eq({ one.start, one.finish, one.why }, { two.start, two.finish, two.why })
		table.insert(brackets, { (one.start - a) // PAGE, (one.finish - a) // PAGE, one.why })
	end
	return brackets
end
local function hears(what, ...)
	check.eq(heard(), { ... }, what)
end
local function at(page)
	return a + page * PAGE
end

-- Pages that come are not told; nor is what finds nothing to change.
p:write(at(4), ("x"):rep(4 * PAGE))
hears("pages come")
p:mprotect(at(8), 4 * PAGE, "r")
hears("nothing is there")
p:madvise(at(0), 4 * PAGE, "dontneed")
hears("nothing goes")
check.fails("EINVAL", p:munmap(at(4) + 1, PAGE))
check.fails("ENOMEM", p:mprotect(a + 0x100000, PAGE, "r"))
check.fails("EINVAL", p:madvise(at(4) + 1, PAGE, "dontneed"))
hears("refused")

--	pages   4 5 6 7   are there, of 0 to 15
p:mprotect(at(2), 4 * PAGE, "r")
hears("mprotect", { 4, 6, "protect" })
p:mprotect(at(2), 4 * PAGE, "r")
hears("mprotect once more")
p:mprotect(at(4), 2 * PAGE, "none")
hears("to none", { 4, 6, "protect" })
p:mprotect(at(2), 4 * PAGE, "rw")
hears("and back", { 4, 6, "protect" })
p:mprotect(at(0), 16 * PAGE, "rw")
hears("the rest has it")

-- madvise
p:madvise(at(0), 16 * PAGE, "cold")
hears("cold", { 4, 8, "clear" })
p:madvise(at(0), 16 * PAGE, "cold")
hears("cold already")
p:madvise(at(5), PAGE, "free")
hears("free", { 5, 6, "clear" })
p:write(at(5), "x")
p:madvise(at(6), PAGE, "pageout")
hears("pageout", { 6, 7, "clear" })
check.eq(p:read(at(6), 1), "x")
hears("it comes back")
p:madvise(at(5), 2 * PAGE, "dontneed")
hears("dontneed", { 5, 7, "clear" })
p:madvise(at(7), PAGE, "guard_install")
hears("guard", { 7, 8, "clear" })
p:madvise(at(7), PAGE, "guard_remove")
hears("no guard")

-- Frames change: the page of zeros gives way, migration.
p:read(at(5), PAGE)
hears("the page of zeros comes")
p:write(at(5), "y")
hears("and gives way", { 5, 6, "clear" })
p:write(at(6), ("x"):rep(2 * PAGE))
hears("pages come again")
check.eq(p:migrate(at(7), PAGE), 1)
hears("migration", { 7, 8, "migrate" })
local pin = p:pin(at(7), PAGE)
check.eq(p:migrate(at(7), PAGE), 0)
hears("a pinned page stays")
pin:release()

-- fork takes write permission from the parent; writes copy, or take it back.
local child = p:fork()
hears("fork", { 4, 8, "protect" })
p:write(at(4), "z")
hears("copy-on-write", { 4, 5, "clear" })
child:write(at(6), "z")
child:munmap(at(5), PAGE)
child:exit()
hears("what the child does")
p:write(at(5), "z")
hears("a page that is its own again")

-- Moves
local to = p:mremap(at(4), 2 * PAGE, 2 * PAGE, { maymove = true, fixed = at(12) })
check.eq(to, at(12))
hears("mremap", { 4, 6, "unmap" })
p:mremap(at(6), PAGE, PAGE, { maymove = true, fixed = at(13) })
hears("over something", { 13, 14, "unmap" }, { 6, 7, "unmap" })
p:mmap{ length = PAGE, prot = "rw", fixed = true, address = at(13) }
hears("mmap over it", { 13, 14, "unmap" })
p:munmap(at(0), 11 * PAGE)
hears("munmap", { 7, 8, "unmap" })
p:munmap(at(0), 11 * PAGE)
hears("nothing is mapped")

-- Objects: what is taken from the object goes from its mappings.
local f = quire.shmem{ size = "64K" }
p:mmap{ length = "32K", prot = "rw", shared = true, file = f, fixed = true, address = at(0) }
p:write(at(0), ("x"):rep(8 * PAGE))
hears("shared pages come")
f:punch(2 * PAGE, 2 * PAGE)
hears("punch", { 2, 4, "clear" })
f:punch(2 * PAGE, 2 * PAGE)
hears("a hole is a hole")
f:truncate(6 * PAGE)
hears("truncate", { 6, 8, "clear" })
f:truncate(8 * PAGE)
hears("longer")

-- userfaultfd
local u = p:userfaultfd{ features = { "wp_async", "move" } }
p:mmap{ length = "32K", prot = "rw", fixed = true, address = at(0) }
hears("mmap over the object's", { 0, 6, "unmap" })
p:write(at(1), ("x"):rep(3 * PAGE))
u:register(a, "32K", { "wp" })
hears("register")
u:writeprotect(at(0), 3 * PAGE, true)
hears("writeprotect", { 1, 3, "protect" })
u:writeprotect(at(0), 3 * PAGE, true)
hears("protected already")
u:writeprotect(at(2), 2 * PAGE, false)
hears("released", { 2, 3, "protect" })
p:write(at(1), "y")
hears("a fault releases")
local found = p:scan{ start = at(0), length = 8 * PAGE, mask = { "written", "present" }, max_pages = 2, vec_len = 4,
	wp = true }
check.eq(#found, 1)
hears("a scan protects what it takes", { 1, 3, "protect" })
p:scan{ start = at(0), length = 8 * PAGE, mask = { "written", "present" }, vec_len = 4, wp = true }
hears("and then the rest", { 3, 4, "protect" })
p:scan{ start = at(0), length = 8 * PAGE, vec_len = 4 }
hears("a scan that looks")
u:unregister(a, "32K")
hears("unregister", { 1, 4, "protect" })
u:register(a, "32K", { "missing" })
p:mmap{ length = PAGE, prot = "rw", fixed = true, address = at(15) }
p:munmap(at(12), PAGE)
p:write(at(15), "x")
heard()
u:move(at(5), at(15), PAGE)
hears("move", { 15, 16, "clear" })
u:close()
heard()

-- The end of the space takes all that is left.
local last = p:notifier()
p:exit()
hears("exit", { 1, 6, "unmap" })
check.eq(#last:read_all(), 2, "each hears it")
last:close()
n:close()
