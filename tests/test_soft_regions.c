/* SPDX-License-Identifier: MIT */
/*
 * A flush leaves CPUs alone that have not come by its range.  Which regions of 2M a CPU has come by it
 * notes before it walks there.
 */
#include <pthread.h>
#include <sched.h>

#include "soft_fixture.h"
#include "soft_internal.h"

#define REGION SOFT_WALK_REGION

static struct soft_fixture fixture;
static uint64_t base; /* of two regions, each with a page written to */

static int open_machine(void **state)
{
	(void)state;
	fixture = soft_fixture_open(&(struct soft_config){.cpus = 2});
	base = (uint64_t)1 << 40;
	assert_int_equal(quire_mmap(fixture.space, base, 2 * REGION, RW,
				    QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS | QUIRE_MAP_FIXED,
				    &base),
			 0);
	soft_cpu_enter(soft_machine_cpu(fixture.machine, 0), fixture.space);
	return 0;
}

static int close_machine(void **state)
{
	(void)state;
	soft_fixture_close(&fixture);
	return 0;
}

static void protect(uint64_t address, int prot)
{
	assert_int_equal(quire_mprotect(fixture.space, address, PAGE, prot), 0);
}

/* ---- another thread, step by step ---- */

/* Threads must not assert: cmocka leaves a test by longjmp. */
struct other {
	pthread_t thread;
	pthread_barrier_t turn; /* twice a step: to begin it, and when it is done */
	uint64_t address;	/* what the next step stores to; 0: it ends */
	bool anew;		/* leaves and enters first */
	struct soft_result result;
	uint64_t drains;
};

static void *take_steps(void *argument)
{
	struct soft_cpu *cpu = soft_machine_cpu(fixture.machine, 1);
	struct other *other = argument;

	soft_cpu_enter(cpu, fixture.space);
	for (;;) {
		pthread_barrier_wait(&other->turn);
		if (!other->address)
			break;
		if (other->anew) {
			soft_cpu_leave(cpu);
			soft_cpu_enter(cpu, fixture.space);
		}
		other->result = soft_store64(cpu, other->address, 1);
		other->drains = soft_cpu_counters(cpu).drains;
		pthread_barrier_wait(&other->turn);
	}
	soft_cpu_leave(cpu);
	return NULL;
}

static enum quire_outcome step(struct other *other, uint64_t address)
{
	other->address = address;
	pthread_barrier_wait(&other->turn);
	pthread_barrier_wait(&other->turn);
	return other->result.outcome;
}

static void begin(struct other *other)
{
	*other = (struct other){0};
	pthread_barrier_init(&other->turn, NULL, 2);
	assert_int_equal(pthread_create(&other->thread, NULL, take_steps, other), 0);
}

static void end(struct other *other)
{
	other->address = 0;
	pthread_barrier_wait(&other->turn);
	pthread_join(other->thread, NULL);
	pthread_barrier_destroy(&other->turn);
}

static void a_cpu_that_works_elsewhere_is_left_alone(void **state)
{
	struct other other;

	(void)state;
	begin(&other);
	assert_int_equal(step(&other, base + REGION), QUIRE_DONE);
	soft_store64(soft_machine_cpu(fixture.machine, 0), base, 1);
	protect(base, R);
	assert_int_equal(step(&other, base + REGION), QUIRE_DONE);
	assert_int_equal(other.drains, 0);
	end(&other);
}

static void a_cpu_that_has_come_by_is_told(void **state)
{
	struct other other;

	(void)state;
	begin(&other);
	assert_int_equal(step(&other, base + REGION), QUIRE_DONE);
	protect(base + REGION, R);
	assert_int_equal(step(&other, base + REGION), QUIRE_SEGV);
	assert_int_equal(other.drains, 1);
	/* A range that reaches over many regions is one that it may have come by. */
	protect(base + REGION, RW);
	assert_int_equal(step(&other, base + REGION), QUIRE_DONE);
	assert_int_equal(quire_mprotect(fixture.space, base, 2 * REGION, R), 0);
	assert_int_equal(step(&other, base + REGION), QUIRE_SEGV);
	assert_int_equal(other.drains, 2);
	end(&other);
}

static void a_cpu_that_has_entered_anew_has_come_by_nothing(void **state)
{
	struct other other;

	(void)state;
	begin(&other);
	assert_int_equal(step(&other, base), QUIRE_DONE);
	other.anew = true;
	assert_int_equal(step(&other, base + REGION), QUIRE_DONE);
	other.anew = false;
	protect(base, R);
	assert_int_equal(step(&other, base + REGION), QUIRE_DONE);
	assert_int_equal(other.drains, 0);
	end(&other);
}

/* ---- a walk that a flush comes upon ---- */

static _Thread_local bool stops; /* this thread does, behind its next walk */
static _Atomic bool walked, protected;

/* The linker binds the port's call to this. */
bool __real_quire_translate_from(struct quire_space *space, uint64_t address,
				 enum quire_access access, struct quire_walk *walk,
				 struct quire_translation *translation);
bool __wrap_quire_translate_from(struct quire_space *space, uint64_t address,
				 enum quire_access access, struct quire_walk *walk,
				 struct quire_translation *translation);
bool __wrap_quire_translate_from(struct quire_space *space, uint64_t address,
				 enum quire_access access, struct quire_walk *walk,
				 struct quire_translation *translation)
{
	bool allowed = __real_quire_translate_from(space, address, access, walk, translation);

	if (!stops)
		return allowed;
	stops = false;
	walked = true;
	/* A flusher that knows of the walk posts to this CPU, and waits for it. */
	while (!protected && !(soft_machine_cpu(fixture.machine, 1)->attention & SOFT_FLUSH_POSTED))
		sched_yield();
	return allowed;
}

static void *store_slowly(void *argument)
{
	struct soft_cpu *cpu = soft_machine_cpu(fixture.machine, 1);

	soft_cpu_enter(cpu, fixture.space);
	stops = true;
	soft_store64(cpu, base, 7);
	soft_cpu_leave(cpu);
	return argument;
}

static uint64_t word_at(uint64_t address)
{
	struct quire_entry_report entry = entry_at(fixture.space, address);

	return *(uint64_t *)(void *)soft_machine_frame(fixture.machine, entry.frame);
}

/*
 * The CPU's first walk in the region has found the page writable when another thread protects it: what
 * it stores then has been stored when that thread goes on.
 */
static void a_walk_that_has_begun_is_waited_for(void **state)
{
	pthread_t thread;
	uint64_t then;

	(void)state;
	walked = protected = false;
	soft_store64(soft_machine_cpu(fixture.machine, 0), base, 1);
	assert_int_equal(pthread_create(&thread, NULL, store_slowly, NULL), 0);
	while (!walked)
		sched_yield();
	protect(base, R);
	then = word_at(base);
	protected = true;
	pthread_join(thread, NULL);
	assert_int_equal(word_at(base), then);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, open_machine, close_machine)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_cpu_that_works_elsewhere_is_left_alone),
		TEST(a_cpu_that_has_come_by_is_told),
		TEST(a_cpu_that_has_entered_anew_has_come_by_nothing),
		TEST(a_walk_that_has_begun_is_waited_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
