/* SPDX-License-Identifier: MIT */
/*
 * Pins: whoever has one and the process see the same page, whatever happens to the process's memory.
 */
#include <string.h>

#include "userfault_fixture.h"

static struct soft_fixture fixture;
static struct soft_cpu *cpu;

static void open_memory(unsigned cpus)
{
	fixture = soft_fixture_open(&(struct soft_config){
		.memory = 16 * MIB, .cpus = cpus, .swap = soft_swap_compressed(1024)});
	cpu = soft_machine_cpu(fixture.machine, cpus - 1);
	soft_cpu_enter(cpu, fixture.space);
}

static struct quire_machine *core(void)
{
	return soft_machine_core(fixture.machine);
}

static void store(uint64_t address, uint64_t value)
{
	assert_int_equal(soft_store64(cpu, address, value).outcome, QUIRE_DONE);
}

static uint64_t load(uint64_t address)
{
	uint64_t value = 0;

	assert_int_equal(soft_load64(cpu, address, &value).outcome, QUIRE_DONE);
	return value;
}

/* A word of a frame, as a device reaches it. */
static _Atomic uint64_t *device_word(uint64_t frame, unsigned word)
{
	return (_Atomic uint64_t *)(void *)soft_machine_frame(fixture.machine, frame) + word;
}

#define PAGES 4

static void a_pin_and_the_process_see_the_same_page(void **state)
{
	uint64_t base, frames[PAGES], moved;
	struct quire_pin pin = {.length = PAGES * PAGE, .frames = frames};
	struct quire_space *child;

	(void)state;
	open_memory(1);
	pin.address = base = map(fixture.space, PAGES, RW);
	assert_int_equal(quire_pin(fixture.space, &pin), 0);
	assert_int_equal(pin.count, PAGES);
	for (unsigned i = 0; i < PAGES; i++) {
		assert_int_equal(entry_at(fixture.space, base + i * PAGE).frame, frames[i]);
		store(base + i * PAGE, i + 1);
		assert_int_equal(*device_word(frames[i], 0), i + 1);
	}
	/* Forked, migrated, paged out, and written to by the process before and after. */
	assert_int_equal(quire_fork(fixture.space, &child), 0);
	assert_int_equal(quire_migrate(fixture.space, base, PAGES * PAGE, &moved), 0);
	assert_int_equal(moved, 0);
	assert_int_equal(quire_migrate(child, base, PAGES * PAGE, &moved), 0);
	assert_int_equal(moved, PAGES);
	assert_int_equal(quire_madvise(fixture.space, base, PAGES * PAGE, QUIRE_MADV_PAGEOUT), 0);
	quire_reclaim(core(), 1000);
	assert_sound(fixture.machine);
	for (unsigned i = 0; i < PAGES; i++) {
		*device_word(frames[i], 0) = 10 + i;
		assert_int_equal(load(base + i * PAGE), 10 + i);
		store(base + i * PAGE, 20 + i);
		assert_int_equal(*device_word(frames[i], 0), 20 + i);
	}
	quire_space_destroy(child);
	quire_unpin(core(), &pin, true);
	assert_int_equal(pin.count, 0);
	quire_unpin(core(), &pin, true);
	assert_int_equal(quire_migrate(fixture.space, base, PAGES * PAGE, &moved), 0);
	assert_int_equal(moved, PAGES);
	soft_fixture_close(&fixture);
}

/* What is written through the pin after MADV_FREE is kept, if one says so. */
static void what_the_device_wrote_is_not_freed_lazily(void **state)
{
	uint64_t base, frame;
	struct quire_pin pin = {.length = 8, .frames = &frame};

	(void)state;
	open_memory(1);
	pin.address = base = map(fixture.space, 1, RW);
	for (unsigned i = 0; i < 2; i++) {
		store(base, 1);
		assert_int_equal(quire_pin(fixture.space, &pin), 0);
		assert_int_equal(quire_madvise(fixture.space, base, PAGE, QUIRE_MADV_FREE), 0);
		*device_word(frame, 0) = 2;
		quire_unpin(core(), &pin, i == 1);
		assert_int_equal(quire_madvise(fixture.space, base, PAGE, QUIRE_MADV_PAGEOUT), 0);
		assert_int_equal(load(base), i == 1 ? 2 : 0);
	}
	soft_fixture_close(&fixture);
}

static uint64_t free_frames(void)
{
	struct quire_machine_counters counters;

	quire_machine_count(core(), &counters);
	return counters.frames_free;
}

/* The frame stays until the last pin has gone, also when the space has. */
static void a_frame_outlives_its_space(void **state)
{
	struct quire_space *space;
	uint64_t base, frame, other, left = 0;
	struct quire_pin pin = {.length = 1, .frames = &frame}, second = pin;

	(void)state;
	open_memory(1);
	left = free_frames();
	second.frames = &other;
	space = new_space(fixture.machine);
	pin.address = second.address = base = map(space, 1, RW);
	assert_int_equal(quire_pin(space, &pin), 0);
	assert_int_equal(quire_pin(space, &second), 0);
	assert_int_equal(frame, other);
	*device_word(frame, 0) = 5;
	quire_space_destroy(space);
	assert_sound(fixture.machine);
	assert_int_equal(*device_word(frame, 0), 5);
	quire_unpin(core(), &pin, true);
	assert_int_equal(*device_word(frame, 0), 5);
	assert_int_equal(free_frames() + 1, left);
	quire_unpin(core(), &second, true);
	assert_int_equal(free_frames(), left);
	soft_fixture_close(&fixture);
}

/* All or nothing, for want of a frame as well. */
static void what_fails_pins_nothing(void **state)
{
	uint64_t base, frames[PAGES], moved;
	struct quire_pin pin = {.length = PAGES * PAGE, .frames = frames};

	(void)state;
	open_memory(1);
	pin.address = base = map(fixture.space, PAGES, RW);
	store(base, 1);
	quire_machine_fail_nth(core(), 2); /* the third page */
	assert_int_equal(quire_pin(fixture.space, &pin), -QUIRE_ENOMEM);
	assert_true(quire_machine_failed(core()));
	assert_int_equal(pin.count, 0);
	assert_int_equal(quire_munmap(fixture.space, base + 3 * PAGE, PAGE), 0);
	assert_int_equal(quire_pin(fixture.space, &pin), -QUIRE_EFAULT);
	assert_int_equal(pin.count, 0);
	pin.length = 0;
	assert_int_equal(quire_pin(fixture.space, &pin), -QUIRE_EFAULT);
	pin.length = 0 - base;
	assert_int_equal(quire_pin(fixture.space, &pin), -QUIRE_EFAULT);
	assert_int_equal(quire_migrate(fixture.space, base, PAGES * PAGE, &moved), 0);
	assert_int_equal(moved, 3);
	soft_fixture_close(&fixture);
}

/* A fork that finds no frame for the copies fails whole. */
static void a_fork_without_frames_changes_nothing(void **state)
{
	uint64_t base, frames[PAGES], before, count = 0;
	struct quire_pin pin = {.length = PAGES * PAGE, .frames = frames};
	struct quire_space *child;

	(void)state;
	open_memory(1);
	pin.address = base = map(fixture.space, PAGES, RW);
	assert_int_equal(quire_pin(fixture.space, &pin), 0);
	before = free_frames();
	do {
		quire_machine_fail_nth(core(), ++count);
		if (quire_fork(fixture.space, &child) == 0)
			break;
		assert_int_equal(free_frames(), before);
		assert_sound(fixture.machine);
		assert_true(entry_at(fixture.space, base).exclusive);
	} while (count < 100);
	quire_machine_fail_nth(core(), 0);
	assert_in_range(count, PAGES, 99);
	quire_space_destroy(child);
	quire_unpin(core(), &pin, false);
	soft_fixture_close(&fixture);
}

static void a_page_can_be_pinned_so_often(void **state)
{
	enum { MOST = 65280 };
	static uint64_t frames[MOST + 1];
	uint64_t base;
	static struct quire_pin pins[MOST + 1];
	unsigned count = 0;
	int error;

	(void)state;
	open_memory(1);
	base = map(fixture.space, 1, RW);
	do {
		pins[count] =
			(struct quire_pin){.address = base, .length = 1, .frames = &frames[count]};
		error = quire_pin(fixture.space, &pins[count]);
	} while (!error && ++count <= MOST);
	assert_int_equal(error, -QUIRE_ENOMEM);
	assert_int_equal(count, MOST);
	assert_sound(fixture.machine);
	while (count--)
		quire_unpin(core(), &pins[count], false);
	soft_fixture_close(&fixture);
}

static void range_counts_pages_that_it_touches(void **state)
{
	(void)state;
	assert_int_equal(quire_pin_pages(0, 0), 0);
	assert_int_equal(quire_pin_pages(0, 1), 1);
	assert_int_equal(quire_pin_pages(4095, 1), 1);
	assert_int_equal(quire_pin_pages(4095, 2), 2);
	assert_int_equal(quire_pin_pages(4095, 4097), 2);
	assert_int_equal(quire_pin_pages(4095, 4098), 3);
	assert_int_equal(quire_pin_pages(4096, 8192), 2);
	assert_int_equal(quire_pin_pages(1, UINT64_MAX - 4095), (uint64_t)1 << 52);
}

/*
 *	pinned | missing | missing
 *
 * A thread that may not sleep goes on where it was blocked, or gives up what it has.
 */
static void a_blocked_pin_goes_on_or_is_given_up(void **state)
{
	struct quire_thread thread = {.id = 1, .nowait = true};
	uint64_t base, frames[3], moved;
	struct quire_pin pin = {.length = 3 * PAGE, .frames = frames};
	struct quire_userfault *context;

	(void)state;
	open_memory(1);
	pin.address = base = map(fixture.space, 3, RW);
	store(base, 1);
	context = open_context(fixture.space, 0);
	assert_int_equal(register_pages(context, base + PAGE, 2, MISSING), 0);
	soft_thread_use(&thread);
	for (unsigned blocked = 1; blocked < 3; blocked++) {
		struct quire_uffdio_zeropage zero = {.range = {base + blocked * PAGE, PAGE}};

		assert_int_equal(quire_pin(fixture.space, &pin), -QUIRE_EINPROGRESS);
		assert_int_equal(pin.count, blocked);
		assert_true(quire_thread_asleep(&thread));
		assert_int_equal(quire_migrate(fixture.space, base, PAGE, &moved), 0);
		assert_int_equal(moved, 0);
		assert_int_equal(quire_userfault_ioctl(context, QUIRE_UFFDIO_ZEROPAGE, &zero, NULL),
				 0);
		assert_false(quire_thread_asleep(&thread));
	}
	assert_int_equal(quire_pin(fixture.space, &pin), 0);
	assert_int_equal(pin.count, 3);
	quire_unpin(core(), &pin, false);

	assert_int_equal(quire_madvise(fixture.space, base + PAGE, PAGE, QUIRE_MADV_DONTNEED), 0);
	assert_int_equal(quire_pin(fixture.space, &pin), -QUIRE_EINPROGRESS);
	quire_thread_interrupt(core(), &thread, true);
	assert_int_equal(quire_pin(fixture.space, &pin), -QUIRE_EFAULT);
	assert_int_equal(pin.count, 0);
	soft_thread_use(NULL);
	quire_userfault_close(context);
	soft_fixture_close(&fixture);
}

/* --- threads --- */

#define SHARED_PAGES 8

static struct {
	uint64_t base;
	_Atomic bool over;
	_Atomic uint64_t wrong, rounds, pins;
} world;

static void expect(bool condition)
{
	if (!condition)
		world.wrong++;
}

/* Pins a page, counts in its first word as a device does, and lets go of it. */
static void *be_a_device(void *argument)
{
	uint64_t counts[SHARED_PAGES] = {0};

	while (!world.over) {
		for (unsigned i = 0; i < SHARED_PAGES; i++) {
			uint64_t frame, value;
			struct quire_pin pin = {
				.address = world.base + i * PAGE, .length = PAGE, .frames = &frame};
			size_t done;

			expect(!quire_pin(fixture.space, &pin));
			expect(*device_word(frame, 0) == counts[i]);
			*device_word(frame, 0) = ++counts[i];
			sched_yield();
			expect(!quire_access_read(fixture.space, pin.address, &value, 8, &done));
			expect(value == counts[i]);
			quire_unpin(core(), &pin, true);
			world.pins++;
		}
	}
	return argument;
}

/* The process, on a CPU, counts in the second word. */
static void *be_the_process(void *argument)
{
	struct soft_cpu *own = soft_machine_cpu(fixture.machine, 0);
	uint64_t counts[SHARED_PAGES] = {0}, value;

	soft_cpu_enter(own, fixture.space);
	while (!world.over) {
		for (unsigned i = 0; i < SHARED_PAGES; i++) {
			uint64_t address = world.base + i * PAGE + 8;

			expect(soft_load64(own, address, &value).outcome == QUIRE_DONE);
			expect(value == counts[i]);
			expect(soft_store64(own, address, ++counts[i]).outcome == QUIRE_DONE);
		}
	}
	soft_cpu_leave(own);
	return argument;
}

/* Everything that gives pages other frames. */
static void *disturb(void *argument)
{
	while (!world.over) {
		struct quire_space *child;
		uint64_t moved;

		if (quire_fork(fixture.space, &child) == 0)
			quire_space_destroy(child);
		quire_migrate(fixture.space, world.base, SHARED_PAGES * PAGE, &moved);
		quire_madvise(fixture.space, world.base, SHARED_PAGES * PAGE, QUIRE_MADV_PAGEOUT);
		world.rounds++;
	}
	return argument;
}

static void no_store_is_lost_on_either_side(void **state)
{
	void *(*const act[])(void *) = {be_a_device, be_the_process, disturb};
	const char *given = getenv("QUIRE_STRESS_SECONDS");
	double end = seconds() + (given ? strtod(given, NULL) : 1.5);
	pthread_t threads[3];

	(void)state;
	open_memory(2);
	memset(&world, 0, sizeof(world));
	world.base = map(fixture.space, SHARED_PAGES, RW);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, act[i], NULL), 0);
	while (seconds() < end)
		sched_yield();
	world.over = true;
	for (unsigned i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	print_message("%ju pins, %ju forks\n", (uintmax_t)world.pins, (uintmax_t)world.rounds);
	assert_int_equal(world.wrong, 0);
	assert_true(world.pins > 0 && world.rounds > 0);
	soft_fixture_close(&fixture);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_pin_and_the_process_see_the_same_page),
		cmocka_unit_test(what_the_device_wrote_is_not_freed_lazily),
		cmocka_unit_test(a_frame_outlives_its_space),
		cmocka_unit_test(what_fails_pins_nothing),
		cmocka_unit_test(a_fork_without_frames_changes_nothing),
		cmocka_unit_test(a_page_can_be_pinned_so_often),
		cmocka_unit_test(range_counts_pages_that_it_touches),
		cmocka_unit_test(a_blocked_pin_goes_on_or_is_given_up),
		cmocka_unit_test(no_store_is_lost_on_either_side),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
