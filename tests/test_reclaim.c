/* SPDX-License-Identifier: MIT */
/*
 * Reclaim: more pages than frames; which pages go, and which stay.
 */
#include "swap_fixture.h"
#include "userfault_fixture.h"

#define MANY 400 /* pages: more than a machine of 1M has frames */

static struct swap_fixture fixture;

static int open_fixture(void **state)
{
	(void)state;
	swap_fixture_open(&fixture, 1 * MIB, 2048);
	return 0;
}

static int close_fixture(void **state)
{
	(void)state;
	swap_fixture_close(&fixture);
	return 0;
}

/* Makes memory short, until `pages` pages have been asked for. */
static uint64_t crowd(uint64_t pages)
{
	uint64_t base = map(fixture.space, pages, RW);

	store_numbers(&fixture, base, pages, 1000);
	return base;
}

static bool is_present(uint64_t address)
{
	return entry_at(fixture.space, address).kind == QUIRE_ENTRY_LEAF;
}

static uint64_t present(uint64_t base, uint64_t pages)
{
	uint64_t count = 0;

	for (uint64_t i = 0; i < pages; i++)
		count += is_present(base + i * PAGE);
	return count;
}

/* ---- more pages than frames ---- */

static void private_memory_outgrows_the_machine(void **state)
{
	uint64_t base = crowd(MANY);

	(void)state;
	assert_true(swap_counters(&fixture).swap_outs > 0);
	assert_sound(fixture.soft.machine);
	assert_numbers(&fixture, base, MANY, 1000);
	store_numbers(&fixture, base, MANY, 5000);
	assert_numbers(&fixture, base, MANY, 5000);
}

static void shared_memory_outgrows_the_machine(void **state)
{
	struct quire_object *object;
	uint64_t base, found;
	size_t done;

	(void)state;
	assert_int_equal(quire_shmem_create(fixture.machine, MANY * PAGE, &object), 0);
	base = map_object(fixture.space, object, MANY, QUIRE_MAP_SHARED);
	store_numbers(&fixture, base, MANY, 1);
	assert_numbers(&fixture, base, MANY, 1);
	assert_int_equal(quire_object_read(object, 3 * PAGE, &found, sizeof(found), &done), 0);
	assert_int_equal(found, 4);
	found = 77;
	assert_int_equal(quire_object_write(object, 3 * PAGE, &found, sizeof(found), &done), 0);
	quire_reclaim(fixture.machine, MANY);
	assert_word(&fixture, base + 3 * PAGE, 77);
	quire_object_put(object);
}

static void forked_memory_outgrows_the_machine(void **state)
{
	struct quire_space *child;
	uint64_t base = crowd(MANY / 2);

	(void)state;
	assert_int_equal(quire_fork(fixture.space, &child), 0);
	store_numbers(&fixture, base, MANY / 2, 2000);
	soft_cpu_enter(fixture.cpu, child);
	assert_numbers(&fixture, base, MANY / 2, 1000);
	store_numbers(&fixture, base, MANY / 2, 3000);
	assert_sound(fixture.soft.machine);
	soft_cpu_enter(fixture.cpu, fixture.space);
	assert_numbers(&fixture, base, MANY / 2, 2000);
	soft_cpu_enter(fixture.cpu, child);
	assert_numbers(&fixture, base, MANY / 2, 3000);
	soft_cpu_enter(fixture.cpu, fixture.space);
	quire_space_destroy(child);
}

/* Every page is protected, goes out and comes back: none has lost its mark. */
static void protection_outlives_it(void **state)
{
	struct quire_userfault *context = open_context(
		fixture.space, QUIRE_UFFD_FEATURE_PAGEFAULT_FLAG_WP | QUIRE_UFFD_FEATURE_SIGBUS);
	uint64_t base = map(fixture.space, MANY, RW);

	(void)state;
	assert_int_equal(register_pages(context, base, MANY, WP), 0);
	store_numbers(&fixture, base, MANY, 1);
	assert_int_equal(writeprotect(context, base, MANY, PROTECT), 0);
	assert_numbers(&fixture, base, MANY, 1);
	for (uint64_t i = 0; i < MANY; i++)
		assert_int_equal(soft_store64(fixture.cpu, base + i * PAGE, 0).outcome, QUIRE_BUS);
	assert_numbers(&fixture, base, MANY, 1);
	quire_userfault_close(context);
}

/* ---- which ones go ---- */

/*
 * What is used again and again stays, as long as there is something else; at first, when all pages
 * have been used lately, the hand takes whatever it meets.  Ageing flushes nothing, so that the CPU
 * must forget pages now and then, as with a switch of context, for their use to be seen.
 */
static void pages_in_use_stay(void **state)
{
	const uint64_t hot = 16;
	uint64_t base = map(fixture.space, hot, RW), cold = map(fixture.space, MANY, RW);
	uint64_t before, faults = 0;

	(void)state;
	store_numbers(&fixture, base, hot, 1);
	for (uint64_t i = 0; i < 8 * MANY; i++) {
		store_word(&fixture, cold + i % MANY * PAGE, i);
		soft_cpu_leave(fixture.cpu);
		soft_cpu_enter(fixture.cpu, fixture.space);
		before = swap_counters(&fixture).swap_ins;
		assert_numbers(&fixture, base, hot, 1);
		faults += swap_counters(&fixture).swap_ins - before;
	}
	assert_true(swap_counters(&fixture).swap_outs > 0);
	assert_in_range(faults, 0, 3 * hot); /* 13 times as many if age did not count */
}

static void locked_pages_never_leave(void **state)
{
	uint64_t base = map(fixture.space, 32, RW);

	(void)state;
	store_numbers(&fixture, base, 32, 1);
	assert_int_equal(quire_mlock(fixture.space, base, 32 * PAGE), 0);
	crowd(MANY);
	quire_reclaim(fixture.machine, MANY);
	assert_int_equal(present(base, 32), 32);
	assert_int_equal(quire_madvise(fixture.space, base, PAGE, QUIRE_MADV_PAGEOUT),
			 -QUIRE_EINVAL);
	assert_int_equal(quire_munlock(fixture.space, base, 32 * PAGE), 0);
	quire_reclaim(fixture.machine, MANY);
	assert_true(present(base, 32) < 32);
	assert_numbers(&fixture, base, 32, 1);
}

/* The one that was written to since stays once, and is an ordinary page then. */
static void lazily_freed_pages_go_without_being_written(void **state)
{
	uint64_t base = map(fixture.space, 8, RW);

	(void)state;
	store_numbers(&fixture, base, 8, 1);
	assert_int_equal(quire_madvise(fixture.space, base, 8 * PAGE, QUIRE_MADV_FREE), 0);
	store_word(&fixture, base + 2 * PAGE, 77);
	page_out(&fixture, base, 8);
	assert_int_equal(fixture.store.writes, 0);
	assert_int_equal(present(base, 8), 1);
	page_out(&fixture, base, 8);
	assert_int_equal(fixture.store.writes, 1);
	assert_int_equal(present(base, 8), 0);
	for (unsigned i = 0; i < 8; i++)
		assert_word(&fixture, base + i * PAGE, i == 2 ? 77 : 0);
}

/*
 * Written to after it was freed lazily, it is an ordinary page again: even if it comes back clean,
 * from the cache of a slot that could not be written.
 */
static void a_page_freed_lazily_and_written_to_is_kept(void **state)
{
	uint64_t base = map(fixture.space, 1, RW);

	(void)state;
	store_word(&fixture, base, 1);
	assert_int_equal(quire_madvise(fixture.space, base, PAGE, QUIRE_MADV_FREE), 0);
	store_word(&fixture, base, 2);
	fixture.store.write_error = -EIO;
	page_out(&fixture, base, 1);
	fixture.store.write_error = 0;
	assert_word(&fixture, base, 2);
	page_out(&fixture, base, 1);
	assert_word(&fixture, base, 2);
}

/* A page that others map too stays. */
static void pageout_takes_what_is_ones_own(void **state)
{
	struct quire_space *child;
	uint64_t base = map(fixture.space, 4, RW);

	(void)state;
	store_numbers(&fixture, base, 4, 1);
	assert_int_equal(quire_fork(fixture.space, &child), 0);
	store_word(&fixture, base, 9);
	page_out(&fixture, base, 4);
	assert_false(is_present(base));
	assert_int_equal(present(base + PAGE, 3), 3);
	/* Reclaim takes those, out of both. */
	assert_int_equal(quire_reclaim(fixture.machine, 100), 4);
	assert_int_equal(present(base, 4), 0);
	assert_int_equal(entry_at(child, base + PAGE).kind, QUIRE_ENTRY_SWAP);
	assert_sound(fixture.soft.machine);
	quire_space_destroy(child);
	assert_word(&fixture, base, 9);
	assert_numbers(&fixture, base + PAGE, 3, 2);
}

/* A private mapping's zero page, where the object has one of its own, is not reclaim's. */
static void a_zero_page_over_an_objects_page_stays(void **state)
{
	struct quire_userfault *context = open_context(fixture.space, 0);
	struct quire_object *object;
	uint64_t base, elsewhere, value = 5;
	size_t done;

	(void)state;
	assert_int_equal(quire_shmem_create(fixture.machine, PAGE, &object), 0);
	base = map_object(fixture.space, object, 1, QUIRE_MAP_PRIVATE);
	assert_int_equal(register_pages(context, base, 1, MISSING), 0);
	assert_int_equal(zeropage(context, base, 0), 0);
	assert_int_equal(quire_object_write(object, 0, &value, sizeof(value), &done), 0);
	elsewhere = map_object(fixture.space, object, 1, QUIRE_MAP_SHARED);
	assert_word(&fixture, elsewhere, 5);
	assert_int_equal(quire_reclaim(fixture.machine, 100), 1);
	assert_word(&fixture, base, 0);
	assert_word(&fixture, elsewhere, 5);
	quire_userfault_close(context);
	quire_object_put(object);
}

/* fork wants its tables all at once: reclaim goes on until there are enough. */
static void a_unit_that_wants_many_frames_gets_them(void **state)
{
	struct quire_space *child;
	uint64_t base[24];

	(void)state;
	for (unsigned i = 0; i < 24; i++) {
		base[i] = ((uint64_t)1 << 40) + i * 2 * MIB;
		assert_int_equal(
			quire_mmap(fixture.space, base[i], PAGE, RW,
				   QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS | QUIRE_MAP_FIXED,
				   &base[i]),
			0);
		store_word(&fixture, base[i], i);
	}
	crowd(MANY);
	assert_int_equal(quire_fork(fixture.space, &child), 0);
	soft_cpu_enter(fixture.cpu, child);
	for (unsigned i = 0; i < 24; i++)
		assert_word(&fixture, base[i], i);
	soft_cpu_enter(fixture.cpu, fixture.space);
	quire_space_destroy(child);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, open_fixture, close_fixture)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(private_memory_outgrows_the_machine),
		TEST(shared_memory_outgrows_the_machine),
		TEST(forked_memory_outgrows_the_machine),
		TEST(protection_outlives_it),
		TEST(pages_in_use_stay),
		TEST(locked_pages_never_leave),
		TEST(lazily_freed_pages_go_without_being_written),
		TEST(a_page_freed_lazily_and_written_to_is_kept),
		TEST(pageout_takes_what_is_ones_own),
		TEST(a_zero_page_over_an_objects_page_stays),
		TEST(a_unit_that_wants_many_frames_gets_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
