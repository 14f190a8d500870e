/* SPDX-License-Identifier: MIT */
/*
 * Two threads that meet at one entry, over and over: one makes accesses on a CPU of its own, the
 * other does to the pages what must not harm them.  What each has done is checked after every round.
 *
 * build/mistakes has this program with libraries that get it wrong; there it must fail.
 * QUIRE_STRESS_SECONDS says how long each test goes on.
 */
#include "userfault_fixture.h"

#define PAGES		64
#define WORDS		(PAGE / 8)
#define SECONDS_DEFAULT 0.7

#define SPINS (1 << 19) /* about a millisecond of waiting before the CPU is given away */

#define GUEST_CPU 0
#define MAIN_CPU  1

static struct soft_fixture fixture;
static struct quire_userfault *context;
static uint64_t base;
static struct random chance;

/* The guest plays round after round, when told to; -1: it goes home. */
static _Atomic long told, begun, played;
static struct guest guest;

static void open_memory(uint64_t features, uint64_t pages)
{
	fixture = soft_fixture_open(&(struct soft_config){.memory = 16 * MIB, .cpus = 2});
	soft_cpu_enter(soft_machine_cpu(fixture.machine, MAIN_CPU), fixture.space);
	base = map(fixture.space, pages, RW);
	context = open_context(fixture.space, features);
	chance = random_start();
}

static void invite(void (*act)(struct guest *guest))
{
	told = begun = played = 0;
	guest = (struct guest){.act = act, .fixture = &fixture, .cpu = GUEST_CPU};
	start_guest(&guest);
}

/* Closing wakes who sleeps, so that a test that has failed ends too. */
static void close_memory(void)
{
	told = -1;
	quire_userfault_close(context);
	assert_finishes(&guest);
	soft_fixture_close(&fixture);
}

/* For who waits for the other: at first without giving the CPU away. */
static void relax(unsigned *turns)
{
	if (++*turns > SPINS)
		sched_yield();
}

/* The guest's side: waits for the next round; false: there is none. */
static bool next_round(long *round)
{
	unsigned turns = 0;

	while (told == *round)
		relax(&turns);
	*round = told;
	begun = *round;
	return *round > 0;
}

/* Lets a little time pass; either side does, so that they meet now at this point and now at that.
 */
static void dawdle(uint64_t turns)
{
	for (; turns > 0; turns--)
		atomic_signal_fence(memory_order_seq_cst);
}

/* Lets a round begin.  Now and then the guest is late: on one CPU it would never be. */
static void begin_round(long round, uint64_t most)
{
	unsigned turns = 0;

	told = round;
	while (begun != round && round % 8)
		relax(&turns);
	dawdle(random_below(&chance, most));
}

static void end_round(long round)
{
	double end = seconds() + FOREVER / 4;
	unsigned turns = 0;

	while (played != round && (turns < SPINS || seconds() < end))
		relax(&turns);
	if (played != round) {
		told = -1;
		quire_userfault_close(context);
		pthread_join(guest.host, NULL);
		fail_msg("round %ld: the guest sleeps, and nobody will wake it", round);
	}
}

static double deadline(void)
{
	const char *given = getenv("QUIRE_STRESS_SECONDS");

	return seconds() + (given ? strtod(given, NULL) : SECONDS_DEFAULT);
}

static uint64_t page_at(unsigned page)
{
	return base + page * PAGE;
}

static uint64_t load(uint64_t address)
{
	uint64_t value;

	assert_int_equal(
		soft_load64(soft_machine_cpu(fixture.machine, MAIN_CPU), address, &value).outcome,
		QUIRE_DONE);
	return value;
}

/* ---- protection of pages that are being written to --------------------------------------------- */

static _Atomic long landed[PAGES]; /* the round whose store has landed last */
static _Atomic long refused;	   /* stores that came too late */

/* One store to each page; what is protected already refuses it. */
static void store_to_all(struct guest *self)
{
	struct soft_cpu *cpu = soft_machine_cpu(fixture.machine, self->cpu);

	for (long round = 0; next_round(&round); played = round) {
		dawdle((uint64_t)round * 61 % 8192);
		for (unsigned page = 0; page < PAGES; page++)
			if (soft_store64(cpu, page_at(page), (uint64_t)round).outcome == QUIRE_DONE)
				landed[page] = round;
			else
				refused++;
	}
}

/*
 *	clean, old, writable  ──  the guest stores  |  everything is protected  ──▶  dirty and young, or untouched
 *
 * The entry's change must not take back what the CPU has set in it: MADV_FREE makes the pages
 * clean, and what is clean still is dropped by MADV_PAGEOUT.
 */
static void no_dirty_bit_is_lost(void **state)
{
	double end = deadline();
	long stores = 0, round;

	(void)state;
	refused = 0;
	open_memory(QUIRE_UFFD_FEATURE_SIGBUS, PAGES);
	assert_int_equal(register_pages(context, base, PAGES, WP), 0);
	invite(store_to_all);
	/* On a busy machine it takes them longer to meet. */
	for (round = 1; seconds() < end || (!(stores && refused) && seconds() < end + FOREVER);
	     round++) {
		assert_int_equal(writeprotect(context, base, PAGES, RELEASE), 0);
		assert_int_equal(
			quire_madvise(fixture.space, base, PAGES * PAGE, QUIRE_MADV_POPULATE_WRITE),
			0);
		assert_int_equal(quire_madvise(fixture.space, base, PAGES * PAGE, QUIRE_MADV_FREE),
				 0);
		begin_round(round, 200);
		assert_int_equal(writeprotect(context, base, PAGES, PROTECT), 0);
		end_round(round);
		for (unsigned page = 0; page < PAGES; page++) {
			struct quire_entry_report entry = entry_at(fixture.space, page_at(page));

			if (landed[page] == round && !(entry.dirty && entry.young))
				fail_msg("round %ld: page %u was written to and is %s", round, page,
					 entry.dirty ? "old" : "clean");
		}
		assert_int_equal(
			quire_madvise(fixture.space, base, PAGES * PAGE, QUIRE_MADV_PAGEOUT), 0);
		for (unsigned page = 0; page < PAGES; page++) {
			if (landed[page] != round)
				continue;
			assert_int_equal(load(page_at(page)), round);
			stores++;
		}
	}
	print_message("%ld rounds, %ld stores landed, %ld were refused\n", round, stores, refused);
	assert_true(stores > 0 && refused > 0);
	close_memory();
}

/* ---- a fault that is resolved while it is being reported --------------------------------------- */

static void load_one(struct guest *self)
{
	struct soft_cpu *cpu = soft_machine_cpu(fixture.machine, self->cpu);

	for (long round = 0; next_round(&round); played = round) {
		dawdle((uint64_t)round * 61 % 8192);
		self->result = soft_load64(cpu, page_at((unsigned)(round % PAGES)), &self->value);
	}
}

/*
 * The page comes while the guest looks for it.  If that is after the guest has looked and before it
 * sleeps, nobody will wake it any more: so it must look again.
 */
static void who_is_served_does_not_sleep(void **state)
{
	double end = deadline();
	long round;

	(void)state;
	open_memory(0, PAGES);
	assert_int_equal(register_pages(context, base, PAGES, MISSING), 0);
	invite(load_one);
	for (round = 1; seconds() < end; round++) {
		uint64_t page = page_at((unsigned)(round % PAGES));

		assert_int_equal(quire_madvise(fixture.space, page, PAGE, QUIRE_MADV_DONTNEED), 0);
		begin_round(round, 200);
		assert_int_equal(zeropage(context, page, 0), 0);
		end_round(round);
		assert_int_equal(guest.result.outcome, QUIRE_DONE);
	}
	print_message("%ld rounds\n", round);
	close_memory();
}

/* ---- a page that moves while it is written to -------------------------------------------------- */

static _Atomic uint64_t stored; /* the last stamp that is in memory */

/* Stamps 1, 2, 3, … in the words of one page, one after the other, a page full a round. */
static void store_stamps(struct guest *self)
{
	struct soft_cpu *cpu = soft_machine_cpu(fixture.machine, self->cpu);
	uint64_t stamp = 1;

	for (long round = 0; next_round(&round); played = round) {
		for (uint64_t last = stamp + WORDS / 2; stamp < last; stamp++) {
			soft_store64(cpu, base + stamp % WORDS * 8, stamp);
			stored = stamp;
		}
	}
}

/* The stamps from `next` on are in the page, and nothing else; the one that comes after them. */
static uint64_t read_stamps(uint64_t page, uint64_t next)
{
	uint64_t found = 0, count = 0;

	for (unsigned word = 0; word < WORDS; word++)
		count += load(page + word * 8) != 0;
	while (found < count && load(page + (next + found) % WORDS * 8) == next + found)
		found++;
	assert_int_equal(found, count);
	return next + found;
}

/*
 * Pages are moved away under the guest's hands; it goes on with an empty one.  Each stamp lands in
 * a page before it is moved or in the one that follows, and none in a page that has been moved.
 */
static void no_store_is_lost_by_a_move(void **state)
{
	double end = deadline();
	uint64_t next = 1, to;
	long round, moves = 0;

	(void)state;
	open_memory(QUIRE_UFFD_FEATURE_MOVE, 1);
	stored = 0;
	map(fixture.space, 1, NONE); /* keeps the two apart */
	to = map(fixture.space, 1, RW);
	assert_int_equal(register_pages(context, to, 1, MISSING), 0);
	invite(store_stamps);
	for (round = 1; seconds() < end; round++) {
		bool done = false;

		begin_round(round, 1);
		while (!done) {
			struct quire_uffdio_move request = {.dst = to, .src = base, .len = PAGE};
			int error;

			done = played == round;
			error = quire_userfault_ioctl(context, QUIRE_UFFDIO_MOVE, &request, NULL);
			if (error == -QUIRE_ENOENT)
				continue;
			assert_int_equal(error, 0);
			next = read_stamps(to, next);
			moves++;
			assert_int_equal(
				quire_madvise(fixture.space, to, PAGE, QUIRE_MADV_DONTNEED), 0);
		}
		assert_int_equal(next, stored + 1);
	}
	print_message("%ld rounds, %ld moves, %ju stores\n", round, moves, (uintmax_t)stored);
	assert_true(moves > 0);
	close_memory();
}

/* With an argument: the tests of that name. */
int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_dirty_bit_is_lost),
		cmocka_unit_test(who_is_served_does_not_sleep),
		cmocka_unit_test(no_store_is_lost_by_a_move),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
