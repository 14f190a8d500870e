/* SPDX-License-Identifier: MIT */
/* What it costs to migrate pages, and that a single free frame is enough for many. */
#include <quire/migrate.h>

#include "port_probe.h"
#include "swap_fixture.h"

#define MANY 64 /* pages: four times as many as move at once */

static struct swap_fixture fixture;

static void count_call(void *context, enum port_call call, const void *what)
{
	unsigned *calls = context;

	(void)what;
	calls[call]++;
}

static void pages_move_by_the_batch(void **state)
{
	unsigned calls[PORT_CALLS] = {0};
	uint64_t base, moved;

	(void)state;
	swap_fixture_open(&fixture, 4 * MIB, 256);
	base = map(fixture.space, MANY, RW);
	store_numbers(&fixture, base, MANY, 1);
	port_probe_set(count_call, calls);
	assert_int_equal(quire_migrate(fixture.space, base, MANY * PAGE, &moved), 0);
	port_probe_set(NULL, NULL);
	assert_int_equal(moved, MANY);
	assert_int_equal(calls[PORT_FLUSH], MANY / 16);
	assert_int_equal(calls[PORT_WRITE_LOCK], 3 * MANY / 16);
	assert_numbers(&fixture, base, MANY, 1);
	swap_fixture_close(&fixture);
}

/* One page at two addresses of the range. */
static void a_page_that_is_mapped_twice_moves(void **state)
{
	struct quire_object *object;
	uint64_t base = 0x10000000, moved;

	(void)state;
	swap_fixture_open(&fixture, 4 * MIB, 256);
	assert_int_equal(quire_shmem_create(fixture.machine, PAGE, &object), 0);
	for (uint64_t address = base; address < base + 2 * PAGE; address += PAGE)
		assert_int_equal(quire_mmap_object(fixture.space, address, PAGE, RW,
						   QUIRE_MAP_SHARED | QUIRE_MAP_FIXED, object, 0,
						   &moved),
				 0);
	store_word(&fixture, base, 1);
	assert_word(&fixture, base + PAGE, 1);
	assert_int_equal(quire_migrate(fixture.space, base, 2 * PAGE, &moved), 0);
	assert_int_equal(moved, 1);
	store_word(&fixture, base + PAGE, 2);
	assert_word(&fixture, base, 2);
	quire_object_put(object);
	swap_fixture_close(&fixture);
}

static void one_free_frame_is_enough(void **state)
{
	struct soft_config config = {.memory = 1 * MIB, .cpus = 1, .commit_limit = 64 * MIB};
	struct soft_fixture soft = soft_fixture_open(&config);
	struct soft_cpu *cpu = soft_machine_cpu(soft.machine, 0);
	uint64_t base = map(soft.space, 256, RW), pages = 0, moved;

	(void)state;
	soft_cpu_enter(cpu, soft.space);
	while (soft_store64(cpu, base + pages * PAGE, pages).outcome == QUIRE_DONE)
		pages++;
	assert_int_equal(quire_madvise(soft.space, base, PAGE, QUIRE_MADV_DONTNEED), 0);
	assert_int_equal(quire_migrate(soft.space, base, pages * PAGE, &moved), 0);
	assert_int_equal(moved, pages - 1);
	for (uint64_t i = 1; i < pages; i++) {
		uint64_t found;

		assert_int_equal(soft_load64(cpu, base + i * PAGE, &found).outcome, QUIRE_DONE);
		assert_int_equal(found, i);
	}
	soft_cpu_leave(cpu);
	soft_fixture_close(&soft);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pages_move_by_the_batch),
		cmocka_unit_test(a_page_that_is_mapped_twice_moves),
		cmocka_unit_test(one_free_frame_is_enough),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
