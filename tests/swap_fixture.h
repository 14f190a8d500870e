/* SPDX-License-Identifier: MIT */
/* A machine with swap that fails when it is told to, and pages that are told apart by a word. */
#ifndef QUIRE_SWAP_FIXTURE_H
#define QUIRE_SWAP_FIXTURE_H

#include <errno.h>
#include <string.h>

#include "soft_fixture.h"
#include <quire/swap.h>

/* A store in front of another one. */
struct faulty_swap {
	struct soft_swap swap;
	struct soft_swap *behind;
	int read_error, write_error; /* 0: none */
	uint64_t reads, writes;
};

static inline int faulty_write(struct soft_swap *swap, uint64_t slot, const void *memory)
{
	struct faulty_swap *faulty = (struct faulty_swap *)swap;

	faulty->writes++;
	return faulty->write_error ? faulty->write_error
				   : faulty->behind->write(faulty->behind, slot, memory);
}

static inline int faulty_read(struct soft_swap *swap, uint64_t slot, void *memory)
{
	struct faulty_swap *faulty = (struct faulty_swap *)swap;

	faulty->reads++;
	return faulty->read_error ? faulty->read_error
				  : faulty->behind->read(faulty->behind, slot, memory);
}

static inline void faulty_free(struct soft_swap *swap, uint64_t slot)
{
	struct faulty_swap *faulty = (struct faulty_swap *)swap;

	faulty->behind->free(faulty->behind, slot);
}

static inline void faulty_close(struct soft_swap *swap)
{
	struct faulty_swap *faulty = (struct faulty_swap *)swap;

	faulty->behind->close(faulty->behind);
}

struct swap_fixture {
	struct soft_fixture soft;
	struct quire_machine *machine;
	struct quire_space *space;
	struct soft_cpu *cpu;
	struct faulty_swap store;
};

static inline void swap_fixture_open(struct swap_fixture *fixture, uint64_t memory, uint64_t slots)
{
	struct soft_config config = {
		.memory = memory,
		.cpus = 1,
		.commit_limit = 1024 * MIB,
		.swap = &fixture->store.swap,
	};

	*fixture = (struct swap_fixture){0};
	fixture->store.behind = soft_swap_compressed(slots);
	fixture->store.swap =
		(struct soft_swap){faulty_write, faulty_read, faulty_free, faulty_close, slots};
	fixture->soft = soft_fixture_open(&config);
	fixture->machine = soft_machine_core(fixture->soft.machine);
	fixture->space = fixture->soft.space;
	fixture->cpu = soft_machine_cpu(fixture->soft.machine, 0);
	soft_cpu_enter(fixture->cpu, fixture->space);
}

static inline void swap_fixture_close(struct swap_fixture *fixture)
{
	soft_fixture_close(&fixture->soft);
}

static inline struct quire_machine_counters swap_counters(const struct swap_fixture *fixture)
{
	struct quire_machine_counters counters;

	quire_machine_count(fixture->machine, &counters);
	return counters;
}

static inline void store_word(struct swap_fixture *fixture, uint64_t address, uint64_t value)
{
	assert_int_equal(soft_store64(fixture->cpu, address, value).outcome, QUIRE_DONE);
}

static inline void assert_word(struct swap_fixture *fixture, uint64_t address, uint64_t value)
{
	uint64_t found;

	assert_int_equal(soft_load64(fixture->cpu, address, &found).outcome, QUIRE_DONE);
	assert_int_equal(found, value);
}

/* Pages of memory, each with its number + `first` in its first word. */
static inline void store_numbers(struct swap_fixture *fixture, uint64_t base, uint64_t pages,
				 uint64_t first)
{
	for (uint64_t i = 0; i < pages; i++)
		store_word(fixture, base + i * PAGE, first + i);
}

static inline void assert_numbers(struct swap_fixture *fixture, uint64_t base, uint64_t pages,
				  uint64_t first)
{
	for (uint64_t i = 0; i < pages; i++)
		assert_word(fixture, base + i * PAGE, first + i);
}

static inline void page_out(struct swap_fixture *fixture, uint64_t base, uint64_t pages)
{
	assert_int_equal(quire_madvise(fixture->space, base, pages * PAGE, QUIRE_MADV_PAGEOUT), 0);
}

static inline uint64_t map_object(struct quire_space *space, struct quire_object *object,
				  uint64_t pages, int flags)
{
	uint64_t address = 0;

	assert_int_equal(quire_mmap_object(space, 0, pages * PAGE, RW, flags, object, 0, &address),
			 0);
	return address;
}

#endif
