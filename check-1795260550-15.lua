-- case 15 (seed 502274898): the targets differ
-- check-1795260550-15.lua:14: the targets differ in p2:smaps(m1+0x2000)
--   quire: {Anonymous=4K, KernelPageSize=4K, MMUPageSize=4K, Private_Dirty=4K, Pss=4K, Pss_Dirty=4K, Rss=4K, Size=4K, VmFlags="rd wr mr mw me ac"}
--   linux: {Anonymous=4K, KernelPageSize=4K, MMUPageSize=4K, Private_Clean=4K, Pss=4K, Referenced=4K, Rss=4K, Size=4K, VmFlags="rd wr mr mw me ac"}
--   at Private_Clean: quire 0, linux 4096
-- Again: quire run --on both check-1795260550-15.lua
-- The whole case: quire check --seed 1795260550 --case 15 --ops 100
local p1 = quire.process()
local m1 = p1:mmap{ length = 24576, prot = "rw" }
p1:mlock(m1 + 0x2000, 4096)
local p4 = p1:fork()
p1:write(m1 + 0x2f07, "254")
p4:syscall_read(m1 + 0x29de, 1)
p4:smaps(m1 + 0x2000)
