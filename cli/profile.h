/* SPDX-License-Identifier: MIT */
/*
 * What a target has, found by asking it once, and by name: for scripts (quire.has), and for whoever
 * wonders why one was skipped (quire doctor).
 */
#ifndef QUIRE_CLI_PROFILE_H
#define QUIRE_CLI_PROFILE_H

#include <stdbool.h>
#include <stdint.h>

struct target_setup;

enum profile_bit {
	HAS_ROOT = 1 << 0,	     /* every right */
	HAS_USERFAULTFD = 1 << 1,    /* contexts that hear of the kernel's faults, too */
	HAS_USER_MODE_ONLY = 1 << 2, /* contexts that hear of user mode's faults only */
	HAS_EXECUTE_ONLY = 1 << 3,   /* execute permission alone is not permission to read */
	HAS_SOFT_DIRTY = 1 << 4,
	HAS_SWAP = 1 << 5, /* there is some now */
	HAS_THP = 1 << 6,
	HAS_SHMEM_THP = 1 << 7,
	HAS_HUGETLB_2M = 1 << 8,
	HAS_HUGETLB_1G = 1 << 9,
	HAS_DEVICE_DAX = 1 << 10,
	HAS_DEVICE_FSDAX = 1 << 11,
	HAS_DEVICE_PFN = 1 << 12,
	HAS_GUARD = 1 << 13,
	HAS_PAGEMAP_SCAN = 1 << 14,
	HAS_MEMORY_FAILURE = 1 << 15,
	HAS_LA57 = 1 << 16,
	HAS_PIN = 1 << 18,	    /* pins */
	HAS_MLOCK = 1 << 19,	    /* memory can be locked */
	HAS_COMMIT_LIMIT = 1 << 20, /* no mapping that is larger than memory and swap */
	HAS_UFFD_WP = 1 << 17,	    /* UFFD_FEATURE_PAGEFAULT_FLAG_WP */
};

struct profile {
	uint32_t has;		     /* enum profile_bit */
	uint64_t userfault_features; /* UFFD_FEATURE_*, that can be asked for */
	int userfault_error;	     /* errno; why there is no HAS_USERFAULTFD */
};

/* A name for a bit; a list ends with one without. */
struct bit_name {
	const char *name;
	uint64_t bit;
};
extern const struct bit_name profile_names[];		/* of enum profile_bit */
extern const struct bit_name userfault_feature_names[]; /* of UFFD_FEATURE_* */

/* Whether the profile has what is called so; false and *known false: nothing is. */
bool profile_has(const struct profile *profile, const char *name, bool *known);

/*
 * Why the target refuses a context that is opened with these flags and asks for these features, in
 * one line; NULL: not for anything that it lacks.  Overwritten by the next.
 */
const char *profile_refuses(const struct profile *profile, int flags, uint64_t features);

/* Why there is no such thing, where more is known than that; or NULL. */
const char *profile_explains(const struct profile *profile, const char *name);

/* The running kernel's and processor's, asked at the first call. */
const struct profile *profile_host(void);
/* The library's and the twin's. */
struct profile profile_model(const struct target_setup *setup);

#endif
