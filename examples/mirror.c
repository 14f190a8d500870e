/* SPDX-License-Identifier: MIT */
/*
 * MMU notifiers: a mirror of a space's page tables (mirror/mirror.c) that never grants what the space does
 * not, whatever calls and faults do to the space.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <soft.h>

#include <quire/swap.h>

#include "mirror/mirror.h"

#define PAGE  QUIRE_PAGE_SIZE
#define PAGES 8

static void must(int error)
{
	if (error)
		exit(1);
}

/* The first word of each page, as the mirror has it, and for how many it had to look. */
static void show(const char *when, struct mirror *mirror, uint64_t base)
{
	unsigned before = mirror->fills;

	printf("%s:", when);
	for (unsigned page = 0; page < PAGES; page++) {
		uint64_t word;

		if (mirror_load(mirror, base + page * PAGE, &word) == QUIRE_DONE)
			printf(" %" PRIu64, word);
		else
			printf(" -");
	}
	printf(" (%u looked up)\n", mirror->fills - before);
}

int main(void)
{
	struct soft_config config = {.swap = soft_swap_compressed(64)};
	struct quire_space *space, *child;
	struct soft_machine *machine;
	struct mirror mirror;
	uint64_t base;

	must(soft_machine_open(&config, &machine));
	must(quire_space_create(soft_machine_core(machine), &(struct quire_space_config){0},
				&space));
	must(quire_mmap(space, 0, PAGES * PAGE, QUIRE_PROT_READ | QUIRE_PROT_WRITE,
			QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS, &base));
	must(mirror_open(&mirror, space));
	for (unsigned page = 0; page < PAGES; page++)
		must(mirror_store(&mirror, base + page * PAGE, page) != QUIRE_DONE);
	show("filled", &mirror, base);

	must(quire_mprotect(space, base, PAGE, QUIRE_PROT_READ));
	printf("a store to the first page is %s\n",
	       mirror_store(&mirror, base, 9) == QUIRE_SEGV ? "refused" : "LET THROUGH");
	show("one is read-only", &mirror, base);

	must(quire_fork(space, &child));
	must(mirror_store(&mirror, base + PAGE, 10) != QUIRE_DONE); /* copies the page */
	show("forked", &mirror, base);
	quire_space_destroy(child);

	must(quire_madvise(space, base + 2 * PAGE, 2 * PAGE, QUIRE_MADV_PAGEOUT));
	show("two were in swap", &mirror, base);
	must(quire_munmap(space, base + 6 * PAGE, 2 * PAGE));
	show("two are gone", &mirror, base);

	quire_space_destroy(space);
	printf("the space %s\n", mirror.notifier ? "IS STILL THERE" : "has gone");
	mirror_close(&mirror);
	return soft_machine_close(machine);
}
