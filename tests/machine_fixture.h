/* SPDX-License-Identifier: MIT */
/* A machine in memory of its own, for tests. */
#ifndef QUIRE_MACHINE_FIXTURE_H
#define QUIRE_MACHINE_FIXTURE_H

#include <sys/mman.h>

#include "frame/machine.h"
#include "test_support.h"

#define MIB ((uint64_t)1 << 20)

struct fixture {
	struct quire_machine *machine;
	void *memory;
	uint64_t bytes;
};

/* `bytes` of lazily zero memory; the hardware calls its first frame `first`. */
static inline struct fixture fixture_open(uint64_t bytes, uint64_t first)
{
	struct fixture fixture = {.bytes = bytes};
	struct quire_machine_config config = {.bytes = bytes, .first_frame = first, .zeroed = true};

	fixture.memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	assert_ptr_not_equal(fixture.memory, MAP_FAILED);
	config.memory = fixture.memory;
	assert_int_equal(quire_machine_create(&config, &fixture.machine), 0);
	return fixture;
}

/* Everything must have been given back. */
static inline void fixture_close(struct fixture *fixture)
{
	assert_true(frames_valid(fixture->machine));
	assert_true(slabs_valid(fixture->machine));
	assert_int_equal(quire_machine_destroy(fixture->machine), 0);
	munmap(fixture->memory, fixture->bytes);
}

static inline uint64_t frames_free_now(struct quire_machine *machine)
{
	struct quire_machine_counters counters;

	quire_machine_count(machine, &counters);
	return counters.frames_free;
}

#endif
