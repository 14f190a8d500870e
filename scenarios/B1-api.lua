-- B1: UFFDIO_API. The answer tells all that the target can do, whatever was asked for; it is given once.
quire.needs("userfaultfd", "event_fork", "move")
local p = quire.process()

local everything = {
	pagefault_flag_wp = true, event_fork = true, event_remap = true, event_remove = true,
	missing_hugetlbfs = true, missing_shmem = true, event_unmap = true, sigbus = true,
	thread_id = true, minor_hugetlbfs = true, minor_shmem = true, exact_address = true,
	wp_hugetlbfs_shmem = true, wp_unpopulated = true, poison = true, wp_async = true, move = true,
}
local requests = { register = true, unregister = true, api = true }

-- Nothing asked for: all is told.
local u = quire.userfaultfd_raw(p)
check.eq(u:api{}, { api = 0xAA, features = everything, ioctls = requests })
check.eq(u:features(), everything)
check.eq(u:ioctls(), requests)

-- A second call is refused, whatever it asks for.
check.fails("EINVAL", u:api{})
check.fails("EINVAL", u:api{ features = { "pagefault_flag_wp" } })
check(u:close())

-- Any one feature, and all together.
local names = {}
for name in pairs(everything) do
	names[#names + 1] = name
end
table.sort(names) -- pairs() has no order, and the targets are compared call by call
for _, name in ipairs(names) do
	local one = quire.userfaultfd_raw(p)
	check.eq(one:api{ features = { name } }, { api = 0xAA, features = everything, ioctls = requests }, name)
	one:close()
end
u = quire.userfaultfd_raw(p)
check(u:api{ features = 0x1ffff })
u:close()

-- A wrong version, and bits that are not defined, are refused; the next call may still do it right.
u = quire.userfaultfd_raw(p)
check.fails("EINVAL", u:api{ api = 0xAB })
check.fails("EINVAL", u:api{ features = 1 << 17 })
check.fails("EINVAL", u:api{ features = 1 << 63 | 1 })
check.eq(u:api{ features = { "wp_async", "move" } }, { api = 0xAA, features = everything, ioctls = requests })
u:close()

-- The same in one step.
u = p:userfaultfd{ features = { "thread_id" } }
check.eq(u:features(), everything)
u:close()
