/* SPDX-License-Identifier: MIT */
#include "profile.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "target.h"

const struct bit_name profile_names[] = {
	{"root", HAS_ROOT},
	{"userfaultfd", HAS_USERFAULTFD},
	{"uffd_wp", HAS_UFFD_WP},
	{"user_mode_only", HAS_USER_MODE_ONLY},
	{"execute_only", HAS_EXECUTE_ONLY},
	{"soft_dirty", HAS_SOFT_DIRTY},
	{"swap", HAS_SWAP},
	{"thp", HAS_THP},
	{"shmem_thp", HAS_SHMEM_THP},
	{"hugetlb_2M", HAS_HUGETLB_2M},
	{"hugetlb_1G", HAS_HUGETLB_1G},
	{"device_dax", HAS_DEVICE_DAX},
	{"device_fsdax", HAS_DEVICE_FSDAX},
	{"device_pfn", HAS_DEVICE_PFN},
	{"guard", HAS_GUARD},
	{"pagemap_scan", HAS_PAGEMAP_SCAN},
	{"memory_failure", HAS_MEMORY_FAILURE},
	{"la57", HAS_LA57},
	{"pin", HAS_PIN},
	{"mlock", HAS_MLOCK},
	{"commit_limit", HAS_COMMIT_LIMIT},
	{NULL, 0},
};

const struct bit_name userfault_feature_names[] = {
	{"pagefault_flag_wp", UFFD_FEATURE_PAGEFAULT_FLAG_WP},
	{"event_fork", UFFD_FEATURE_EVENT_FORK},
	{"event_remap", UFFD_FEATURE_EVENT_REMAP},
	{"event_remove", UFFD_FEATURE_EVENT_REMOVE},
	{"missing_hugetlbfs", UFFD_FEATURE_MISSING_HUGETLBFS},
	{"missing_shmem", UFFD_FEATURE_MISSING_SHMEM},
	{"event_unmap", UFFD_FEATURE_EVENT_UNMAP},
	{"sigbus", UFFD_FEATURE_SIGBUS},
	{"thread_id", UFFD_FEATURE_THREAD_ID},
	{"minor_hugetlbfs", UFFD_FEATURE_MINOR_HUGETLBFS},
	{"minor_shmem", UFFD_FEATURE_MINOR_SHMEM},
	{"exact_address", UFFD_FEATURE_EXACT_ADDRESS},
	{"wp_hugetlbfs_shmem", UFFD_FEATURE_WP_HUGETLBFS_SHMEM},
	{"wp_unpopulated", UFFD_FEATURE_WP_UNPOPULATED},
	{"poison", UFFD_FEATURE_POISON},
	{"wp_async", UFFD_FEATURE_WP_ASYNC},
	{"move", UFFD_FEATURE_MOVE},
	{NULL, 0},
};

static uint64_t bit_of(const struct bit_name *names, const char *name)
{
	while (names->name && strcmp(names->name, name) != 0)
		names++;
	return names->bit;
}

bool profile_has(const struct profile *profile, const char *name, bool *known)
{
	uint64_t bit = bit_of(profile_names, name);
	uint64_t feature = bit_of(userfault_feature_names, name);

	*known = bit || feature;
	return (profile->has & bit) || (profile->userfault_features & feature);
}

/* The system call itself. */
static const char *refuses_call(const struct profile *profile, bool user_mode_only)
{
	if (profile->has & (user_mode_only ? HAS_USER_MODE_ONLY : HAS_USERFAULTFD))
		return NULL;
	if (profile->userfault_error == ENOSYS)
		return "userfaultfd: ENOSYS: this kernel is built without it (CONFIG_USERFAULTFD)";
	if (profile->has & HAS_USER_MODE_ONLY)
		return "userfaultfd: EPERM: needs root, vm.unprivileged_userfaultfd=1 or "
		       "user_mode_only";
	return "userfaultfd: EPERM: a filter of system calls (seccomp) refuses it";
}

const char *profile_refuses(const struct profile *profile, int flags, uint64_t features)
{
	const char *why = refuses_call(profile, flags & UFFD_USER_MODE_ONLY);
	static char text[80];

	if (why)
		return why;
	features &= ~profile->userfault_features;
	if (features & UFFD_FEATURE_EVENT_FORK)
		return "userfaultfd: EPERM: event_fork needs root (CAP_SYS_PTRACE)";
	for (const struct bit_name *feature = userfault_feature_names; feature->name; feature++) {
		if (!(features & feature->bit))
			continue;
		snprintf(text, sizeof(text), "userfaultfd: this kernel has no %s", feature->name);
		return text;
	}
	return NULL;
}

const char *profile_explains(const struct profile *profile, const char *name)
{
	uint64_t feature = bit_of(userfault_feature_names, name);
	uint64_t bit = bit_of(profile_names, name);

	if (!feature && bit != HAS_USERFAULTFD && bit != HAS_USER_MODE_ONLY && bit != HAS_UFFD_WP)
		return NULL;
	return profile_refuses(profile, bit == HAS_USERFAULTFD ? 0 : UFFD_USER_MODE_ONLY,
			       bit == HAS_UFFD_WP ? UFFD_FEATURE_PAGEFAULT_FLAG_WP : feature);
}

struct profile profile_model(const struct target_setup *setup)
{
	struct profile profile = {
		.has = HAS_ROOT | HAS_USERFAULTFD | HAS_USER_MODE_ONLY | HAS_UFFD_WP | HAS_GUARD |
		       HAS_PAGEMAP_SCAN | HAS_PIN | HAS_MLOCK | HAS_DEVICE_DAX |
		       HAS_DEVICE_FSDAX | HAS_DEVICE_PFN,
	};

	/* As the host, see host_memory(). */
	profile.has |= profile_host()->has & HAS_COMMIT_LIMIT;
	if (setup->execute_only)
		profile.has |= HAS_EXECUTE_ONLY;
	if (setup->has_swap && setup->swap)
		profile.has |= HAS_SWAP;
	for (const struct bit_name *feature = userfault_feature_names; feature->name; feature++)
		profile.userfault_features |= feature->bit;
	return profile;
}
