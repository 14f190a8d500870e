/* SPDX-License-Identifier: MIT */
/*
 * A hole is punched beside an access, under every interleaving (stall.h): the access finds the page, or
 * the hole, and nothing in between.
 *
 *	file     [ page ]		on the way:  [ page ]   in the cache, no longer mapped
 *	mapping  [ leaf ]			     [      ]
 */
#include "stall.h"
#include "swap_fixture.h"
#include "userfault_fixture.h"

struct hole {
	struct soft_fixture soft;
	struct quire_object *object;
	struct quire_userfault *context;
	struct soft_cpu *cpu;
	struct quire_thread thread; /* the one that loads, which never sleeps */
	uint64_t address, seen;
	struct soft_result result;
};

/* One page of shared memory with a 1 in it, registered. */
static void open_hole(struct hole *hole, bool swapped, uint64_t mode)
{
	struct soft_config config = {.memory = 4 * MIB, .swap = soft_swap_compressed(64)};

	*hole = (struct hole){.thread = {.id = 1, .nowait = true}};
	hole->soft = soft_fixture_open(&config);
	hole->cpu = soft_machine_cpu(hole->soft.machine, 0);
	assert_int_equal(
		quire_shmem_create(soft_machine_core(hole->soft.machine), PAGE, &hole->object), 0);
	hole->address = map_object(hole->soft.space, hole->object, 1, QUIRE_MAP_SHARED);
	soft_cpu_enter(hole->cpu, hole->soft.space);
	assert_int_equal(soft_store64(hole->cpu, hole->address, 1).outcome, QUIRE_DONE);
	soft_cpu_leave(hole->cpu);
	if (swapped)
		assert_int_equal(
			quire_madvise(hole->soft.space, hole->address, PAGE, QUIRE_MADV_PAGEOUT),
			0);
	hole->context = open_context(hole->soft.space, 0);
	assert_int_equal(register_pages(hole->context, hole->address, 1, mode), 0);
}

static void close_hole(struct hole *hole)
{
	quire_userfault_close(hole->context);
	quire_object_put(hole->object);
	soft_fixture_close(&hole->soft);
}

static void punch(void *context)
{
	struct hole *hole = context;

	assert_int_equal(quire_object_punch(hole->object, 0, PAGE), 0);
}

static void load(void *context)
{
	struct hole *hole = context;

	soft_thread_use(&hole->thread);
	soft_cpu_enter(hole->cpu, hole->soft.space);
	hole->result = soft_load64(hole->cpu, hole->address, &hole->seen);
	soft_cpu_leave(hole->cpu);
	soft_thread_use(NULL);
}

/* A page that is mapped is no minor fault, and a hole is none. */
static void a_hole_on_its_way_is_no_minor_fault(void **state)
{
	struct hole hole;
	struct stall stall = {punch, load, &hole, .stopped = true};

	(void)state;
	for (unsigned k = 1; stall.stopped; k++) {
		open_hole(&hole, false, QUIRE_UFFDIO_REGISTER_MODE_MINOR);
		stall_run(&stall, k);
		assert_int_equal(hole.result.outcome, QUIRE_DONE);
		assert_no_message(hole.context);
		close_hole(&hole);
	}
}

/* The page comes back from swap as it was, or a missing page is reported. */
static void a_page_from_swap_does_not_fill_the_hole(void **state)
{
	struct hole hole;
	struct stall stall = {load, punch, &hole, .stopped = true};

	(void)state;
	for (unsigned k = 1; stall.stopped; k++) {
		open_hole(&hole, true, MISSING);
		stall_run(&stall, k);
		if (hole.result.outcome == QUIRE_DONE)
			assert_int_equal(hole.seen, 1);
		else
			assert_fault(next_message(hole.context, NULL), hole.address, 0);
		close_hole(&hole);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_hole_on_its_way_is_no_minor_fault),
		cmocka_unit_test(a_page_from_swap_does_not_fill_the_hole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
