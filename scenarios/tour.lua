-- The tour: one page's life, on the library and on the running kernel, step by step.
--
-- Run it with `make run`, or: build/quire run --trace --on both scenarios/tour.lua

quire.setup { memory = "64M", cpus = 2 }
local say = quire.say

say "Each call below is made twice: on the library and on the running kernel.  Where both answer the"
say "same, the answer follows '='; where they differ, each has its own line.  The drawings are the"
say "library's page tables."
say ""
say "A process maps 64K of anonymous memory.  Nothing is behind it yet: no page, no page table."
local p = quire.process()
local a = p:mmap { length = "64K", prot = "rw" }
check.eq(p:rss().anon, 0, "nothing is resident")
check.pagemap(p, a, { present = false })
p:draw()

say "It writes to the first page, and reads the third.  The write gets a page of its own;"
say "the read is served by the page of zeros that everybody shares."
check(p:write(a, "hello"), "the write lands")
check.eq(p:read(a + 0x2000, 3), "\0\0\0", "fresh memory is zero")
check.pagemap(p, a, { present = true, exclusive = true })
check.pagemap(p, a + 0x2000, { present = true, exclusive = false })
check.eq(p:rss().anon, 4096, "the zero page counts for nothing")
p:draw()

say "It takes write permission from the first two pages.  The mapping splits, and the very next"
say "write is refused; the content stays."
p:mprotect(a, "8K", "r")
check.eq(#p:maps(), 2, "two VMAs now")
check.fails("SEGV", p:write(a, "HELLO"))
check.page(p, a, "hello")

say "Permission comes back, and the two halves are one again.  No fault is needed to write: the page"
say "is this process's own."
p:mprotect(a, "8K", "rw")
check.eq(#p:maps(), 1, "one VMA again")
check(p:write(a, "Hello"))

say "It forks.  Parent and child share the page until one of them writes."
local c = p:fork()
check.pagemap(p, a, { present = true, exclusive = false })
check.page(c, a, "Hello")
p:draw()

say "The child writes: it gets a copy, and the parent keeps what it had."
c:write(a, "child")
check.page(c, a, "child")
check.page(p, a, "Hello")
check.pagemap(p, a, { exclusive = true })
p:draw()
c:draw()

say "The child ends.  The parent is alone with its page, and writes without a copy."
c:exit()
p:write(a, "alone")
check.page(p, a, "alone")

say "madvise(dontneed) gives the page back: the next read finds zeros."
p:madvise(a, "64K", "dontneed")
check.eq(p:rss().anon, 0)
check.eq(p:read(a, 5), "\0\0\0\0\0")

say "Last, a guard page: an access to it is a signal, and it costs no memory."
p:madvise(a + 0x4000, "4K", "guard_install")
check.fails("SEGV", p:read(a + 0x4000, 1))
check.pagemap(p, a + 0x4000, { guard = true })
p:draw()
