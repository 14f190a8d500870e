/* SPDX-License-Identifier: MIT */
/*
 * One host thread runs a guest and serves the guest's own page faults, in an event loop: pages come
 * from a stock when they are first touched, and come protected, so that the first write to each in
 * every round is noticed.  Nothing ever sleeps: what would is made again later.
 */
#include <soft.h>

#include <quire/userfault.h>

#include <stdio.h>
#include <stdlib.h>

#define PAGES 8
#define PAGE  QUIRE_PAGE_SIZE

static void must(int error)
{
	if (error)
		exit(1);
}

/* A message: the page is missing, or was written to. */
static void serve(struct quire_userfault *context, uint64_t base, unsigned *fetched, bool *dirty)
{
	static unsigned char stock[QUIRE_PAGE_SIZE];
	struct quire_uffdio_copy copy = {.src = (uintptr_t)stock, .len = PAGE};
	struct quire_uffdio_writeprotect release = {.range.len = PAGE};
	struct quire_userfault *child;
	struct quire_uffd_msg message;

	must(quire_userfault_read(context, &message, &child));
	copy.dst = release.range.start = message.arg.pagefault.address;
	if (message.arg.pagefault.flags & QUIRE_UFFD_PAGEFAULT_FLAG_WP) {
		dirty[(copy.dst - base) / PAGE] = true;
		must(quire_userfault_ioctl(context, QUIRE_UFFDIO_WRITEPROTECT, &release, NULL));
	} else {
		copy.mode = QUIRE_UFFDIO_COPY_MODE_WP;
		++*fetched;
		must(quire_userfault_ioctl(context, QUIRE_UFFDIO_COPY, &copy, NULL));
	}
}

int main(void)
{
	struct quire_thread guest = {.id = 1, .nowait = true};
	struct quire_uffdio_api api = {.api = QUIRE_UFFD_API};
	struct quire_uffdio_register range = {.mode = QUIRE_UFFDIO_REGISTER_MODE_MISSING |
						      QUIRE_UFFDIO_REGISTER_MODE_WP};
	struct quire_uffdio_writeprotect protect = {.mode = QUIRE_UFFDIO_WRITEPROTECT_MODE_WP};
	struct soft_machine *machine;
	struct quire_userfault *context;
	struct quire_space *space;
	struct soft_cpu *cpu;
	uint64_t base;

	must(soft_machine_open(&(struct soft_config){0}, &machine));
	must(quire_space_create(soft_machine_core(machine), &(struct quire_space_config){0},
				&space));
	must(quire_mmap(space, 0, PAGES * PAGE, QUIRE_PROT_READ | QUIRE_PROT_WRITE,
			QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS, &base));
	must(quire_userfault_open(space, &(struct quire_userfault_config){0}, &context));
	must(quire_userfault_ioctl(context, QUIRE_UFFDIO_API, &api, NULL));
	range.range = protect.range = (struct quire_uffdio_range){base, PAGES * PAGE};
	must(quire_userfault_ioctl(context, QUIRE_UFFDIO_REGISTER, &range, NULL));
	cpu = soft_machine_cpu(machine, 0);
	soft_cpu_enter(cpu, space);
	soft_thread_use(&guest);

	for (unsigned round = 1; round <= 3; round++) {
		unsigned fetched = 0, blocked = 0, writes = 0;
		bool dirty[PAGES] = {false};

		/*
		 * The guest's program: a write to every round-th page, twice.  One step is one
		 * attempt.
		 */
		for (unsigned step = 0; writes < 2 * PAGES; step++) {
			uint64_t address = base + writes % PAGES / round * round * PAGE;

			if (quire_userfault_poll(context) > 0)
				serve(context, base, &fetched, dirty);
			else if (soft_store64(cpu, address, step).outcome == QUIRE_BLOCKED)
				blocked++;
			else
				writes++;
		}
		printf("round %u: blocked %u times, %u pages fetched; dirty:", round, blocked,
		       fetched);
		for (unsigned page = 0; page < PAGES; page++)
			printf(" %c", dirty[page] ? 'x' : '.');
		printf("\n");
		must(quire_userfault_ioctl(context, QUIRE_UFFDIO_WRITEPROTECT, &protect, NULL));
	}
	soft_cpu_leave(cpu);
	quire_userfault_close(context);
	quire_space_destroy(space);
	return soft_machine_close(machine);
}
