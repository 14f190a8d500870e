/* SPDX-License-Identifier: MIT */
/* UFFDIO_MOVE beside accesses, under every interleaving (stall.h). */
#include "stall.h"
#include "userfault_fixture.h"

#define PAGES 4

/* A CPU remembers the page at its old place, another one looks for it at its new one. */
struct moving {
	struct soft_fixture soft;
	struct quire_userfault *context;
	struct soft_cpu *old, *new;
	uint64_t base; /* of PAGES destinations, and as many sources behind them */
	uint64_t flushes;
	uint64_t before,
		after; /* what is at the destination, before and after a store to the source */
};

static uint64_t flushes(struct soft_machine *machine)
{
	struct quire_machine_counters counters;

	quire_machine_count(soft_machine_core(machine), &counters);
	return counters.flushes;
}

static void open_moving(struct moving *moving)
{
	struct soft_config config = {.memory = 4 * MIB, .cpus = 2};

	moving->soft = soft_fixture_open(&config);
	moving->old = soft_machine_cpu(moving->soft.machine, 0);
	moving->new = soft_machine_cpu(moving->soft.machine, 1);
	soft_cpu_enter(moving->old, moving->soft.space);
	soft_cpu_enter(moving->new, moving->soft.space);
	moving->base = map(moving->soft.space, 2 * PAGES, RW);
	moving->context = open_context(moving->soft.space, QUIRE_UFFD_FEATURE_MOVE);
	assert_int_equal(register_pages(moving->context, moving->base, PAGES, WP), 0);
	for (uint64_t page = PAGES; page < (uint64_t)2 * PAGES; page++)
		assert_int_equal(
			soft_store64(moving->old, moving->base + page * PAGE, page).outcome,
			QUIRE_DONE);
}

static void close_moving(struct moving *moving)
{
	quire_userfault_close(moving->context);
	soft_cpu_leave(moving->old);
	soft_cpu_leave(moving->new);
	soft_fixture_close(&moving->soft);
}

static void move_all(void *context)
{
	struct moving *moving = context;
	struct quire_uffdio_move request = {
		.dst = moving->base, .src = moving->base + PAGES * PAGE, .len = PAGES * PAGE};
	uint64_t flushed = flushes(moving->soft.machine);

	quire_userfault_ioctl(moving->context, QUIRE_UFFDIO_MOVE, &request, NULL);
	moving->flushes = flushes(moving->soft.machine) - flushed;
}

static void use_both_places(void *context)
{
	struct moving *moving = context;

	soft_load64(moving->new, moving->base, &moving->before);
	soft_store64(moving->old, moving->base + PAGES * PAGE, 100);
	soft_load64(moving->new, moving->base, &moving->after);
}

static void a_page_that_moves_is_at_one_place(void **state)
{
	struct moving moving;
	struct stall stall = {move_all, use_both_places, &moving, .stopped = true};

	(void)state;
	for (unsigned k = 1; stall.stopped; k++) {
		open_moving(&moving);
		stall_run(&stall, k);
		assert_int_equal(moving.after, moving.before);
		close_moving(&moving);
	}
}

static void a_move_flushes_once(void **state)
{
	struct moving moving;

	(void)state;
	open_moving(&moving);
	move_all(&moving);
	assert_int_equal(moving.flushes, 1);
	for (uint64_t page = 0; page < PAGES; page++) {
		assert_int_equal(
			soft_load64(moving.new, moving.base + page * PAGE, &moving.after).outcome,
			QUIRE_DONE);
		assert_int_equal(moving.after, PAGES + page);
	}
	close_moving(&moving);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_page_that_moves_is_at_one_place),
		cmocka_unit_test(a_move_flushes_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
