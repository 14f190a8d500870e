/* SPDX-License-Identifier: MIT */
/*
 * Migration: what it moves and what stays, that a page looks the same afterwards, and that nothing is
 * lost while everything else goes on beside it.
 *
 * QUIRE_STRESS_SECONDS says how long the threads go on.
 */
#include "userfault_fixture.h"

static struct soft_fixture fixture;
static struct soft_cpu *cpu;

static void open_memory(unsigned cpus, struct soft_swap *swap)
{
	fixture = soft_fixture_open(
		&(struct soft_config){.memory = 16 * MIB, .cpus = cpus, .swap = swap});
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
	uint64_t value;

	assert_int_equal(soft_load64(cpu, address, &value).outcome, QUIRE_DONE);
	return value;
}

static uint64_t frame_of(struct quire_space *space, uint64_t address)
{
	assert_true(entry_at(space, address).has_frame);
	return entry_at(space, address).frame;
}

static uint64_t migrate(struct quire_space *space, uint64_t address, uint64_t pages)
{
	uint64_t moved;

	assert_int_equal(quire_migrate(space, address, pages * PAGE, &moved), 0);
	return moved;
}

static uint64_t map_object(struct quire_space *space, struct quire_object *object, uint64_t pages)
{
	uint64_t address = 0;

	assert_int_equal(quire_mmap_object(space, 0, pages * PAGE, RW, QUIRE_MAP_SHARED, object, 0,
					   &address),
			 0);
	return address;
}

/* --- one thread --- */

/* Whether the entries say the same of everything but their frame. */
static void assert_alike(struct quire_entry_report a, struct quire_entry_report b)
{
	assert_int_not_equal(a.frame, b.frame);
	b.frame = a.frame;
	assert_int_equal(a.kind, b.kind);
	assert_true(a.writable == b.writable && a.user == b.user && a.exec == b.exec);
	assert_true(a.dirty == b.dirty && a.young == b.young && a.exclusive == b.exclusive);
	assert_true(a.uffd_wp == b.uffd_wp && a.special == b.special);
}

/*
 *	dirty | read-only | no access | old and clean | zeros | nothing
 */
static void a_page_changes_its_frame_and_nothing_else(void **state)
{
	struct quire_entry_report before[6];
	uint64_t base;

	(void)state;
	open_memory(1, NULL);
	base = map(fixture.space, 6, RW);
	for (unsigned i = 0; i < 4; i++)
		store(base + i * PAGE, 100 + i);
	assert_int_equal(quire_mprotect(fixture.space, base + PAGE, PAGE, R), 0);
	assert_int_equal(quire_mprotect(fixture.space, base + 2 * PAGE, PAGE, NONE), 0);
	assert_int_equal(quire_madvise(fixture.space, base + 3 * PAGE, PAGE, QUIRE_MADV_FREE), 0);
	assert_int_equal(load(base + 4 * PAGE), 0);
	for (unsigned i = 0; i < 6; i++)
		before[i] = entry_at(fixture.space, base + i * PAGE);

	assert_int_equal(migrate(fixture.space, base, 6), 4);
	for (unsigned i = 0; i < 4; i++)
		assert_alike(before[i], entry_at(fixture.space, base + i * PAGE));
	assert_int_equal(frame_of(fixture.space, base + 4 * PAGE), before[4].frame);
	assert_int_equal(entry_at(fixture.space, base + 5 * PAGE).kind, QUIRE_ENTRY_ABSENT);
	assert_sound(fixture.machine);

	assert_int_equal(quire_mprotect(fixture.space, base + 2 * PAGE, PAGE, RW), 0);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(load(base + i * PAGE), 100 + i);
	assert_int_equal(soft_store64(cpu, base + PAGE, 1).outcome, QUIRE_SEGV);
	soft_fixture_close(&fixture);
}

/* Every process that maps the page maps the other one then. */
static void every_mapping_gets_the_new_frame(void **state)
{
	struct quire_space *child, *grandchild;
	struct quire_object *object;
	uint64_t own, first, second, was;

	(void)state;
	open_memory(1, NULL);
	assert_int_equal(quire_shmem_create(core(), 4 * PAGE, &object), 0);
	own = map(fixture.space, 1, RW);
	first = map_object(fixture.space, object, 4);
	second = map_object(fixture.space, object, 4);
	store(own, 1);
	store(first, 2);
	assert_int_equal(load(second), 2);
	assert_int_equal(quire_fork(fixture.space, &child), 0);
	assert_int_equal(quire_fork(child, &grandchild), 0);

	was = frame_of(fixture.space, own);
	assert_int_equal(migrate(grandchild, own, 1), 1);
	assert_int_not_equal(frame_of(fixture.space, own), was);
	assert_int_equal(frame_of(child, own), frame_of(fixture.space, own));
	assert_int_equal(frame_of(grandchild, own), frame_of(fixture.space, own));

	was = frame_of(fixture.space, first);
	assert_int_equal(migrate(fixture.space, second, 4), 1);
	assert_int_not_equal(frame_of(fixture.space, first), was);
	assert_int_equal(frame_of(fixture.space, first), frame_of(fixture.space, second));
	store(first, 3);
	assert_int_equal(load(second), 3);
	assert_int_equal(quire_object_resident(object, 0, 4 * PAGE), 1);
	assert_sound(fixture.machine);

	/* Unmapped, the object still has it. */
	assert_int_equal(quire_munmap(fixture.space, first, 4 * PAGE), 0);
	assert_int_equal(quire_munmap(fixture.space, second, 4 * PAGE), 0);
	quire_space_destroy(child);
	quire_space_destroy(grandchild);
	first = map_object(fixture.space, object, 4);
	assert_int_equal(load(first), 3);
	assert_int_equal(load(own), 1);
	quire_object_put(object);
	soft_fixture_close(&fixture);
}

/* What is pinned stays; so does what has just come back from swap, with another copy in its slot. */
static void what_is_in_use_stays(void **state)
{
	uint64_t number, base, was, moved;
	struct quire_pin pin = {.length = PAGE, .frames = &number};

	(void)state;
	open_memory(1, NULL);
	base = map(fixture.space, 2, RW);
	store(base, 1);
	store(base + PAGE, 2);
	pin.address = base;
	assert_int_equal(quire_pin(fixture.space, &pin), 0);
	was = frame_of(fixture.space, base);
	assert_int_equal(was, number);
	assert_int_equal(migrate(fixture.space, base, 2), 1);
	assert_int_equal(frame_of(fixture.space, base), was);
	quire_unpin(core(), &pin, true);
	assert_int_equal(migrate(fixture.space, base, 2), 2);
	assert_int_not_equal(frame_of(fixture.space, base), was);

	assert_int_equal(quire_migrate(fixture.space, base + 1, PAGE, &moved), -QUIRE_EINVAL);
	assert_int_equal(quire_migrate(fixture.space, base, 0 - base, &moved), -QUIRE_EINVAL);
	assert_int_equal(quire_migrate(fixture.space, base, UINT64_MAX, &moved), -QUIRE_EINVAL);
	assert_int_equal(migrate(fixture.space, base, 0), 0);
	assert_int_equal(migrate(fixture.space, 0, ((uint64_t)1 << 48) / PAGE), 2);
	soft_fixture_close(&fixture);
}

static void without_a_frame_nothing_moves(void **state)
{
	uint64_t base, moved, frames[3];

	(void)state;
	open_memory(1, NULL);
	base = map(fixture.space, 3, RW);
	for (unsigned i = 0; i < 3; i++) {
		store(base + i * PAGE, i);
		frames[i] = frame_of(fixture.space, base + i * PAGE);
	}
	/* The first page moves, and the second needs a frame again. */
	quire_machine_fail_nth(core(), 2);
	assert_int_equal(quire_migrate(fixture.space, base, 3 * PAGE, &moved), -QUIRE_ENOMEM);
	assert_true(quire_machine_failed(core()));
	assert_int_equal(moved, 1);
	assert_int_not_equal(frame_of(fixture.space, base), frames[0]);
	for (unsigned i = 1; i < 3; i++)
		assert_int_equal(frame_of(fixture.space, base + i * PAGE), frames[i]);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(load(base + i * PAGE), i);
	soft_fixture_close(&fixture);
}

/* --- threads --- */

#define PAGES	   24 /* of each kind of memory */
#define WRITERS	   2  /* on CPUs 0 and 1 */
#define CPUS	   (WRITERS + 1)
#define KERNEL	   WRITERS /* writes on the process's behalf */
#define FILE_WRITE (WRITERS + 1)
#define COUNTERS   (WRITERS + 2) /* each counts in a word of its own, in every page */
#define PATTERN	   8		 /* pages of memory that comes and goes */

static struct {
	uint64_t anon, shared; /* PAGES each */
	struct quire_object *object;
	uint64_t counts[COUNTERS][2 * PAGES];
	struct quire_userfault *context;
	uint64_t home, away; /* pages that MOVE moves between them; not forked */
	_Atomic bool over;
	_Atomic uint64_t moved, forks, wrong;
} world;

static void expect(bool condition)
{
	if (!condition)
		world.wrong++;
}

static uint64_t page_of(unsigned page)
{
	return page < PAGES ? world.anon + page * PAGE : world.shared + (page - PAGES) * PAGE;
}

/* One more in its word of a page, through its CPU; where it may not write now it tries again. */
static void count_up(struct soft_cpu *own, unsigned number, unsigned page)
{
	uint64_t *count = &world.counts[number][page], address = page_of(page) + 8 * number, value;
	struct soft_result result;

	if (soft_load64(own, address, &value).outcome == QUIRE_DONE)
		expect(value == *count);
	do
		result = soft_store64(own, address, *count + 1);
	while (result.outcome == QUIRE_SEGV);
	expect(result.outcome == QUIRE_DONE);
	++*count;
}

static void *write_pages(void *argument)
{
	unsigned number = (unsigned)(uintptr_t)argument;
	struct random random = {number};
	struct soft_cpu *own = soft_machine_cpu(fixture.machine, number);

	soft_cpu_enter(own, fixture.space);
	while (!world.over)
		count_up(own, number, (unsigned)random_below(&random, 2 * PAGES));
	soft_cpu_leave(own);
	return NULL;
}

static void *write_as_kernel(void *argument)
{
	struct random random = {77};

	while (!world.over) {
		unsigned page = (unsigned)random_below(&random, 2 * PAGES);
		uint64_t value = ++world.counts[KERNEL][page];
		size_t done;
		int error;

		do
			error = quire_access_write(fixture.space, page_of(page) + 8 * KERNEL,
						   &value, sizeof(value), &done);
		while (error == -QUIRE_EFAULT);
		expect(!error);
	}
	return argument;
}

static void *write_file(void *argument)
{
	struct random random = {78};

	while (!world.over) {
		uint64_t page = random_below(&random, PAGES), value;
		uint64_t *count = &world.counts[FILE_WRITE][PAGES + page];
		uint64_t offset = page * PAGE + 8 * FILE_WRITE;
		size_t done;

		expect(!quire_object_read(world.object, offset, &value, sizeof(value), &done));
		expect(value == *count);
		++*count;
		expect(!quire_object_write(world.object, offset, count, sizeof(*count), &done));
	}
	return argument;
}

static void *migrate_all(void *argument)
{
	const uint64_t everything = (uint64_t)1 << 47;
	uint64_t moved;

	while (!world.over) {
		int error = quire_migrate(fixture.space, 0, everything, &moved);

		expect(!error || error == -QUIRE_ENOMEM);
		world.moved += moved;
	}
	return argument;
}

/* A child sees what its parent had; it does not change, wherever the pages go. */
static void *fork_children(void *argument)
{
	struct random random = {79};

	while (!world.over) {
		uint64_t address = page_of((unsigned)random_below(&random, PAGES));
		unsigned char first[PAGE], then[PAGE];
		struct quire_space *child;
		size_t moved, done;
		int error;

		if (quire_fork(fixture.space, &child))
			continue;
		error = quire_access_read(child, address, first, PAGE, &done);
		expect(!error || error == -QUIRE_EFAULT); /* the parent had no access just then */
		quire_migrate(child, world.anon, PAGES * PAGE, &moved);
		expect(quire_access_read(child, address, then, PAGE, &done) == error);
		expect(error || !memcmp(first, then, PAGE));
		quire_space_destroy(child);
		world.forks++;
	}
	return argument;
}

static void *protect_and_drop(void *argument)
{
	struct random random = {80};

	while (!world.over) {
		unsigned first = (unsigned)random_below(&random, 2 * PAGES);

		expect(!quire_mprotect(fixture.space, page_of(first), PAGE, first % 3 ? R : NONE));
		expect(!quire_mprotect(fixture.space, page_of(first), PAGE, RW));
		first = PAGES + first % PAGES;
		expect(!quire_madvise(fixture.space, page_of(first), PAGE, QUIRE_MADV_DONTNEED));
	}
	return argument;
}

static int access_word(uint64_t address, uint64_t *value, bool write)
{
	size_t done;

	return write ? quire_access_write(fixture.space, address, value, sizeof(*value), &done)
		     : quire_access_read(fixture.space, address, value, sizeof(*value), &done);
}

/* Memory comes, is written to, moves to another address, loses half of its pages, and goes. */
static void *map_and_unmap(void *argument)
{
	while (!world.over) {
		uint64_t here = map(fixture.space, PATTERN, RW), gap, there, value;

		gap = map(fixture.space, PATTERN, NONE);
		for (uint64_t i = 0; i < PATTERN; i++)
			expect(!access_word(here + i * PAGE, &i, true));
		expect(!quire_mremap(fixture.space, here, PATTERN * PAGE, PATTERN * PAGE,
				     QUIRE_MREMAP_MAYMOVE | QUIRE_MREMAP_FIXED, gap, &there));
		expect(!quire_madvise(fixture.space, there, PATTERN / 2 * PAGE,
				      QUIRE_MADV_DONTNEED));
		for (uint64_t i = 0; i < PATTERN; i++) {
			expect(!access_word(there + i * PAGE, &value, false));
			expect(value == (i < PATTERN / 2 ? 0 : i));
		}
		expect(!quire_munmap(fixture.space, there, PATTERN * PAGE));
	}
	return argument;
}

/* A file loses its pages and gets others. */
static void *truncate_file(void *argument)
{
	struct quire_object *object;
	uint64_t base;

	expect(!quire_shmem_create(core(), PATTERN * PAGE, &object));
	base = map_object(fixture.space, object, PATTERN);
	while (!world.over) {
		for (uint64_t i = 0; i < PATTERN; i++) {
			uint64_t value = i + 1;

			expect(!access_word(base + i * PAGE, &value, true));
		}
		expect(!quire_object_truncate(object, PAGE));
		expect(!quire_object_truncate(object, PATTERN * PAGE));
		for (uint64_t i = 0; i < PATTERN; i++) {
			uint64_t value = UINT64_MAX;

			expect(!access_word(base + i * PAGE, &value, false));
			expect(value == (i == 0 ? 1 : 0));
		}
	}
	expect(!quire_munmap(fixture.space, base, PATTERN * PAGE));
	quire_object_put(object);
	return argument;
}

/* MOVE finds its pages its own, if only it waits for those that are on their way. */
static void *move_pages(void *argument)
{
	uint64_t from = world.home, to = world.away;

	while (!world.over) {
		struct quire_uffdio_move request = {.dst = to, .src = from, .len = PATTERN * PAGE};
		uint64_t swap = from, value;

		expect(!quire_userfault_ioctl(world.context, QUIRE_UFFDIO_MOVE, &request, NULL));
		for (uint64_t i = 0; i < PATTERN; i++) {
			expect(!access_word(to + i * PAGE, &value, false));
			expect(value == i + 1);
		}
		from = to;
		to = swap;
	}
	return argument;
}

static void *reclaim_pages(void *argument)
{
	while (!world.over)
		quire_reclaim(core(), 1);
	return argument;
}

static void *migrate_one(void *argument)
{
	uint64_t moved;

	while (!world.over) {
		expect(!quire_migrate(fixture.space, world.anon, PAGE, &moved));
		world.moved += moved;
	}
	return argument;
}

/* An entry on its way can be seen: it lets no access through, and counts as mapped. */
static void an_entry_on_its_way_is_still_a_mapping(void **state)
{
	const struct quire_text text = {.emit = print_violation};
	double end = seconds() + FOREVER;
	uint64_t seen = 0, word;
	pthread_t thread;

	(void)state;
	open_memory(1, NULL);
	memset(&world, 0, sizeof(world));
	world.anon = map(fixture.space, 1, RW);
	store(world.anon, 1);
	assert_int_equal(pthread_create(&thread, NULL, migrate_one, NULL), 0);
	while (seen < 10 && seconds() < end) {
		struct quire_entry_report entry = entry_at(fixture.space, world.anon);

		seen += entry.kind == QUIRE_ENTRY_MIGRATION;
		expect(entry.has_frame && entry.dirty && entry.writable && entry.exclusive);
		expect(entry.user == (entry.kind == QUIRE_ENTRY_LEAF));
		expect(!quire_pagemap(fixture.space, world.anon, 1, &word));
		expect(word & QUIRE_PAGEMAP_PRESENT);
	}
	for (unsigned i = 0; i < 10; i++)
		expect(!quire_check_range(fixture.space, world.anon, world.anon + PAGE, &text));
	world.over = true;
	pthread_join(thread, NULL);
	assert_int_equal(seen, 10);
	assert_int_equal(world.wrong, 0);
	soft_fixture_close(&fixture);
}

static void build_world(void)
{
	uint64_t value;

	memset(&world, 0, sizeof(world));
	world.anon = map(fixture.space, PAGES, RW);
	assert_int_equal(quire_shmem_create(core(), PAGES * PAGE, &world.object), 0);
	world.shared = map_object(fixture.space, world.object, PAGES);
	world.home = map(fixture.space, 2 * PATTERN, RW);
	world.away = world.home + PATTERN * PAGE;
	assert_int_equal(
		quire_madvise(fixture.space, world.home, 2 * PATTERN * PAGE, QUIRE_MADV_DONTFORK),
		0);
	for (value = 1; value <= PATTERN; value++)
		store(world.home + (value - 1) * PAGE, value);
	world.context = open_context(fixture.space, 0);
	assert_int_equal(register_pages(world.context, world.home, 2 * PATTERN, MISSING), 0);
}

/* Everything that was counted must be there. */
static void check_counts(void)
{
	for (unsigned page = 0; page < 2 * PAGES; page++)
		for (unsigned number = 0; number < COUNTERS; number++)
			assert_int_equal(load(page_of(page) + 8 * number),
					 world.counts[number][page]);
}

static void run(void *(*const others[])(void *), size_t count)
{
	pthread_t threads[WRITERS + 16];
	const char *given = getenv("QUIRE_STRESS_SECONDS");
	double end;

	build_world();
	for (uintptr_t i = 0; i < WRITERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, write_pages, (void *)i), 0);
	for (size_t i = 0; i < count; i++)
		assert_int_equal(pthread_create(&threads[WRITERS + i], NULL, others[i], NULL), 0);
	end = seconds() + (given ? strtod(given, NULL) : 1.5);
	while (seconds() < end)
		sched_yield();
	world.over = true;
	for (size_t i = 0; i < WRITERS + count; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(world.wrong, 0);
	check_counts();
	assert_true(world.moved > 0);
	print_message("%lu pages moved, %lu forks\n", world.moved, world.forks);
	quire_userfault_close(world.context);
	quire_object_put(world.object);
	assert_int_equal(quire_munmap(fixture.space, world.shared, PAGES * PAGE), 0);
}

static void no_store_is_lost_while_pages_move(void **state)
{
	void *(*const others[])(void *) = {migrate_all, write_as_kernel, write_file};

	(void)state;
	open_memory(CPUS, NULL);
	run(others, sizeof(others) / sizeof(*others));
	soft_fixture_close(&fixture);
}

static void everything_goes_on_while_pages_move(void **state)
{
	void *(*const others[])(void *) = {migrate_all,	  migrate_all,	 write_as_kernel,
					   write_file,	  fork_children, protect_and_drop,
					   map_and_unmap, truncate_file, move_pages};

	(void)state;
	open_memory(CPUS, NULL);
	run(others, sizeof(others) / sizeof(*others));
	assert_true(world.forks > 0);
	soft_fixture_close(&fixture);
}

/*
 * A page may be written to while reclaim writes it to swap: then that copy is thrown away.  Of what
 * the kernel writes ThreadSanitizer calls that a race, rightly; so there CPUs alone write.
 */
static void reclaim_goes_on_while_pages_move(void **state)
{
	void *(*const others[])(void *) = {
		migrate_all,	 reclaim_pages, fork_children,
#ifndef __SANITIZE_THREAD__
		write_as_kernel, write_file,	map_and_unmap,
#endif
	};

	(void)state;
	open_memory(CPUS, soft_swap_compressed(4096));
	run(others, sizeof(others) / sizeof(*others));
	soft_fixture_close(&fixture);
}

/* With an argument: the tests of that name. */
int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_page_changes_its_frame_and_nothing_else),
		cmocka_unit_test(every_mapping_gets_the_new_frame),
		cmocka_unit_test(what_is_in_use_stays),
		cmocka_unit_test(without_a_frame_nothing_moves),
		cmocka_unit_test(an_entry_on_its_way_is_still_a_mapping),
		cmocka_unit_test(no_store_is_lost_while_pages_move),
		cmocka_unit_test(everything_goes_on_while_pages_move),
		cmocka_unit_test(reclaim_goes_on_while_pages_move),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
