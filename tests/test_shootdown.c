/* SPDX-License-Identifier: MIT */
/*
 * TLB shootdown under fire.
 *
 * Two threads, each on a CPU of its own, store an ever larger number to the pages as fast as they
 * can, and go on when a store is refused.  One stores a word at a time, the other most of a page,
 * so that it is nearly always in the middle of an access.
 *
 *	page   | first word |  ...                      | last word |
 *	         words ──┘    blocks, ascending ──────────────────┘
 *
 * The main thread takes the pages away in one of the ways that the library has, and watches the
 * first and last words for a little while: whatever the TLBs of the two held, nothing may change
 * any more once the call has returned.
 *
 * A build of the port with -DQUIRE_MISTAKE_NO_SHOOTDOWN flushes the calling thread's CPUs only.  There
 * this program must fail: each of the tests finds stray stores in its first rounds.
 */
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <time.h>

#include "soft_fixture.h"

#define HAMMERS 2
#define PAGES	4
#define SECONDS 0.6 /* for each test */
#define WATCH	20e-6

static struct soft_fixture fixture;
static uint64_t base; /* of the pages */

#define WORDS (PAGE / 8)
static const uint64_t watched[HAMMERS] = {0, PAGE - 8}; /* in each page */

/* What each hammer has left in each page. */
struct stamps {
	uint64_t word[PAGES][HAMMERS];
};

static struct hammer {
	pthread_t thread;
	unsigned number; /* also of its CPU */
	struct soft_result (*store)(struct soft_cpu *cpu, uint64_t page, uint64_t stamp);
	_Atomic uint64_t landed, refused;
} hammers[HAMMERS];
static _Atomic bool stop;

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static struct soft_result store_word(struct soft_cpu *cpu, uint64_t page, uint64_t stamp)
{
	return soft_store64(cpu, page, stamp);
}

static struct soft_result store_block(struct soft_cpu *cpu, uint64_t page, uint64_t stamp)
{
	uint64_t block[WORDS - 1];

	for (unsigned i = 0; i < WORDS - 1; i++)
		block[i] = stamp;
	return soft_store(cpu, page + 8, block, sizeof(block));
}

static void *hammer(void *argument)
{
	struct hammer *self = argument;
	struct soft_cpu *cpu = soft_machine_cpu(fixture.machine, self->number);
	uint64_t stamp = 0;

	soft_cpu_enter(cpu, fixture.space);
	while (!stop) {
		uint64_t page = base + ++stamp % PAGES * PAGE;

		if (self->store(cpu, page, stamp).outcome == QUIRE_DONE)
			self->landed++;
		else
			self->refused++;
	}
	soft_cpu_leave(cpu);
	return NULL;
}

/* Waits until each hammer has stored to each page: its TLB is hot. */
static void let_them_store(void)
{
	for (unsigned i = 0; i < HAMMERS; i++) {
		uint64_t enough = hammers[i].landed + 2 * PAGES;

		while (hammers[i].landed < enough)
			sched_yield();
	}
}

static struct soft_cpu *own_cpu(void)
{
	return soft_machine_cpu(fixture.machine, HAMMERS);
}

/* Latest first: that is where a store that should not be would still be under way. */
static struct stamps read_through(struct quire_space *space)
{
	struct soft_cpu *cpu = own_cpu();
	struct stamps stamps;

	soft_cpu_enter(cpu, space);
	for (unsigned i = HAMMERS; i-- > 0;)
		for (unsigned page = 0; page < PAGES; page++)
			if (soft_load64(cpu, base + page * PAGE + watched[i], &stamps.word[page][i])
				    .outcome != QUIRE_DONE)
				fail_msg("page %u cannot be read", page);
	return stamps;
}

static void wait_and_watch(void)
{
	double end = seconds() + WATCH;

	while (seconds() < end)
		sched_yield();
}

static bool same(struct stamps before, struct stamps after)
{
	return memcmp(&before, &after, sizeof(before)) == 0;
}

static int start(void **state)
{
	(void)state;
	fixture = soft_fixture_open(&(struct soft_config){.memory = 16 * MIB, .cpus = HAMMERS + 1});
	base = map(fixture.space, PAGES, RW);
	stop = false;
	for (unsigned i = 0; i < HAMMERS; i++) {
		hammers[i] = (struct hammer){.number = i, .store = i ? store_block : store_word};
		assert_int_equal(pthread_create(&hammers[i].thread, NULL, hammer, &hammers[i]), 0);
	}
	return 0;
}

static int finish(void **state)
{
	(void)state;
	soft_fixture_close(&fixture);
	return 0;
}

/* Runs `round`, which returns whether nothing strayed, until time is up or something has. */
static void hammer_on(bool (*round)(void))
{
	double end = seconds() + SECONDS;
	bool strayed = false;

	while (!strayed && seconds() < end) {
		let_them_store();
		strayed = !round();
	}
	stop = true;
	for (unsigned i = 0; i < HAMMERS; i++)
		pthread_join(hammers[i].thread, NULL);
	assert_false(strayed);
}

/* ---- mprotect ----------------------------------------------------------------------------------
 */

static bool protect_round(void)
{
	struct stamps before, after;

	if (quire_mprotect(fixture.space, base, PAGES * PAGE, R))
		return false;
	before = read_through(fixture.space);
	wait_and_watch();
	after = read_through(fixture.space);
	return !quire_mprotect(fixture.space, base, PAGES * PAGE, RW) && same(before, after);
}

static void no_store_lands_after_mprotect(void **state)
{
	(void)state;
	hammer_on(protect_round);
	assert_true(hammers[0].refused + hammers[1].refused > 0);
}

/* ---- munmap ------------------------------------------------------------------------------------
 */

/* The frames are free: nobody takes one in this test while the pages are not mapped. */
static struct stamps read_frames(const uint64_t frame[PAGES])
{
	struct stamps stamps;

	for (unsigned page = 0; page < PAGES; page++) {
		unsigned char *memory = soft_machine_frame(fixture.machine, frame[page]);

		for (unsigned i = 0; i < HAMMERS; i++)
			stamps.word[page][i] = __atomic_load_n((uint64_t *)(memory + watched[i]),
							       __ATOMIC_RELAXED);
	}
	return stamps;
}

static bool unmap_round(void)
{
	struct stamps before, after;
	uint64_t frame[PAGES], address;

	for (unsigned page = 0; page < PAGES; page++)
		frame[page] = entry_at(fixture.space, base + page * PAGE).frame;
	if (quire_munmap(fixture.space, base, PAGES * PAGE))
		return false;
	before = read_frames(frame);
	wait_and_watch();
	after = read_frames(frame);
	return !quire_mmap(fixture.space, base, PAGES * PAGE, RW,
			   QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS | QUIRE_MAP_FIXED, &address) &&
	       same(before, after);
}

static void no_store_reaches_a_frame_after_munmap(void **state)
{
	(void)state;
	hammer_on(unmap_round);
	assert_true(hammers[0].refused + hammers[1].refused > 0);
}

/* ---- fork --------------------------------------------------------------------------------------
 */

static bool fork_round(void)
{
	struct stamps before, after;
	struct quire_space *child;

	if (quire_fork(fixture.space, &child))
		return false;
	before = read_through(child);
	wait_and_watch();
	after = read_through(child);
	soft_cpu_leave(own_cpu());
	quire_space_destroy(child);
	return same(before, after);
}

/* Here no store is refused either: the hammers get pages of their own. */
static void no_store_of_the_parent_reaches_the_child_after_fork(void **state)
{
	(void)state;
	hammer_on(fork_round);
	assert_int_equal(hammers[0].refused + hammers[1].refused, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(no_store_lands_after_mprotect, start, finish),
		cmocka_unit_test_setup_teardown(no_store_reaches_a_frame_after_munmap, start,
						finish),
		cmocka_unit_test_setup_teardown(no_store_of_the_parent_reaches_the_child_after_fork,
						start, finish),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
