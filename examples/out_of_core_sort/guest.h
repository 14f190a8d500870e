/* SPDX-License-Identifier: MIT */
/*
 * The guest of out-of-core-sort: a program that fills memory with records, sorts them, and looks
 * whether they are sorted.  It knows nothing of paging.
 */
#ifndef OUT_OF_CORE_SORT_GUEST_H
#define OUT_OF_CORE_SORT_GUEST_H

#include <soft.h>

#include <stdatomic.h>

#define RECORD sizeof(uint64_t)

struct guest {
	struct soft_machine *machine;
	struct quire_space *space;
	uint64_t base; /* address of the records */
	uint64_t records, seed;
	unsigned threads; /* that sort; CPUs of the machine */

	_Atomic uint64_t done; /* records, in the phase that runs */
	uint64_t sum[2];       /* of all records, when they were made and at the end */
	bool sorted;	       /* at the end */
};

/* The phases; each runs in a thread, and takes the guest. */
void *guest_fill(void *guest);
void *guest_sort(void *guest);
void *guest_verify(void *guest);

/* Ends the program with a message if it does not hold. */
void must(bool held, const char *what);

#endif
