/* SPDX-License-Identifier: MIT */
/*
 * Large leaves in the soft port's TLBs: one walk for all of a leaf, and flushes that meet a part of one.
 */
#include <pthread.h>

#include "device_space.h"

#define LARGE (2 * MIB)

static uint64_t walks(void)
{
	return soft_cpu_counters(cpu).walks;
}

/* Walks that a load of one word in each of `pages` pages takes, `stride` bytes apart. */
static uint64_t walks_for(uint64_t address, uint64_t pages, uint64_t stride)
{
	uint64_t before = walks();

	for (uint64_t i = 0; i < pages; i++)
		load(address + i * stride);
	return walks() - before;
}

/* More pages than the TLB has entries for, so that those of 4K would be walked to again. */
static void a_leaf_is_walked_to_once(void **state)
{
	const uint64_t pages = 4 * SOFT_TLB_ENTRIES;

	(void)state;
	for (unsigned level = 1; level < 3; level++) {
		uint64_t address = BASE + level * SIZE, span = PAGE << (9 * level);

		map_at(&dax[level], address, GIB, QUIRE_PROT_READ | QUIRE_PROT_WRITE, SHARED, 0);
		for (uint64_t at = address; at < address + pages * PAGE; at += span)
			store(at, at);
		walks_for(address, pages, PAGE);
		assert_int_equal(walks_for(address, pages, PAGE), 0);
		assert_int_equal(load(address), address);
	}
	map_at(&dax[0], BASE, pages * PAGE, QUIRE_PROT_READ | QUIRE_PROT_WRITE, SHARED, 0);
	walks_for(BASE, pages, PAGE);
	assert_int_equal(walks_for(BASE, pages, PAGE), pages);
}

static void the_middle_page_of_a_leaf_is_forgotten(void **state)
{
	uint64_t middle = BASE + GIB / 2;
	char text[200];

	(void)state;
	map_at(&pfn, BASE, GIB, QUIRE_PROT_READ | QUIRE_PROT_WRITE, SHARED, 0);
	store(BASE, 1);
	store(middle, 2);
	assert_leaf(BASE, &pfn, 0, 2, WRITABLE | DIRTY);
	assert_int_equal(quire_mprotect(space, middle, PAGE, QUIRE_PROT_READ), 0);
	assert_true(soft_tlb_check(cpu, text, sizeof(text)));
	assert_segv(soft_store64(cpu, middle, 3), QUIRE_SEGV_ACCERR);
	assert_int_equal(load(middle), 2);
	store(middle - PAGE, 4);
	store(middle + PAGE, 5);
	assert_int_equal(quire_munmap(space, middle + PAGE, PAGE), 0);
	assert_true(soft_tlb_check(cpu, text, sizeof(text)));
	assert_segv(soft_store64(cpu, middle + PAGE, 3), QUIRE_SEGV_MAPERR);
	assert_int_equal(load(middle - PAGE), 4);
}

static void loads_go_on_where_only_writing_was_withdrawn(void **state)
{
	(void)state;
	map_at(&dax[2], BASE, GIB, QUIRE_PROT_READ | QUIRE_PROT_WRITE, SHARED, 0);
	store(BASE, 1);
	assert_int_equal(quire_mprotect(space, BASE, GIB, QUIRE_PROT_READ), 0);
	assert_int_equal(walks_for(BASE, 100, LARGE), 0);
	assert_segv(soft_store64(cpu, BASE + LARGE, 3), QUIRE_SEGV_ACCERR);
}

/* ---- another thread's CPU has come by one region of the leaf only ---- */

static pthread_barrier_t turn;
static struct soft_result first, second;

static void *load_twice(void *argument)
{
	struct soft_cpu *other = soft_machine_cpu(fixture.machine, 1);
	uint64_t value;

	soft_cpu_enter(other, space);
	soft_load64(other, BASE, &value);
	first = soft_load64(other, BASE + GIB / 2, &value);
	pthread_barrier_wait(&turn); /* the page goes */
	pthread_barrier_wait(&turn);
	second = soft_load64(other, BASE + GIB / 2 + 8 * PAGE, &value);
	soft_cpu_leave(other);
	return argument;
}

static void a_flush_of_any_part_reaches_whoever_has_the_leaf(void **state)
{
	pthread_t thread;

	(void)state;
	map_at(&pfn, BASE, GIB, QUIRE_PROT_READ | QUIRE_PROT_WRITE, SHARED, 0);
	pthread_barrier_init(&turn, NULL, 2);
	assert_int_equal(pthread_create(&thread, NULL, load_twice, NULL), 0);
	pthread_barrier_wait(&turn);
	assert_int_equal(quire_munmap(space, BASE + GIB / 2 + 8 * PAGE, PAGE), 0);
	pthread_barrier_wait(&turn);
	pthread_join(thread, NULL);
	assert_int_equal(first.outcome, QUIRE_DONE);
	assert_segv(second, QUIRE_SEGV_MAPERR);
}

/* ---- more CPUs than one word of a set has ---- */

static void many_cpus_are_flushed(void **state)
{
	struct soft_fixture many = soft_fixture_open(&(struct soft_config){.cpus = 200});
	uint64_t page;

	(void)state;
	assert_int_equal(quire_mmap(many.space, 0, PAGE, QUIRE_PROT_READ | QUIRE_PROT_WRITE,
				    QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS, &page),
			 0);
	for (unsigned i = 0; i < 200; i += 7) {
		soft_cpu_enter(soft_machine_cpu(many.machine, i), many.space);
		assert_int_equal(soft_store64(soft_machine_cpu(many.machine, i), page, i).outcome,
				 QUIRE_DONE);
	}
	assert_int_equal(quire_mprotect(many.space, page, PAGE, QUIRE_PROT_READ), 0);
	for (unsigned i = 0; i < 200; i += 7) {
		assert_segv(soft_store64(soft_machine_cpu(many.machine, i), page, i),
			    QUIRE_SEGV_ACCERR);
		soft_cpu_leave(soft_machine_cpu(many.machine, i));
	}
	soft_fixture_close(&many);
}

#define with_devices(test) cmocka_unit_test_setup_teardown(test, open_devices, close_devices)

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_devices(a_leaf_is_walked_to_once),
		with_devices(the_middle_page_of_a_leaf_is_forgotten),
		with_devices(loads_go_on_where_only_writing_was_withdrawn),
		with_devices(a_flush_of_any_part_reaches_whoever_has_the_leaf),
		cmocka_unit_test(many_cpus_are_flushed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
