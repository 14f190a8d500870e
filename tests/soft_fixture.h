/* SPDX-License-Identifier: MIT */
/* A machine of the software MMU with one address space, for tests. */
#ifndef QUIRE_SOFT_FIXTURE_H
#define QUIRE_SOFT_FIXTURE_H

#include "soft.h"
#include "test_support.h"

#define MIB  ((uint64_t)1 << 20)
#define PAGE QUIRE_PAGE_SIZE

#define NONE QUIRE_PROT_NONE
#define R    QUIRE_PROT_READ
#define RW   (QUIRE_PROT_READ | QUIRE_PROT_WRITE)
#define RX   (QUIRE_PROT_READ | QUIRE_PROT_EXEC)

struct soft_fixture {
	struct soft_machine *machine;
	struct quire_space *space;
};

static inline struct quire_space *new_space(struct soft_machine *machine)
{
	struct quire_space_config config = {.lowest = 16 * PAGE};
	struct quire_space *space;

	assert_int_equal(quire_space_create(soft_machine_core(machine), &config, &space), 0);
	return space;
}

static inline struct soft_fixture soft_fixture_open(const struct soft_config *config)
{
	struct soft_fixture fixture;

	assert_int_equal(soft_machine_open(config, &fixture.machine), 0);
	fixture.space = new_space(fixture.machine);
	return fixture;
}

static inline void print_violation(void *context, const char *bytes, size_t length)
{
	(void)context;
	fwrite(bytes, 1, length, stderr);
}

/* The invariants hold, those of the TLBs included.  No thread may be at work. */
static inline void assert_sound(struct soft_machine *machine)
{
	struct quire_text text = {.emit = print_violation};
	char excess[128];

	assert_int_equal(quire_check(soft_machine_core(machine), &text), 0);
	for (unsigned i = 0; i < soft_machine_cpus(machine); i++)
		if (!soft_tlb_check(soft_machine_cpu(machine, i), excess, sizeof(excess)))
			fail_msg("%s", excess);
}

/* The space goes, and everything must have been given back. */
static inline void soft_fixture_close(struct soft_fixture *fixture)
{
	assert_sound(fixture->machine);
	for (unsigned i = 0; i < soft_machine_cpus(fixture->machine); i++)
		soft_cpu_leave(soft_machine_cpu(fixture->machine, i));
	quire_space_destroy(fixture->space);
	assert_int_equal(soft_machine_close(fixture->machine), 0);
}

/* `pages` pages of private anonymous memory, where the library puts them. */
static inline uint64_t map(struct quire_space *space, uint64_t pages, int prot)
{
	uint64_t address = 0;

	assert_int_equal(quire_mmap(space, 0, pages * PAGE, prot,
				    QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS, &address),
			 0);
	return address;
}

static inline struct quire_entry_report entry_at(struct quire_space *space, uint64_t address)
{
	struct quire_entry_report entry;

	assert_int_equal(quire_entry(space, address, &entry), 0);
	return entry;
}

#endif
