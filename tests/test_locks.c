/* SPDX-License-Identifier: MIT */
/* The software port's locks, with more threads than processors. */
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <time.h>

#include <quire/port.h>

#include "test_support.h"

#define THREADS 4
#define ROUNDS	20000

/* Threads must not assert: cmocka leaves a test by longjmp. */
static struct {
	struct quire_lock lock;
	struct quire_rwlock rwlock;
	uint64_t first, second; /* the lock's; equal whenever it is free */
	_Atomic unsigned wrong; /* times that they were not */
	_Atomic unsigned inside, together;
	_Atomic bool stop;
} shared;

static int reset(void **state)
{
	(void)state;
	memset((void *)&shared, 0, sizeof(shared));
	return 0;
}

static void start(pthread_t *thread, void *(*function)(void *))
{
	assert_int_equal(pthread_create(thread, NULL, function, NULL), 0);
}

static void join(pthread_t *threads, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
}

static void change(void)
{
	shared.wrong += shared.first != shared.second;
	shared.first++;
	if (shared.first % 64 == 0)
		sched_yield(); /* now and then the holder loses its processor */
	shared.second++;
}

/* ---- the short lock ----------------------------------------------------------------------------
 */

static void *change_locked(void *argument)
{
	for (unsigned i = 0; i < ROUNDS; i++) {
		quire_port_lock(NULL, &shared.lock);
		change();
		quire_port_unlock(NULL, &shared.lock);
	}
	return argument;
}

static void a_lock_has_one_holder(void **state)
{
	pthread_t threads[THREADS];

	(void)state;
	for (unsigned i = 0; i < THREADS; i++)
		start(&threads[i], change_locked);
	join(threads, THREADS);
	assert_int_equal(shared.wrong, 0);
	assert_int_equal(shared.first, THREADS * ROUNDS);
	assert_int_equal(shared.lock.word, 0);
}

/* ---- the rwlock --------------------------------------------------------------------------------
 */

static void *write_rounds(void *argument)
{
	for (unsigned i = 0; i < ROUNDS; i++) {
		quire_port_write_lock(NULL, &shared.rwlock);
		change();
		quire_port_write_unlock(NULL, &shared.rwlock);
	}
	return argument;
}

static void *read_rounds(void *argument)
{
	for (unsigned i = 0; i < ROUNDS; i++) {
		quire_port_read_lock(NULL, &shared.rwlock);
		shared.wrong += shared.first != shared.second;
		quire_port_read_unlock(NULL, &shared.rwlock);
	}
	return argument;
}

static void a_writer_is_alone(void **state)
{
	pthread_t threads[2 * THREADS];

	(void)state;
	for (unsigned i = 0; i < THREADS; i++) {
		start(&threads[i], write_rounds);
		start(&threads[THREADS + i], read_rounds);
	}
	join(threads, 2 * THREADS);
	assert_int_equal(shared.wrong, 0);
	assert_int_equal(shared.first, THREADS * ROUNDS);
}

static void *read_with_another(void *argument)
{
	quire_port_read_lock(NULL, &shared.rwlock);
	shared.inside++;
	while (shared.inside < 2)
		sched_yield();
	quire_port_read_unlock(NULL, &shared.rwlock);
	return argument;
}

static void readers_are_inside_together(void **state)
{
	pthread_t threads[2];

	(void)state;
	start(&threads[0], read_with_another);
	start(&threads[1], read_with_another);
	join(threads, 2);
	assert_int_equal(shared.inside, 2);
}

static void *read_until_stopped(void *argument)
{
	const struct timespec moment = {.tv_nsec = 100000};

	while (!shared.stop) {
		quire_port_read_lock(NULL, &shared.rwlock);
		shared.inside++;
		shared.together += shared.inside > 1;
		nanosleep(&moment, NULL);
		shared.inside--;
		quire_port_read_unlock(NULL, &shared.rwlock);
	}
	return argument;
}

/* Four readers that sleep inside leave almost no moment without a reader. */
static void readers_do_not_starve_a_writer(void **state)
{
	pthread_t threads[THREADS];

	(void)state;
	for (unsigned i = 0; i < THREADS; i++)
		start(&threads[i], read_until_stopped);
	while (!shared.together)
		sched_yield();
	for (unsigned i = 0; i < 100; i++) {
		quire_port_write_lock(NULL, &shared.rwlock);
		shared.wrong += shared.inside != 0;
		quire_port_write_unlock(NULL, &shared.rwlock);
	}
	shared.stop = true;
	join(threads, THREADS);
	assert_int_equal(shared.wrong, 0);
}

static void *write_until_stopped(void *argument)
{
	while (!shared.stop) {
		quire_port_write_lock(NULL, &shared.rwlock);
		change();
		quire_port_write_unlock(NULL, &shared.rwlock);
	}
	return argument;
}

static void writers_do_not_starve_a_reader(void **state)
{
	pthread_t threads[THREADS];

	(void)state;
	for (unsigned i = 0; i < THREADS; i++)
		start(&threads[i], write_until_stopped);
	read_rounds(NULL);
	shared.stop = true;
	join(threads, THREADS);
	assert_int_equal(shared.wrong, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_lock_has_one_holder, reset),
		cmocka_unit_test_setup(a_writer_is_alone, reset),
		cmocka_unit_test_setup(readers_are_inside_together, reset),
		cmocka_unit_test_setup(readers_do_not_starve_a_writer, reset),
		cmocka_unit_test_setup(writers_do_not_starve_a_reader, reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
