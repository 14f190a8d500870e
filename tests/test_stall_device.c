/* SPDX-License-Identifier: MIT */
/* Device memory under every interleaving of two operations (stall.h). */
#include "device_fixture.h"
#include "stall.h"

#include <sched.h>

#define BASE ((uint64_t)64 * GIB)
#define SIZE (2 * GIB)
#define GONE 0xeeeeeeeeeeeeeeee /* in what was the device's, and is somebody else's now */

/* Two CPUs in one space that maps a device. */
struct world {
	struct soft_fixture soft;
	struct soft_cpu *cpu[2];
	struct device device;
	unsigned level;
	uint64_t value; /* that a has loaded */
};

static uint64_t span(unsigned level)
{
	return leaf_pages(level) * PAGE;
}

static void open_world(struct world *world, enum quire_device_kind kind, unsigned level, int flags)
{
	uint64_t result;

	*world = (struct world){.level = level};
	world->soft = soft_fixture_open(
		&(struct soft_config){.memory = 4 * MIB, .cpus = 2, .commit_limit = SIZE});
	for (unsigned i = 0; i < 2; i++)
		world->cpu[i] = soft_machine_cpu(world->soft.machine, i);
	device_open(&world->device, soft_machine_core(world->soft.machine), 0, kind, level, SIZE);
	assert_int_equal(quire_mmap_object(world->soft.space, BASE, span(level), RW,
					   flags | QUIRE_MAP_FIXED, world->device.object, 0,
					   &result),
			 0);
}

static void close_world(struct world *world)
{
	assert_sound(world->soft.machine);
	assert_int_equal(quire_munmap(world->soft.space, BASE, span(world->level)), 0);
	device_close(&world->device);
	soft_fixture_close(&world->soft);
}

static struct quire_entry_report entry(struct world *world, uint64_t offset)
{
	return entry_at(world->soft.space, BASE + offset);
}

static uint64_t *word(struct world *world, uint64_t offset)
{
	return (uint64_t *)(void *)(world->device.memory + offset);
}

static void a_loads(void *context)
{
	struct world *world = context;

	soft_cpu_enter(world->cpu[0], world->soft.space);
	assert_int_equal(soft_load64(world->cpu[0], BASE, &world->value).outcome, QUIRE_DONE);
	soft_cpu_leave(world->cpu[0]);
}

static void a_stores_behind(void *context)
{
	struct world *world = context;

	soft_cpu_enter(world->cpu[0], world->soft.space);
	assert_int_equal(soft_store64(world->cpu[0], BASE + 8, 1).outcome, QUIRE_DONE);
	soft_cpu_leave(world->cpu[0]);
}

/* --- what a device takes back --- */

/* The leaf moves up by its size, and what was there is somebody else's. */
static void b_moves_the_leaf(void *context)
{
	struct world *world = context;

	memcpy(word(world, span(world->level)), word(world, 0), 8 * 2);
	world->device.moved = leaf_pages(world->level);
	quire_device_revoke(world->device.object, 0, span(world->level));
	*word(world, 0) = GONE;
}

static const enum quire_device_kind kinds[] = {QUIRE_DEVICE_DAX, QUIRE_DEVICE_FSDAX,
					       QUIRE_DEVICE_PFN};

static void what_is_revoked_is_mapped_no_more(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 6; i++) {
		struct world world;
		struct stall stall = {a_loads, b_moves_the_leaf, &world, .stopped = true};

		for (unsigned k = 1; stall.stopped; k++) {
			open_world(&world, kinds[i / 2], 1 + i % 2, QUIRE_MAP_SHARED);
			*word(&world, 0) = 5;
			stall_run(&stall, k);
			assert_int_equal(world.value, 5);
			if (entry(&world, 0).kind == QUIRE_ENTRY_LEAF)
				assert_int_equal(entry(&world, 0).frame,
						 world.device.frame + leaf_pages(world.level));
			a_loads(&world);
			assert_int_equal(world.value, 5);
			close_world(&world);
		}
	}
}

static void a_moves_the_leaf(void *context)
{
	b_moves_the_leaf(context);
}

static void b_loads(void *context)
{
	a_loads(context);
}

static void a_revocation_finds_what_a_fault_installs(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 6; i++) {
		struct world world;
		struct stall stall = {a_moves_the_leaf, b_loads, &world, .stopped = true};

		for (unsigned k = 1; stall.stopped; k++) {
			open_world(&world, kinds[i / 2], 1 + i % 2, QUIRE_MAP_SHARED);
			*word(&world, 0) = 5;
			stall_run(&stall, k);
			assert_int_equal(world.value, 5);
			a_loads(&world);
			assert_int_equal(world.value, 5);
			close_world(&world);
		}
	}
}

/* What is copied is what was the device's at that time. */
static void nothing_is_copied_from_what_was_revoked(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		struct world world;
		struct stall stall = {a_stores_behind, b_moves_the_leaf, &world, .stopped = true};

		for (unsigned k = 1; stall.stopped; k++) {
			open_world(&world, kinds[1 + i / 2], 1, QUIRE_MAP_PRIVATE);
			*word(&world, 0) = 5;
			if (i % 2) /* the leaf stands there already */
				a_loads(&world);
			stall_run(&stall, k);
			a_loads(&world);
			assert_int_equal(world.value, 5);
			assert_int_equal(*word(&world, 8), 0);
			close_world(&world);
		}
	}
}

/* --- two faults --- */

static void b_stores(void *context)
{
	struct world *world = context;

	soft_cpu_enter(world->cpu[1], world->soft.space);
	assert_int_equal(soft_store64(world->cpu[1], BASE + span(world->level) - 8, 2).outcome,
			 QUIRE_DONE);
	soft_cpu_leave(world->cpu[1]);
}

static void two_faults_install_one_leaf(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 6; i++) {
		struct world world;
		struct stall stall = {a_stores_behind, b_stores, &world, .stopped = true};

		for (unsigned k = 1; stall.stopped; k++) {
			open_world(&world, kinds[i / 2], 1 + i % 2, QUIRE_MAP_SHARED);
			stall_run(&stall, k);
			assert_int_equal(*word(&world, 8), 1);
			assert_int_equal(*word(&world, span(world.level) - 8), 2);
			assert_int_equal(entry(&world, 0).level, world.level);
			assert_true(entry(&world, 0).writable);
			assert_true(entry(&world, 0).dirty);
			close_world(&world);
		}
	}
}

/* One copies its page, the other one its own, out of one leaf. */
static void two_copies_come_out_of_one_leaf(void **state)
{
	struct world world;
	struct stall stall = {a_stores_behind, b_stores, &world, .stopped = true};

	(void)state;
	for (unsigned k = 1; stall.stopped; k++) {
		open_world(&world, QUIRE_DEVICE_FSDAX, 2, QUIRE_MAP_PRIVATE);
		*word(&world, 0) = 5;
		*word(&world, SIZE / 4) = 6;
		a_loads(&world);
		stall_run(&stall, k);
		assert_true(entry(&world, 0).exclusive);
		assert_true(entry(&world, span(2) - PAGE).exclusive);
		assert_int_equal(entry(&world, SIZE / 4).frame,
				 world.device.frame + SIZE / 4 / PAGE);
		a_loads(&world);
		assert_int_equal(world.value, 5);
		close_world(&world);
	}
}

/* --- beside those who take memory away --- */

static void b_unmaps(void *context)
{
	struct world *world = context;

	assert_int_equal(quire_munmap(world->soft.space, BASE, span(world->level)), 0);
}

static void a_faults(void *context)
{
	struct world *world = context;

	quire_fault(world->soft.space, BASE, QUIRE_WRITE);
}

static void a_fault_leaves_nothing_where_memory_was_unmapped(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 6; i++) {
		struct world world;
		struct stall stall = {a_faults, b_unmaps, &world, .stopped = true};

		for (unsigned k = 1; stall.stopped; k++) {
			open_world(&world, kinds[i / 2], 1 + i % 2, QUIRE_MAP_SHARED);
			stall_run(&stall, k);
			assert_int_equal(entry(&world, 0).kind, QUIRE_ENTRY_ABSENT);
			close_world(&world);
		}
	}
}

#define HOLE (5 * PAGE)

static void b_punches(void *context)
{
	struct world *world = context;

	assert_int_equal(quire_object_punch(world->device.object, HOLE, PAGE), 0);
	*word(world, HOLE) = GONE;
}

/* A leaf that is asked for elsewhere in it has the page, too. */
static void no_leaf_reaches_over_a_hole(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct world world;
		struct stall first = {a_faults, b_punches, &world, .stopped = true};
		struct stall second = {b_punches, a_faults, &world, .stopped = true};
		struct stall *stall = i ? &first : &second;

		for (unsigned k = 1; stall->stopped; k++) {
			open_world(&world, QUIRE_DEVICE_FSDAX, 1, QUIRE_MAP_SHARED);
			world.device.discard_splits = true;
			*word(&world, HOLE) = 7;
			stall_run(stall, k);
			assert_true(entry(&world, HOLE).kind != QUIRE_ENTRY_LEAF ||
				    entry(&world, HOLE).level == 0);
			close_world(&world);
		}
	}
}

static _Atomic bool begun, done;

static void b_punches_beside(void *context)
{
	begun = true;
	b_punches(context);
	done = true;
}

/* The device has looked where the page is, and says so when the hole has been made. */
static void until_done(struct device *device)
{
	(void)device;
	while (begun && !done)
		sched_yield();
}

/* What is asked while a hole is being made, and answered as if there were none, is asked again. */
static void an_answer_from_before_the_hole_does_not_count(void **state)
{
	struct world world;
	struct stall stall = {a_faults, b_punches_beside, &world, .stopped = true};

	(void)state;
	for (unsigned k = 1; stall.stopped; k++) {
		open_world(&world, QUIRE_DEVICE_FSDAX, 1, QUIRE_MAP_SHARED);
		world.device.discard_splits = true;
		world.device.meanwhile = until_done;
		begun = done = false;
		stall_run(&stall, k);
		assert_true(entry(&world, HOLE).kind != QUIRE_ENTRY_LEAF ||
			    entry(&world, HOLE).level == 0);
		close_world(&world);
	}
}

static void b_truncates(void *context)
{
	struct world *world = context;

	assert_int_equal(quire_object_truncate(world->device.object, HOLE), 0);
}

static void no_leaf_reaches_behind_the_end(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct world world;
		struct stall first = {a_faults, b_truncates, &world, .stopped = true};
		struct stall second = {b_truncates, a_faults, &world, .stopped = true};
		struct stall *stall = i ? &first : &second;

		for (unsigned k = 1; stall->stopped; k++) {
			open_world(&world, QUIRE_DEVICE_FSDAX, 1, QUIRE_MAP_SHARED);
			stall_run(stall, k);
			assert_int_not_equal(entry(&world, HOLE).kind, QUIRE_ENTRY_LEAF);
			close_world(&world);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_revoked_is_mapped_no_more),
		cmocka_unit_test(a_revocation_finds_what_a_fault_installs),
		cmocka_unit_test(nothing_is_copied_from_what_was_revoked),
		cmocka_unit_test(two_faults_install_one_leaf),
		cmocka_unit_test(two_copies_come_out_of_one_leaf),
		cmocka_unit_test(a_fault_leaves_nothing_where_memory_was_unmapped),
		cmocka_unit_test(no_leaf_reaches_over_a_hole),
		cmocka_unit_test(an_answer_from_before_the_hole_does_not_count),
		cmocka_unit_test(no_leaf_reaches_behind_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
