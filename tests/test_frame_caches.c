/* SPDX-License-Identifier: MIT */
/* Free frames that each CPU keeps to itself: nobody is the poorer for it. */
#include <string.h>

#include "machine_fixture.h"

/* Of the port's stub: the CPU that calls. */
extern unsigned port_stub_cpu;

#define CPUS 8u

static uint64_t total(struct quire_machine *machine)
{
	return machine->frames.count - frames_used(machine, FRAME_RESERVED);
}

/* A few frames in the cache of each CPU, some of them at its limit. */
static void fill_caches(struct quire_machine *machine)
{
	struct frame *frame[CPUS][2 * FRAME_CACHE_LIMIT];

	for (unsigned cpu = 0; cpu < CPUS; cpu++)
		for (unsigned i = 0; i < FRAME_CACHE_LIMIT / 2 * (1 + cpu % 4); i++)
			frame[cpu][i] = frame_alloc(machine, 0);
	for (port_stub_cpu = 0; port_stub_cpu < CPUS; port_stub_cpu++)
		for (unsigned i = 0; i < FRAME_CACHE_LIMIT / 2 * (1 + port_stub_cpu % 4); i++)
			frame_free(machine, frame[port_stub_cpu][i]);
	port_stub_cpu = 0;
	for (unsigned cpu = 0; cpu < CPUS; cpu++)
		assert_in_range(machine->frames.caches[cpu].count, 1, FRAME_CACHE_LIMIT);
	assert_true(frames_valid(machine));
}

static struct fixture open_cached(void)
{
	struct fixture fixture = fixture_open(16 * MIB, 0x12345);

	assert_true(fixture.machine->cpus >= CPUS);
	fill_caches(fixture.machine);
	assert_int_equal(frames_free_now(fixture.machine), total(fixture.machine));
	return fixture;
}

/* ... down to the last one, whatever CPU freed it. */
static void one_cpu_gets_every_frame(void **state)
{
	struct fixture fixture = open_cached();
	struct quire_machine *machine = fixture.machine;
	struct frame *chain = NULL, *frame;
	uint64_t taken = 0;

	(void)state;
	while ((frame = frame_alloc(machine, 0))) {
		frame->next = chain;
		chain = frame;
		taken++;
		assert_int_equal(frames_free_now(machine), total(machine) - taken);
	}
	assert_int_equal(taken, total(machine));
	frame = chain;
	chain = chain->next;
	port_stub_cpu = 5;
	frame_free(machine, frame);
	port_stub_cpu = 2;
	assert_ptr_equal(frame_alloc(machine, 0), frame);
	port_stub_cpu = 0;
	assert_null(frame_alloc(machine, 0));
	frame_free(machine, frame);
	frame_free_chain(machine, chain);
	fixture_close(&fixture);
}

/* A block is as large as when nothing had been allocated at all. */
static void a_block_is_joined_from_all_caches(void **state)
{
	struct fixture fixture = fixture_open(16 * MIB, 0), other = fixture_open(16 * MIB, 0);
	unsigned order = FRAME_ORDERS - 1;
	struct frame *block;

	(void)state;
	while (!(block = frame_alloc(other.machine, order)))
		order--;
	frame_free(other.machine, block);
	fixture_close(&other);

	fill_caches(fixture.machine);
	block = frame_alloc(fixture.machine, order);
	assert_non_null(block);
	frame_free(fixture.machine, block);
	fixture_close(&fixture);
}

/* The n-th allocation is the n-th, whichever CPUs make them. */
static void the_nth_allocation_fails_wherever_it_is_made(void **state)
{
	struct fixture fixture = open_cached();
	struct quire_machine *machine = fixture.machine;

	(void)state;
	quire_machine_fail_nth(machine, 0);
	for (uint64_t n = 1; n < 3 * CPUS; n++) {
		assert_int_equal(quire_machine_fail_nth(machine, n), n == 1 ? 0 : 3 * CPUS);
		for (uint64_t i = 1; i <= 3 * CPUS; i++) {
			struct frame *frame;

			port_stub_cpu = (unsigned)i % CPUS;
			frame = frame_alloc(machine, 0);
			assert_int_equal(frame == NULL, i == n);
			assert_int_equal(quire_machine_failed(machine), i >= n);
			if (frame)
				frame_free(machine, frame);
		}
	}
	port_stub_cpu = 0;
	fixture_close(&fixture);
}

/* Kinds are counted where a frame gets them and where it loses them, which need not be one CPU. */
static void uses_add_up_over_cpus(void **state)
{
	struct fixture fixture = open_cached();
	struct quire_machine *machine = fixture.machine;
	struct frame *frame = frame_alloc(machine, 0);

	(void)state;
	port_stub_cpu = 3;
	frame_set_kind(machine, frame, FRAME_TABLE);
	assert_int_equal(frames_used(machine, FRAME_TABLE), 1);
	port_stub_cpu = 4;
	frame_free(machine, frame);
	assert_int_equal(frames_used(machine, FRAME_TABLE), 0);
	port_stub_cpu = 0;
	fixture_close(&fixture);
}

/* The smallest machine has one cache, and no more than an eighth of any machine lies in caches. */
static void caches_are_small_beside_the_machine(void **state)
{
	(void)state;
	for (uint64_t bytes = QUIRE_MACHINE_MIN; bytes <= 1024 * MIB; bytes *= 2) {
		struct fixture fixture = fixture_open(bytes, 0);
		struct quire_machine *machine = fixture.machine;

		assert_in_range(machine->cpus, 1, MACHINE_CPUS_MAX);
		assert_true(machine->cpus * FRAME_CACHE_LIMIT <= machine->frames.count / 8);
		fixture_close(&fixture);
	}
}

static void damage_to_a_cache_is_seen(void **state)
{
	struct fixture fixture = open_cached();
	struct frame_cache *cache = &fixture.machine->frames.caches[CPUS - 1];
	struct frame *first = cache->singles;

	(void)state;
	cache->count++;
	assert_false(frames_valid(fixture.machine));
	cache->count--;
	first->kind = FRAME_ANON;
	assert_false(frames_valid(fixture.machine));
	first->kind = FRAME_FREE;
	cache->singles = first->next; /* one is lost */
	assert_false(frames_valid(fixture.machine));
	cache->singles = first;
	fixture_close(&fixture);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_cpu_gets_every_frame),
		cmocka_unit_test(a_block_is_joined_from_all_caches),
		cmocka_unit_test(the_nth_allocation_fails_wherever_it_is_made),
		cmocka_unit_test(uses_add_up_over_cpus),
		cmocka_unit_test(caches_are_small_beside_the_machine),
		cmocka_unit_test(damage_to_a_cache_is_seen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
