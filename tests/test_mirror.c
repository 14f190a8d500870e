/* SPDX-License-Identifier: MIT */
/*
 * E3: a mirror of the page tables (examples/mirror) under fire: it never grants what the space does not, and
 * no store through it is lost.
 *
 * Guests load and store through the mirror and through CPUs of their own, each in words of its own, and look
 * before each store whether the word still holds what they stored there last.  Meanwhile the space
 * is protected, write-protected, forked, paged out, its pages migrated; other pages are taken away and mapped anew.
 *
 * When the mirror is told of a range, all that it holds there must still be granted: nothing has
 * changed yet.  In between what it holds is compared with the tables, under a hold of the space's lock.
 *
 * QUIRE_STRESS_SECONDS says how long it goes on.
 */
#include "../examples/mirror/mirror.c"
#include "space/space.h"
#include "userfault_fixture.h"
#include <quire/swap.h>

#define SECONDS_DEFAULT 1.0
#define PAGES		64 /* that the guests store to; as many again come and go */
#define GUESTS		4  /* the first half by the mirror */
#define MAIN_CPU	GUESTS

static struct soft_fixture fixture;
static struct mirror mirror;
static struct quire_notifier *auditor;
static uint64_t base;
static _Atomic bool stop;
static _Atomic uint64_t stores, brackets, excess, nested;
static _Atomic int open_brackets;
static uint64_t last[GUESTS][PAGES]; /* what the guest stored there last */

static double duration(void)
{
	const char *given = getenv("QUIRE_STRESS_SECONDS");

	return given ? strtod(given, NULL) : SECONDS_DEFAULT;
}

/* Does the space grant what the mirror holds?  Its tables may not be unlinked meanwhile. */
static bool granted(const struct mirror_page *page)
{
	struct quire_translation seen;

	return quire_translate(fixture.space, page->address,
			       page->writable ? QUIRE_WRITE : QUIRE_READ, &seen) &&
	       seen.memory == page->memory;
}

static void audit(uint64_t start, uint64_t end)
{
	for (unsigned i = 0; i < MIRROR_PAGES; i++) {
		const struct mirror_page *page = &mirror.pages[i];

		if (page->memory && start <= page->address && page->address < end && !granted(page))
			excess++;
	}
}

/* Registered after the mirror, so told before it, which still holds all. */
static void audit_begin(void *context, uint64_t start, uint64_t end, enum quire_notifier_reason why)
{
	(void)context, (void)why;
	nested += open_brackets++ != 0;
	brackets++;
	pthread_mutex_lock(&mirror.lock);
	audit(start, end);
	pthread_mutex_unlock(&mirror.lock);
}

static void audit_end(void *context, uint64_t start, uint64_t end, enum quire_notifier_reason why)
{
	(void)context, (void)start, (void)end, (void)why;
	nested += --open_brackets != 0;
}

static void audit_all(void)
{
	space_read_lock(fixture.space);
	pthread_mutex_lock(&mirror.lock);
	audit(0, UINT64_MAX);
	pthread_mutex_unlock(&mirror.lock);
	space_read_unlock(fixture.space);
}

/* --- guests --- */

static uint64_t word_of(unsigned guest, uint64_t page)
{
	return base + page * PAGE + guest * 8;
}

static enum quire_outcome guest_load(unsigned guest, uint64_t address, uint64_t *value)
{
	return guest < GUESTS / 2
		       ? mirror_load(&mirror, address, value)
		       : soft_load64(soft_machine_cpu(fixture.machine, guest), address, value)
				 .outcome;
}

static enum quire_outcome guest_store(unsigned guest, uint64_t address, uint64_t value)
{
	return guest < GUESTS / 2
		       ? mirror_store(&mirror, address, value)
		       : soft_store64(soft_machine_cpu(fixture.machine, guest), address, value)
				 .outcome;
}

static void *run_mirror_guest(void *argument)
{
	unsigned guest = (unsigned)(uintptr_t)argument;
	struct random random = {.state = guest};

	if (guest >= GUESTS / 2)
		soft_cpu_enter(soft_machine_cpu(fixture.machine, guest), fixture.space);
	for (uint64_t stamp = 1; !stop; stamp++) {
		uint64_t page = random_below(&random, 2 * PAGES), value = 0;

		if (page >= PAGES) { /* what is there, if anything, is not its own */
			guest_load(guest, word_of(guest, page), &value);
			continue;
		}
		if (guest_load(guest, word_of(guest, page), &value) == QUIRE_DONE)
			assert_int_equal(value, last[guest][page]);
		if (guest_store(guest, word_of(guest, page), stamp) != QUIRE_DONE)
			continue;
		last[guest][page] = stamp;
		stores++;
	}
	if (guest >= GUESTS / 2)
		soft_cpu_leave(soft_machine_cpu(fixture.machine, guest));
	return NULL;
}

/* --- what is done to the space --- */

static void scan(uint64_t flags, uint64_t address, uint64_t pages)
{
	struct quire_scan_region region[PAGES];
	struct quire_scan argument = {
		.size = sizeof(argument),
		.flags = flags,
		.start = address,
		.end = address + pages * PAGE,
		.vec = (uintptr_t)region,
		.vec_len = PAGES,
		.category_mask = QUIRE_PAGE_IS_WRITTEN,
		.return_mask = QUIRE_PAGE_IS_WRITTEN,
	};

	assert_true(quire_pagemap_scan(fixture.space, &argument) >= 0);
}

/* A page that was protected, and still is, has not been written to: not through the mirror either. */
static void assert_no_write_is_missed(void)
{
	struct soft_cpu *cpu = soft_machine_cpu(fixture.machine, MAIN_CPU);
	uint64_t was[PAGES][GUESTS], is[GUESTS];

	scan(QUIRE_SCAN_WP_MATCHING, base, PAGES);
	for (unsigned round = 0; round < 2; round++)
		for (unsigned page = 0; page < PAGES; page++) {
			for (unsigned guest = 0; guest < GUESTS; guest++)
				assert_int_equal(
					soft_load64(cpu, word_of(guest, page), &is[guest]).outcome,
					QUIRE_DONE);
			if (round == 0)
				memcpy(was[page], is, sizeof(is));
			else if (entry_at(fixture.space, base + page * PAGE).uffd_wp)
				assert_memory_equal(was[page], is, sizeof(is));
		}
}

static void fork_and_exit(void)
{
	struct quire_space *child;

	assert_int_equal(quire_fork(fixture.space, &child), 0);
	sched_yield();
	quire_space_destroy(child);
}

/* The other half comes and goes, as memory of its own and as an object's. */
static void come_and_go(struct quire_object *object, unsigned how)
{
	uint64_t place = base + PAGES * PAGE, result;

	switch (how) {
	case 0:
		assert_int_equal(quire_munmap(fixture.space, place, PAGES * PAGE), 0);
		break;
	case 1:
		assert_int_equal(
			quire_mmap(fixture.space, place, PAGES * PAGE, RW,
				   QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS | QUIRE_MAP_FIXED,
				   &result),
			0);
		break;
	case 2:
		assert_int_equal(quire_mmap_object(fixture.space, place, PAGES * PAGE, RW,
						   QUIRE_MAP_SHARED | QUIRE_MAP_FIXED, object, 0,
						   &result),
				 0);
		break;
	case 3:
		assert_int_equal(quire_object_punch(object, 0, PAGES / 2 * PAGE), 0);
		break;
	case 4:
		assert_int_equal(quire_object_truncate(object, PAGES / 2 * PAGE), 0);
		assert_int_equal(quire_object_truncate(object, PAGES * PAGE), 0);
		break;
	default:
		quire_madvise(fixture.space, place, PAGES * PAGE, QUIRE_MADV_DONTNEED);
	}
}

static void disturb(struct random *random, struct quire_object *object)
{
	uint64_t page = random_below(random, PAGES);
	uint64_t pages = 1 + random_below(random, PAGES - page);
	uint64_t address = base + page * PAGE, moved;

	switch (random_below(random, 9)) {
	case 0:
		assert_int_equal(quire_mprotect(fixture.space, address, pages * PAGE, R), 0);
		break;
	case 1:
		assert_int_equal(quire_mprotect(fixture.space, base, PAGES * PAGE, RW), 0);
		break;
	case 2:
		scan(QUIRE_SCAN_WP_MATCHING, address, pages);
		break;
	case 3:
		assert_no_write_is_missed();
		break;
	case 4:
		fork_and_exit();
		break;
	case 5:
		quire_madvise(fixture.space, address, pages * PAGE, QUIRE_MADV_PAGEOUT);
		break;
	case 6:
		assert_int_equal(quire_migrate(fixture.space, address, pages * PAGE, &moved), 0);
		break;
	case 7:
		quire_madvise(fixture.space, address, pages * PAGE, QUIRE_MADV_COLD);
		quire_reclaim(soft_machine_core(fixture.machine), 8);
		break;
	default:
		come_and_go(object, (unsigned)random_below(random, 6));
	}
}

static void the_mirror_never_grants_what_the_space_does_not(void **state)
{
	static const struct quire_notifier_operations operations = {.begin = audit_begin,
								    .end = audit_end};
	struct random random = random_start();
	struct quire_userfault *context;
	struct quire_object *object;
	pthread_t thread[GUESTS];
	double end = seconds() + duration();
	uint64_t value;

	(void)state;
	fixture = soft_fixture_open(&(struct soft_config){
		.memory = 16 * MIB, .cpus = GUESTS + 1, .swap = soft_swap_compressed(4096)});
	soft_cpu_enter(soft_machine_cpu(fixture.machine, MAIN_CPU), fixture.space);
	assert_int_equal(
		quire_shmem_create(soft_machine_core(fixture.machine), PAGES * PAGE, &object), 0);
	base = map(fixture.space, 2 * PAGES, RW);
	context = open_context(fixture.space, QUIRE_UFFD_FEATURE_WP_ASYNC);
	assert_int_equal(register_pages(context, base, PAGES, WP), 0);
	assert_int_equal(mirror_open(&mirror, fixture.space), 0);
	assert_int_equal(quire_notifier_register(fixture.space, &operations, NULL, &auditor), 0);
	for (uintptr_t i = 0; i < GUESTS; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, run_mirror_guest, (void *)i), 0);
	while (seconds() < end && !excess) {
		disturb(&random, object);
		audit_all();
	}
	stop = true;
	for (unsigned i = 0; i < GUESTS; i++)
		pthread_join(thread[i], NULL);
	assert_int_equal(excess, 0);
	assert_int_equal(nested, 0);
	assert_true(brackets > 100 && stores > 100 && mirror.fills > 100);
	for (unsigned guest = 0; guest < GUESTS; guest++)
		for (uint64_t page = 0; page < PAGES; page++) {
			assert_int_equal(soft_load64(soft_machine_cpu(fixture.machine, MAIN_CPU),
						     word_of(guest, page), &value)
						 .outcome,
					 QUIRE_DONE);
			assert_int_equal(value, last[guest][page]);
		}
	quire_notifier_unregister(auditor);
	mirror_close(&mirror);
	quire_userfault_close(context);
	quire_object_put(object);
	soft_fixture_close(&fixture);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_mirror_never_grants_what_the_space_does_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
