/* SPDX-License-Identifier: MIT */
/*
 * Operations side by side: what sleeps holds nobody up, and faults on disjoint pages do not get in
 * each other's way.
 */
#include <pthread.h>
#include <string.h>

#include "soft_fixture.h"

static void start(pthread_t *thread, void *(*function)(void *), void *argument)
{
	assert_int_equal(pthread_create(thread, NULL, function, argument), 0);
}

static void join(pthread_t thread)
{
	assert_int_equal(pthread_join(thread, NULL), 0);
}

static struct quire_usage usage_of(struct quire_space *space)
{
	struct quire_usage usage;

	quire_space_usage(space, &usage);
	return usage;
}

/* ---- a fault that sleeps -----------------------------------------------------------------------
 */

/* The reclaim hook: tells that it was reached, and sleeps until memory has been given back. */
static struct nap {
	pthread_mutex_t mutex;
	pthread_cond_t change;
	unsigned naps; /* mutex: times that the hook was called */
	bool over;     /* mutex */
} nap = {.mutex = PTHREAD_MUTEX_INITIALIZER, .change = PTHREAD_COND_INITIALIZER};

static bool sleep_until_over(void *context)
{
	(void)context;
	pthread_mutex_lock(&nap.mutex);
	nap.naps++;
	pthread_cond_broadcast(&nap.change);
	while (!nap.over)
		pthread_cond_wait(&nap.change, &nap.mutex);
	pthread_mutex_unlock(&nap.mutex);
	return true;
}

static void wait_for_nap(void)
{
	pthread_mutex_lock(&nap.mutex);
	while (!nap.naps)
		pthread_cond_wait(&nap.change, &nap.mutex);
	pthread_mutex_unlock(&nap.mutex);
}

static void end_nap(void)
{
	pthread_mutex_lock(&nap.mutex);
	nap.over = true;
	pthread_cond_broadcast(&nap.change);
	pthread_mutex_unlock(&nap.mutex);
}

static struct {
	struct soft_fixture fixture;
	uint64_t heap;	/* more pages than the machine has frames */
	uint64_t pages; /* of it */
	uint64_t ballast, elsewhere;
	_Atomic uint64_t filled; /* pages of the heap stored to */
	_Atomic bool refused;
} crowd;

#define BALLAST 64 /* pages */

/* Stores to page after page, well beyond what there is; sleeps in a fault on the way. */
static void *fill_heap(void *argument)
{
	struct soft_cpu *cpu = soft_machine_cpu(crowd.fixture.machine, 1);

	soft_cpu_enter(cpu, crowd.fixture.space);
	while (crowd.filled < crowd.pages && !crowd.refused) {
		if (soft_store64(cpu, crowd.heap + crowd.filled * PAGE, crowd.filled).outcome !=
		    QUIRE_DONE)
			crowd.refused = true;
		else
			crowd.filled++;
	}
	soft_cpu_leave(cpu);
	return argument;
}

/* So many pages of heap that some of the ballast is needed for the last of them. */
static void crowd_the_machine(void)
{
	struct quire_machine_counters counters;
	struct soft_cpu *cpu = soft_machine_cpu(crowd.fixture.machine, 0);

	soft_cpu_enter(cpu, crowd.fixture.space);
	crowd.ballast = map(crowd.fixture.space, BALLAST, RW);
	crowd.elsewhere = map(crowd.fixture.space, 1, RX);
	for (unsigned i = 0; i < BALLAST; i++)
		assert_int_equal(soft_store8(cpu, crowd.ballast + i * PAGE, 1).outcome, QUIRE_DONE);
	quire_machine_count(soft_machine_core(crowd.fixture.machine), &counters);
	crowd.pages = counters.frames_free + BALLAST / 2;
	crowd.heap = map(crowd.fixture.space, crowd.pages + 1, RW);
}

/*
 *	heap				elsewhere	ballast
 *	stored ... | sleeping | next	RX		stored
 *
 * While a store sleeps for want of a frame, the next page can be read and memory elsewhere be
 * protected and unmapped, which gives it its frame.
 */
static void a_sleeping_fault_holds_nobody_up(void **state)
{
	struct soft_cpu *cpu;
	struct quire_space *space;
	pthread_t filler;
	uint64_t value = 1, sleeping;

	(void)state;
	crowd.fixture = soft_fixture_open(
		&(struct soft_config){.memory = 2 * MIB, .cpus = 2, .reclaim = sleep_until_over});
	cpu = soft_machine_cpu(crowd.fixture.machine, 0);
	space = crowd.fixture.space;
	crowd_the_machine();
	start(&filler, fill_heap, NULL);
	wait_for_nap();

	sleeping = crowd.heap + crowd.filled * PAGE;
	assert_int_equal(entry_at(space, sleeping).kind, QUIRE_ENTRY_ABSENT);
	assert_int_equal(soft_load64(cpu, sleeping + PAGE, &value).outcome, QUIRE_DONE);
	assert_int_equal(value, 0);
	assert_int_equal(quire_mprotect(space, crowd.elsewhere, PAGE, R), 0);
	assert_int_equal(soft_touch(cpu, crowd.elsewhere, QUIRE_EXECUTE).code, QUIRE_SEGV_ACCERR);
	assert_int_equal(quire_munmap(space, crowd.ballast, BALLAST * PAGE), 0);
	assert_int_equal(entry_at(space, sleeping).kind, QUIRE_ENTRY_ABSENT);
	end_nap();

	join(filler);
	assert_false(crowd.refused);
	assert_int_equal(crowd.filled, crowd.pages);
	for (uint64_t i = 0; i < crowd.pages; i++) {
		assert_int_equal(soft_load64(cpu, crowd.heap + i * PAGE, &value).outcome,
				 QUIRE_DONE);
		assert_int_equal(value, i);
	}
	soft_fixture_close(&crowd.fixture);
}

/* ---- faults side by side -----------------------------------------------------------------------
 */

#define FAULTERS 2
#define PAGES	 3000

static struct faulter {
	struct soft_fixture *fixture;
	pthread_t thread;
	unsigned number;
	uint64_t base;
	uint64_t step; /* it stores to every step-th page, its word of the page */
	_Atomic uint64_t failed;
} faulters[FAULTERS];

static void *store_to_each(void *argument)
{
	struct faulter *self = argument;
	struct soft_cpu *cpu = soft_machine_cpu(self->fixture->machine, self->number);

	soft_cpu_enter(cpu, self->fixture->space);
	for (uint64_t page = self->step == 1 ? 0 : self->number; page < PAGES; page += self->step) {
		uint64_t word = self->base + page * PAGE + 8 * self->number;

		self->failed += soft_store64(cpu, word, page + 1).outcome != QUIRE_DONE;
	}
	soft_cpu_leave(cpu);
	return NULL;
}

/* Both threads store to every step-th page; what they stored must be there, each page once. */
static void fault_side_by_side(uint64_t step)
{
	struct soft_fixture fixture =
		soft_fixture_open(&(struct soft_config){.memory = 32 * MIB, .cpus = FAULTERS});
	struct soft_cpu *cpu = soft_machine_cpu(fixture.machine, 0);
	uint64_t base = map(fixture.space, PAGES, RW), value;

	for (unsigned i = 0; i < FAULTERS; i++) {
		faulters[i] = (struct faulter){
			.fixture = &fixture, .number = i, .base = base, .step = step};
		start(&faulters[i].thread, store_to_each, &faulters[i]);
	}
	for (unsigned i = 0; i < FAULTERS; i++) {
		join(faulters[i].thread);
		assert_int_equal(faulters[i].failed, 0);
	}
	assert_int_equal(usage_of(fixture.space).anon, PAGES * PAGE);
	soft_cpu_enter(cpu, fixture.space);
	for (uint64_t page = 0; page < PAGES; page++) {
		for (unsigned i = 0; i < FAULTERS; i++) {
			bool stored = step == 1 || page % step == i;

			assert_int_equal(
				soft_load64(cpu, base + page * PAGE + 8 * i, &value).outcome,
				QUIRE_DONE);
			assert_int_equal(value, stored ? page + 1 : 0);
		}
	}
	soft_fixture_close(&fixture);
}

static void faults_on_disjoint_pages_run_side_by_side(void **state)
{
	(void)state;
	fault_side_by_side(FAULTERS);
}

static void faults_on_the_same_pages_lose_no_store(void **state)
{
	(void)state;
	fault_side_by_side(1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_sleeping_fault_holds_nobody_up),
		cmocka_unit_test(faults_on_disjoint_pages_run_side_by_side),
		cmocka_unit_test(faults_on_the_same_pages_lose_no_store),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
