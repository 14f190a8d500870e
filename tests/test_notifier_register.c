/* SPDX-License-Identifier: MIT */
/*
 * E3: who is told of changes, from when until when; and that no two changes are told at once.
 */
#include "notifier_fixture.h"

static void it_hears_from_registering_to_unregistering(void **state)
{
	struct recorder second;
	struct quire_notifier *other;
	uint64_t result;

	(void)state;
	open_memory(1);
	assert_int_equal(quire_mmap(fixture.space, BASE, 4 * PAGE, RW,
				    QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS | QUIRE_MAP_FIXED,
				    &result),
			 0);
	assert_int_equal(quire_madvise(fixture.space, BASE, 4 * PAGE, QUIRE_MADV_POPULATE_WRITE),
			 0);
	assert_int_equal(recorder.count, 0);

	second = recorder;
	quire_machine_fail_nth(core(), 1);
	assert_int_equal(quire_notifier_register(fixture.space, &operations, &second, &other),
			 -QUIRE_ENOMEM);
	assert_int_equal(quire_notifier_register(fixture.space, &operations, &second, &other), 0);
	listen();
	look(second.before);
	assert_int_equal(quire_mprotect(fixture.space, BASE, 2 * PAGE, R), 0);
	judge("mprotect", PROT);
	assert_int_equal(recorder.count, 1);
	assert_int_equal(second.count, 1);

	quire_notifier_unregister(other);
	listen();
	assert_int_equal(quire_munmap(fixture.space, BASE, 4 * PAGE), 0);
	judge("munmap", UNMAP);
	assert_int_equal(recorder.count, 1);
	assert_int_equal(second.count, 1);
	assert_false(second.released);
	quire_notifier_unregister(notifier);
	soft_fixture_close(&fixture);
}

/*
 *	pages  01 3   of 64
 */
static void the_end_of_the_space_is_told(void **state)
{
	uint64_t result;

	(void)state;
	open_memory(1);
	assert_int_equal(quire_mmap(fixture.space, BASE, PAGES * PAGE, RW,
				    QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS | QUIRE_MAP_FIXED,
				    &result),
			 0);
	assert_int_equal(quire_madvise(fixture.space, BASE, 2 * PAGE, QUIRE_MADV_POPULATE_WRITE),
			 0);
	soft_touch(cpu, at(3), QUIRE_WRITE);
	soft_cpu_leave(cpu);
	listen();
	quire_space_destroy(fixture.space);
	assert_int_equal(recorder.count, 1);
	assert_int_equal(recorder.heard[0].start, BASE);
	assert_int_equal(recorder.heard[0].end, at(4));
	assert_int_equal(recorder.heard[0].why, QUIRE_NOTIFIER_UNMAP);
	assert_true(recorder.released);
	assert_int_equal(soft_machine_close(fixture.machine), 0);
}

/* --- threads --- */

#define WRITERS 3

static _Atomic int open_now, most_open;
static _Atomic unsigned told;

static void count_begin(void *context, uint64_t start, uint64_t end, enum quire_notifier_reason why)
{
	(void)context, (void)start, (void)end, (void)why;
	told++;
	if (++open_now > most_open)
		most_open = open_now;
}

static void count_end(void *context, uint64_t start, uint64_t end, enum quire_notifier_reason why)
{
	(void)context, (void)start, (void)end, (void)why;
	open_now--;
}

static void *store_to_all(void *argument)
{
	struct soft_cpu *mine = soft_machine_cpu(fixture.machine, (unsigned)(uintptr_t)argument);

	soft_cpu_enter(mine, fixture.space);
	for (uint64_t page = (uintptr_t)argument; page < PAGES; page += WRITERS)
		soft_touch(mine, at(page), QUIRE_WRITE);
	soft_cpu_leave(mine);
	return NULL;
}

/* Faults run side by side; their brackets do not. */
static void brackets_do_not_overlap(void **state)
{
	static const struct quire_notifier_operations counting = {.begin = count_begin,
								  .end = count_end};
	struct quire_notifier *counter;
	struct quire_space *child;
	pthread_t thread[WRITERS];
	uint64_t result;

	(void)state;
	open_memory(WRITERS + 1);
	quire_notifier_unregister(notifier);
	assert_int_equal(quire_mmap(fixture.space, BASE, PAGES * PAGE, RW,
				    QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS | QUIRE_MAP_FIXED,
				    &result),
			 0);
	assert_int_equal(
		quire_madvise(fixture.space, BASE, PAGES * PAGE, QUIRE_MADV_POPULATE_WRITE), 0);
	assert_int_equal(quire_notifier_register(fixture.space, &counting, NULL, &counter), 0);
	for (unsigned round = 0; round < 20; round++) {
		assert_int_equal(quire_fork(fixture.space, &child), 0);
		for (uintptr_t i = 0; i < WRITERS; i++)
			assert_int_equal(pthread_create(&thread[i], NULL, store_to_all, (void *)i),
					 0);
		for (unsigned i = 0; i < WRITERS; i++)
			pthread_join(thread[i], NULL);
		quire_space_destroy(child);
	}
	assert_int_equal(most_open, 1);
	assert_int_equal(open_now, 0);
	assert_int_equal(told, 20 * (PAGES + 1)); /* each fork, and each copy */
	quire_notifier_unregister(counter);
	soft_fixture_close(&fixture);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_hears_from_registering_to_unregistering),
		cmocka_unit_test(the_end_of_the_space_is_told),
		cmocka_unit_test(brackets_do_not_overlap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
