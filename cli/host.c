/* SPDX-License-Identifier: MIT */
#include "host.h"

#include <sys/mman.h>
#include <sys/sysinfo.h>

#include "linux_setting.h"
#include "target.h"

#define HOST_PAGE UINT64_C(4096)

/* What vm.mmap_min_addr says is no more than a part of it. */
uint64_t host_mmap_lowest(void)
{
	const uint64_t usual = 65536;
	void *wish = (void *)(uintptr_t)HOST_PAGE;
	void *page = mmap(wish, HOST_PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (page == MAP_FAILED)
		return usual;
	munmap(page, HOST_PAGE);
	/* Something else may be there. */
	return (uint64_t)(uintptr_t)page <= usual ? (uint64_t)(uintptr_t)page : usual;
}

void host_memory(uint64_t *memory, uint64_t *commit_limit)
{
	struct sysinfo host;

	if (sysinfo(&host))
		target_fail("sysinfo failed");
	*memory = (uint64_t)host.totalram * host.mem_unit & ~(HOST_PAGE - 1);
	*commit_limit = *memory + (uint64_t)host.totalswap * host.mem_unit;
	if (setting_number(SETTING_OVERCOMMIT) == 1)
		*commit_limit = UINT64_MAX;
}
