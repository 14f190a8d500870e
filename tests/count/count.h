/* SPDX-License-Identifier: MIT */
/* The operations that are counted (operations.c), and the counting (count.c). */
#ifndef QUIRE_TESTS_COUNT_H
#define QUIRE_TESTS_COUNT_H

#include <quire/quire.h>

struct count_shared {
	struct quire_machine *machine;
};

struct count_operation {
	const char *name, *unit;
	unsigned units;
	/* In a process of its own: makes everything ready; the machine. */
	struct quire_machine *(*prepare)(void);
	void (*run)(void);
};

extern const struct count_operation count_operations[];
extern const unsigned count_operation_count;

/* Ends the program with a message when `held` is false. */
void count_require(int held, const char *what);

#endif
