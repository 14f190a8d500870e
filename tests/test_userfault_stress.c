/* SPDX-License-Identifier: MIT */
/*
 * Tracking dirty pages by write protection, under fire: no store may be missed.
 *
 * Two writers, each on a CPU of its own, store ever larger stamps into random pages as fast as they
 * are let.  The tracker works in epochs:
 *
 *	 protect everything | copy the memory | read reports, let page by page go | protect everything ...
 *	 ───────────────────┴─────────────────┴──────────── epoch ──────────────
 *
 * From the moment the protection is complete until the first page is let go, nothing may change; so
 * the copy is of one moment.  A page that differs from the copy before was let go in the epoch
 * between the two, or else a store got past the protection.  And no store may be lost: before each
 * store a writer looks whether its word of the page still holds what it stored there last.
 *
 * The memory starts out empty and protected as a whole (WP_UNPOPULATED), so that the first store to
 * a page meets a marker.  Every other copy is taken by fork, so that the pages are shared, and the
 * stores that come next copy them.
 *
 * QUIRE_STRESS_SECONDS says how long it goes on.  Two builds must fail here, both within the first
 * epochs, with "page N changed and was not reported": the core with the mistake
 * protect-without-flush, which tests/check_mistakes.sh sees to, and the port with
 * -DQUIRE_MISTAKE_NO_SHOOTDOWN.
 */
#include "userfault_fixture.h"

#define WRITERS		2
#define PAGES		128
#define EPOCH		300e-6 /* seconds that an epoch takes at most */
#define REPORTS		24     /* pages let go in an epoch, at most */
#define SECONDS_DEFAULT 2.0

#define TRACKER_CPU WRITERS

static struct soft_fixture fixture;
static struct quire_userfault *context;
static uint64_t base;
static _Atomic bool stop;

static struct writer {
	struct quire_thread thread;
	pthread_t host;
	unsigned number; /* also of its CPU */
	_Atomic uint64_t stores;
	_Atomic uint64_t refused, lost;
} writers[WRITERS];

/* What the tracker knows of each page. */
static uint64_t copied[PAGES][WRITERS]; /* in the copy taken last */
static bool let_go[PAGES];		/* since then */

struct tally {
	uint64_t epochs, reports, changed, quiet; /* quiet: pages that an epoch left as they were */
};

/* Each writer has a word of its own in each page. */
static uint64_t word_of(unsigned page, unsigned writer)
{
	return base + page * PAGE + writer * 8;
}

static void *write_stamps(void *argument)
{
	struct writer *self = argument;
	struct soft_cpu *cpu = soft_machine_cpu(fixture.machine, self->number);
	struct random random = random_start();
	uint64_t last[PAGES] = {0}, stamp = 0, found;

	random.state += self->number;
	soft_thread_use(&self->thread);
	soft_cpu_enter(cpu, fixture.space);
	while (!stop) {
		unsigned page = (unsigned)random_below(&random, PAGES);
		uint64_t word = word_of(page, self->number);

		if (soft_load64(cpu, word, &found).outcome != QUIRE_DONE || found != last[page])
			self->lost++;
		last[page] = ++stamp;
		if (soft_store64(cpu, word, stamp).outcome != QUIRE_DONE)
			self->refused++;
		self->stores++;
	}
	soft_cpu_leave(cpu);
	return NULL;
}

/* ---- the tracker -------------------------------------------------------------------------------
 */

static void protect_everything(void)
{
	assert_int_equal(writeprotect(context, base, PAGES, PROTECT), 0);
}

static void copy_from(struct quire_space *space, uint64_t copy[PAGES][WRITERS])
{
	struct soft_cpu *cpu = soft_machine_cpu(fixture.machine, TRACKER_CPU);

	soft_cpu_enter(cpu, space);
	for (unsigned page = 0; page < PAGES; page++)
		assert_int_equal(
			soft_load(cpu, word_of(page, 0), copy[page], sizeof(copy[page])).outcome,
			QUIRE_DONE);
}

static void copy_from_fork(uint64_t copy[PAGES][WRITERS])
{
	struct quire_space *child;

	assert_int_equal(quire_fork(fixture.space, &child), 0);
	copy_from(child, copy);
	soft_cpu_leave(soft_machine_cpu(fixture.machine, TRACKER_CPU));
	quire_space_destroy(child);
}

/*
 * The memory is protected, and nothing has been let go.  What changed since the last copy was let
 * go then.
 */
static void compare(struct tally *tally, bool by_fork)
{
	uint64_t now[PAGES][WRITERS];

	if (by_fork)
		copy_from_fork(now);
	else
		copy_from(fixture.space, now);
	for (unsigned page = 0; page < PAGES; page++) {
		bool changed = memcmp(now[page], copied[page], sizeof(now[page])) != 0;

		if (changed && !let_go[page])
			fail_msg("epoch %ju: page %u changed and was not reported",
				 (uintmax_t)tally->epochs, page);
		tally->changed += changed;
		tally->quiet += !changed;
	}
	memcpy(copied, now, sizeof(copied));
	memset(let_go, 0, sizeof(let_go));
}

/* Reads one report and lets its page go; whether there was one. */
static bool serve_report(struct tally *tally)
{
	struct quire_userfault *child;
	struct quire_uffd_msg message;
	uint64_t page;

	if (quire_userfault_read(context, &message, &child))
		return false;
	page = message.arg.pagefault.address;
	assert_fault(message, page, QUIRE_UFFD_PAGEFAULT_FLAG_WP | QUIRE_UFFD_PAGEFAULT_FLAG_WRITE);
	let_go[(page - base) / PAGE] = true;
	tally->reports++;
	assert_int_equal(writeprotect(context, page, 1, RELEASE), 0);
	return true;
}

static void run_epoch(struct tally *tally)
{
	double end = seconds() + EPOCH;

	for (unsigned reports = 0; reports < REPORTS && seconds() < end;) {
		if (serve_report(tally))
			reports++;
		else
			sched_yield();
	}
	tally->epochs++;
}

/* ---- all together ------------------------------------------------------------------------------
 */

static double duration(void)
{
	const char *given = getenv("QUIRE_STRESS_SECONDS");

	return given ? strtod(given, NULL) : SECONDS_DEFAULT;
}

static void start_writers(void)
{
	for (unsigned i = 0; i < WRITERS; i++) {
		writers[i] = (struct writer){.number = i};
		assert_int_equal(pthread_create(&writers[i].host, NULL, write_stamps, &writers[i]),
				 0);
	}
}

/* Closing lets whoever sleeps go on. */
static void stop_writers(void)
{
	stop = true;
	quire_userfault_close(context);
	for (unsigned i = 0; i < WRITERS; i++)
		pthread_join(writers[i].host, NULL);
}

static void every_page_that_changes_was_reported(void **state)
{
	struct tally tally = {0};
	double end;

	(void)state;
	fixture = soft_fixture_open(&(struct soft_config){.memory = 16 * MIB, .cpus = WRITERS + 1});
	base = map(fixture.space, PAGES, RW);
	context = open_context(fixture.space, QUIRE_UFFD_FEATURE_PAGEFAULT_FLAG_WP |
						      QUIRE_UFFD_FEATURE_WP_UNPOPULATED);
	assert_int_equal(register_pages(context, base, PAGES, WP), 0);
	protect_everything();
	start_writers();
	end = seconds() + duration();
	while (seconds() < end) {
		run_epoch(&tally);
		protect_everything();
		compare(&tally, tally.epochs % 2);
	}
	stop_writers();
	print_message("%ju epochs, %ju reports, %ju pages changed, %ju did not; %ju stores\n",
		      (uintmax_t)tally.epochs, (uintmax_t)tally.reports, (uintmax_t)tally.changed,
		      (uintmax_t)tally.quiet, (uintmax_t)(writers[0].stores + writers[1].stores));
	for (unsigned i = 0; i < WRITERS; i++) {
		assert_int_equal(writers[i].lost, 0);
		assert_int_equal(writers[i].refused, 0);
		assert_true(writers[i].stores > 0);
	}
	/* It was about something: pages changed, and others could have done so unseen. */
	assert_true(tally.changed > 0 && tally.quiet > 0);
	soft_fixture_close(&fixture);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_page_that_changes_was_reported),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
