/* SPDX-License-Identifier: MIT */
/*
 * Where a machine's swap slots are: in a file, or compressed in memory.
 */
#ifndef SOFT_SWAP_H
#define SOFT_SWAP_H

#include <stddef.h>
#include <stdint.h>

/* A store; what it can do.  All may be called by several threads at once. */
struct soft_swap {
	/* 0 or a negative errno; memory: QUIRE_PAGE_SIZE bytes. */
	int (*write)(struct soft_swap *swap, uint64_t slot, const void *memory);
	int (*read)(struct soft_swap *swap, uint64_t slot, void *memory);
	void (*free)(struct soft_swap *swap, uint64_t slot);
	/* Gives everything back. */
	void (*close)(struct soft_swap *swap);
	uint64_t slots; /* numbered from 1 */
};

/*
 * In the file `path`, which is made, or a file without a name in the directory of temporary files
 * (NULL).  Grows up to `slots` pages.  NULL: errno says why.
 */
struct soft_swap *soft_swap_file(const char *path, uint64_t slots);
/*
 * In memory, compressed with zstd.  Pages of zeros take none.  A write that the host has no memory
 * for is refused.  NULL: errno says why.
 */
struct soft_swap *soft_swap_compressed(uint64_t slots);

#endif
