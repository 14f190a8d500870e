/* SPDX-License-Identifier: MIT */
/* Making, counting and ending machines. */
#include <string.h>

#include "machine_fixture.h"

static int create(struct quire_machine_config config)
{
	struct quire_machine *machine = NULL;

	return quire_machine_create(&config, &machine);
}

/*
 * ---- configurations that are refused ------------------------------------------------------------
 */

/* One that is accepted; each test below spoils one field of it. */
static struct quire_machine_config good_config(void)
{
	static _Alignas(4096) unsigned char memory[QUIRE_MACHINE_MIN + PAGE_SIZE];

	return (struct quire_machine_config){.memory = memory, .bytes = QUIRE_MACHINE_MIN};
}

static void the_least_memory_is_enough(void **state)
{
	(void)state;
	assert_int_equal(create(good_config()), 0);
}

static void no_memory_is_refused(void **state)
{
	struct quire_machine_config config = good_config();

	(void)state;
	config.memory = NULL;
	assert_int_equal(create(config), -QUIRE_EINVAL);
}

static void memory_that_is_not_page_aligned_is_refused(void **state)
{
	struct quire_machine_config config = good_config();

	(void)state;
	config.memory = (char *)config.memory + 64;
	assert_int_equal(create(config), -QUIRE_EINVAL);
}

static void bytes_that_are_not_whole_pages_are_refused(void **state)
{
	struct quire_machine_config config = good_config();

	(void)state;
	config.bytes += 1;
	assert_int_equal(create(config), -QUIRE_EINVAL);
}

static void too_little_memory_is_refused(void **state)
{
	struct quire_machine_config config = good_config();

	(void)state;
	config.bytes -= PAGE_SIZE;
	assert_int_equal(create(config), -QUIRE_EINVAL);
	config.bytes = 0;
	assert_int_equal(create(config), -QUIRE_EINVAL);
}

static void too_much_memory_is_refused(void **state)
{
	struct quire_machine_config config = good_config();

	(void)state;
	config.bytes = ((uint64_t)1 << 48) + PAGE_SIZE;
	assert_int_equal(create(config), -QUIRE_EINVAL);
	config.bytes = -PAGE_SIZE;
	assert_int_equal(create(config), -QUIRE_EINVAL);
}

/* Frames end at 2^40: the last one may be the machine's, the one after it not. */
static void frames_beyond_the_last_physical_address_are_refused(void **state)
{
	struct quire_machine_config config = good_config();

	(void)state;
	config.first_frame = ((uint64_t)1 << 40) - QUIRE_MACHINE_MIN / PAGE_SIZE;
	assert_int_equal(create(config), 0);
	config.first_frame++;
	assert_int_equal(create(config), -QUIRE_EINVAL);
	config.first_frame = UINT64_MAX;
	assert_int_equal(create(config), -QUIRE_EINVAL);
}

/*
 * ---- what a machine is made of ------------------------------------------------------------------
 */

static uint64_t resident_pages(void *memory, uint64_t bytes)
{
	static unsigned char pages[1 << 19];
	uint64_t count = 0;

	assert_true(bytes / PAGE_SIZE <= sizeof(pages));
	assert_int_equal(mincore(memory, bytes, pages), 0);
	for (uint64_t i = 0; i < bytes / PAGE_SIZE; i++)
		count += pages[i] & 1;
	return count;
}

/*
 * 2G in zero memory: the machine, the zero page and a descriptor for each of some 40 blocks; not
 * 32M of descriptors.
 */
static void a_large_machine_touches_few_pages(void **state)
{
	struct fixture fixture = fixture_open(2048 * MIB, 1);

	(void)state;
	assert_in_range(resident_pages(fixture.memory, fixture.bytes), 3, 48);
	fixture_close(&fixture);
}

/* The same machine in zero memory and in memory full of noise. */
static void memory_that_is_not_zero_is_cleared_as_needed(void **state)
{
	struct quire_machine_config config = {.bytes = 4 * MIB, .first_frame = 77};
	struct quire_machine_counters clean, noisy;
	struct fixture fixture = fixture_open(config.bytes, config.first_frame);
	struct quire_machine *machine;
	struct frame *frame;

	(void)state;
	config.memory = aligned_alloc(PAGE_SIZE, config.bytes);
	assert_non_null(config.memory);
	memset(config.memory, 0xa5, config.bytes);
	assert_int_equal(quire_machine_create(&config, &machine), 0);
	assert_true(frames_valid(machine));
	assert_true(slabs_valid(machine));

	quire_machine_count(fixture.machine, &clean);
	quire_machine_count(machine, &noisy);
	assert_memory_equal(&clean, &noisy, sizeof(clean));
	frame = frame_alloc(machine, 5);
	assert_non_null(frame);
	frame_free(machine, frame);
	assert_int_equal(quire_machine_destroy(machine), 0);
	free(config.memory);
	fixture_close(&fixture);
}

static void the_zero_page_is_zero_and_not_handed_out(void **state)
{
	static const char zero[PAGE_SIZE];
	struct quire_machine_config config = good_config();
	struct quire_machine *machine;
	struct frame *chain = NULL, *frame;

	(void)state;
	memset(config.memory, 0xff, config.bytes);
	assert_int_equal(quire_machine_create(&config, &machine), 0);
	assert_int_equal(machine->zero_page->kind, FRAME_RESERVED);
	assert_memory_equal(frame_memory(machine, machine->zero_page), zero, PAGE_SIZE);
	while ((frame = frame_alloc(machine, 0))) {
		assert_ptr_not_equal(frame, machine->zero_page);
		memset(frame_memory(machine, frame), 0xff, PAGE_SIZE);
		frame->next = chain;
		chain = frame;
	}
	assert_memory_equal(frame_memory(machine, machine->zero_page), zero, PAGE_SIZE);
	frame_free_chain(machine, chain);
	assert_int_equal(quire_machine_destroy(machine), 0);
}

/*
 * 1M is 256 frames: 5 hold the machine and the descriptors (64 bytes each: 16K), one is the zero
 * page.
 */
static void the_counters_of_a_fresh_machine(void **state)
{
	struct fixture fixture = fixture_open(1 * MIB, 0);
	struct quire_machine_counters counters, expected = {.frames = 250, .frames_free = 250};

	(void)state;
	quire_machine_count(fixture.machine, &counters);
	assert_memory_equal(&counters, &expected, sizeof(counters));
	fixture_close(&fixture);
}

static void defaults_are_filled_in(void **state)
{
	struct quire_machine_config config = good_config();
	struct quire_machine *machine;

	(void)state;
	assert_int_equal(quire_machine_create(&config, &machine), 0);
	assert_int_equal(machine->commit_limit, 256);
	assert_int_equal(machine->max_maps, 65530);
	config.commit_limit = 10 * PAGE_SIZE;
	config.max_maps = 7;
	assert_int_equal(quire_machine_create(&config, &machine), 0);
	assert_int_equal(machine->commit_limit, 10);
	assert_int_equal(machine->max_maps, 7);
}

/*
 * ---- ending
 * ---------------------------------------------------------------------------------------
 */

static void a_machine_with_spaces_is_not_ended(void **state)
{
	struct fixture fixture = fixture_open(1 * MIB, 0);

	(void)state;
	fixture.machine->space_count = 1;
	assert_int_equal(quire_machine_destroy(fixture.machine), -QUIRE_EBUSY);
	fixture.machine->space_count = 0;
	fixture_close(&fixture);
}

static void frames_that_are_missing_at_the_end_are_told(void **state)
{
	struct fixture fixture = fixture_open(1 * MIB, 0);
	struct frame *frame = frame_alloc(fixture.machine, 0);

	(void)state;
	assert_int_equal(quire_machine_destroy(fixture.machine), -QUIRE_EUCLEAN);
	frame_free(fixture.machine, frame);
	fixture_close(&fixture);
}

/* Machines come and go side by side, and share nothing. */
static void many_machines_in_one_process(void **state)
{
	enum { MACHINES = 16, ROUNDS = 2000 };
	struct fixture fixtures[MACHINES] = {0};
	struct frame *frames[MACHINES];
	struct random random = random_start();

	(void)state;
	for (unsigned round = 0; round < ROUNDS; round++) {
		unsigned i = (unsigned)random_below(&random, MACHINES);
		struct fixture *fixture = &fixtures[i];

		if (!fixture->machine) {
			*fixture = fixture_open((1 + random_below(&random, 4)) * MIB, i);
			frames[i] = frame_alloc(fixture->machine, i % 4);
			memset(frame_memory(fixture->machine, frames[i]), (int)i, PAGE_SIZE);
		} else {
			char *bytes = frame_memory(fixture->machine, frames[i]);

			assert_int_equal(bytes[0], i);
			assert_memory_equal(bytes, bytes + 1, PAGE_SIZE - 1);
			frame_free(fixture->machine, frames[i]);
			fixture_close(fixture);
			*fixture = (struct fixture){0};
		}
	}
	for (unsigned i = 0; i < MACHINES; i++)
		if (fixtures[i].machine) {
			frame_free(fixtures[i].machine, frames[i]);
			fixture_close(&fixtures[i]);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_least_memory_is_enough),
		cmocka_unit_test(no_memory_is_refused),
		cmocka_unit_test(memory_that_is_not_page_aligned_is_refused),
		cmocka_unit_test(bytes_that_are_not_whole_pages_are_refused),
		cmocka_unit_test(too_little_memory_is_refused),
		cmocka_unit_test(too_much_memory_is_refused),
		cmocka_unit_test(frames_beyond_the_last_physical_address_are_refused),
		cmocka_unit_test(a_large_machine_touches_few_pages),
		cmocka_unit_test(memory_that_is_not_zero_is_cleared_as_needed),
		cmocka_unit_test(the_zero_page_is_zero_and_not_handed_out),
		cmocka_unit_test(the_counters_of_a_fresh_machine),
		cmocka_unit_test(defaults_are_filled_in),
		cmocka_unit_test(a_machine_with_spaces_is_not_ended),
		cmocka_unit_test(frames_that_are_missing_at_the_end_are_told),
		cmocka_unit_test(many_machines_in_one_process),
	};

	return cmocka_run_group_tests_name("machine", tests, NULL, NULL);
}
