/* SPDX-License-Identifier: MIT */
/*
 * PAGEMAP_SCAN against a model that knows every page: random states and ranges, small vectors,
 * few pages, and going on from where a scan stopped.
 *
 *	pages     0            300    340              600            800          1100
 *	          | async wp    |hole  | unregistered   | sync wp      | async wp    |
 *	                 |                                    |                                2M
 */
#include <string.h>

#include "soft_fixture.h"
#include <quire/scan.h>
#include <quire/userfault.h>

#define PAGES	    1100
#define BASE	    (((uint64_t)1 << 30) - 100 * PAGE)
#define ALL	    0x1ffu
#define WP_MATCHING QUIRE_SCAN_WP_MATCHING
#define CHECK_ASYNC QUIRE_SCAN_CHECK_WPASYNC
#define WRITTEN	    QUIRE_PAGE_IS_WRITTEN

enum zone { HOLE, UNREGISTERED, SYNC, ASYNC };

static struct soft_fixture fixture;
static struct soft_cpu *cpu;
static struct quire_userfault *async_context, *sync_context;

/* --- the memory --- */

static struct quire_userfault *open_context(uint64_t features)
{
	struct quire_uffdio_api api = {.api = QUIRE_UFFD_API, .features = features};
	struct quire_userfault_config config = {0};
	struct quire_userfault *context;

	assert_int_equal(quire_userfault_open(fixture.space, &config, &context), 0);
	assert_int_equal(quire_userfault_ioctl(context, QUIRE_UFFDIO_API, &api, NULL), 0);
	return context;
}

static void register_wp(struct quire_userfault *context, uint64_t address, uint64_t bytes)
{
	struct quire_uffdio_register request = {
		.range = {address, bytes},
		.mode = QUIRE_UFFDIO_REGISTER_MODE_WP,
	};

	assert_int_equal(quire_userfault_ioctl(context, QUIRE_UFFDIO_REGISTER, &request, NULL), 0);
}

static void map_at(uint64_t address, uint64_t bytes)
{
	const int flags =
		QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS | QUIRE_MAP_FIXED | QUIRE_MAP_NORESERVE;
	uint64_t result;

	assert_int_equal(quire_mmap(fixture.space, address, bytes, RW, flags, &result), 0);
}

static uint64_t page_at(uint64_t page)
{
	return BASE + page * PAGE;
}

static enum zone zone_of(uint64_t page)
{
	return page < 300   ? ASYNC
	       : page < 340 ? HOLE
	       : page < 600 ? UNREGISTERED
	       : page < 800 ? SYNC
			    : ASYNC;
}

static void map_zones(void)
{
	map_at(BASE, PAGES * PAGE);
	assert_int_equal(quire_munmap(fixture.space, page_at(300), 40 * PAGE), 0);
	register_wp(async_context, page_at(0), 300 * PAGE);
	register_wp(sync_context, page_at(600), 200 * PAGE);
	register_wp(async_context, page_at(800), 300 * PAGE);
}

static int open_machine(void **state)
{
	(void)state;
	fixture = soft_fixture_open(&(struct soft_config){.memory = 32 * MIB, .cpus = 1});
	cpu = soft_machine_cpu(fixture.machine, 0);
	soft_cpu_enter(cpu, fixture.space);
	async_context = open_context(QUIRE_UFFD_FEATURE_WP_ASYNC);
	sync_context = open_context(0);
	return 0;
}

static int close_machine(void **state)
{
	(void)state;
	quire_userfault_close(async_context);
	quire_userfault_close(sync_context);
	soft_fixture_close(&fixture);
	return 0;
}

static void write_page(uint64_t address)
{
	assert_int_equal(soft_touch(cpu, address, QUIRE_WRITE).outcome, QUIRE_DONE);
}

static int64_t scan_regions(struct quire_scan *scan, struct quire_scan_region *regions,
			    uint64_t room)
{
	scan->size = sizeof(*scan);
	scan->vec = room ? (uintptr_t)regions : 0;
	scan->vec_len = room;
	return quire_pagemap_scan(fixture.space, scan);
}

/* --- the model --- */

struct answer {
	int64_t count;
	uint64_t walk_end;
	struct quire_scan_region regions[PAGES];
	bool protected[PAGES];
};

static uint64_t page_categories(uint64_t page)
{
	struct quire_entry_report entry = entry_at(fixture.space, page_at(page));
	uint64_t categories = zone_of(page) == ASYNC ? QUIRE_PAGE_IS_WPALLOWED : 0;

	if (entry.kind == QUIRE_ENTRY_ABSENT)
		return categories | (zone_of(page) == UNREGISTERED ? 0 : WRITTEN);
	categories |= entry.uffd_wp ? 0 : WRITTEN;
	if (entry.kind != QUIRE_ENTRY_LEAF)
		categories |= QUIRE_PAGE_IS_SWAPPED;
	else
		categories |= QUIRE_PAGE_IS_PRESENT | (entry.special ? QUIRE_PAGE_IS_PFNZERO : 0);
	return categories | (entry.kind == QUIRE_ENTRY_GUARD ? QUIRE_PAGE_IS_GUARD : 0);
}

static bool page_matches(const struct quire_scan *scan, uint64_t categories)
{
	categories ^= scan->category_inverted;
	return (categories & scan->category_mask) == scan->category_mask &&
	       (!scan->category_anyof_mask || categories & scan->category_anyof_mask);
}

/* Whether there was room for the page. */
static bool add_page(struct answer *answer, uint64_t address, uint64_t categories, uint64_t room)
{
	struct quire_scan_region *last = answer->regions + answer->count - 1;

	if (answer->count && last->end == address && last->categories == categories) {
		last->end += PAGE;
		return true;
	}
	if ((uint64_t)answer->count == room)
		return false;
	answer->regions[answer->count++] =
		(struct quire_scan_region){address, address + PAGE, categories};
	return true;
}

/* What a scan must answer now, and which pages must be protected after it. */
static void predict(const struct quire_scan *scan, uint64_t room, struct answer *answer)
{
	uint64_t first = (scan->start - BASE) / PAGE, last = (scan->end - BASE + PAGE - 1) / PAGE;
	uint64_t left = scan->max_pages ? scan->max_pages : UINT64_MAX;

	memset(answer, 0, sizeof(*answer));
	answer->walk_end = page_at(last);
	for (uint64_t page = 0; page < PAGES; page++)
		answer->protected[page] =
			zone_of(page) != HOLE && entry_at(fixture.space, page_at(page)).uffd_wp;
	for (uint64_t page = first; page < last; page++) {
		uint64_t categories;

		if (zone_of(page) != HOLE && zone_of(page) != ASYNC && scan->flags & CHECK_ASYNC) {
			answer->count = -QUIRE_EPERM;
			return;
		}
		if (zone_of(page) == HOLE || (zone_of(page) != ASYNC && scan->flags & WP_MATCHING))
			continue;
		categories = page_categories(page);
		if (!page_matches(scan, categories))
			continue;
		if (room && (!left-- || !add_page(answer, page_at(page),
						  categories & scan->return_mask, room))) {
			answer->walk_end = page_at(page);
			return;
		}
		if (scan->flags & WP_MATCHING)
			answer->protected[page] = true;
	}
}

/* --- random states and questions --- */

static struct random dice;

static bool one_in(uint64_t n)
{
	return random_below(&dice, n) == 0;
}

static void change_pages(void)
{
	static const int advice[] = {QUIRE_MADV_GUARD_INSTALL, QUIRE_MADV_GUARD_REMOVE,
				     QUIRE_MADV_DONTNEED};
	uint64_t page = random_below(&dice, PAGES);
	uint64_t length = one_in(8) ? 1 + random_below(&dice, PAGES) : 1 + random_below(&dice, 8);

	if (length > PAGES - page)
		length = PAGES - page;
	if (one_in(6)) {
		quire_madvise(fixture.space, page_at(page), length * PAGE,
			      advice[random_below(&dice, 3)]);
		return;
	}
	/* Guard pages and the hole refuse. */
	for (; length--; page++)
		if (zone_of(page) != HOLE)
			soft_touch(cpu, page_at(page), one_in(3) ? QUIRE_READ : QUIRE_WRITE);
}

static struct quire_scan random_scan(uint64_t *room)
{
	uint64_t start = random_below(&dice, PAGES);
	uint64_t end = start + random_below(&dice, PAGES - start + 1);
	struct quire_scan scan = {
		.start = page_at(start),
		.end = page_at(end) - (end > start ? random_below(&dice, PAGE) : 0),
		.max_pages = one_in(2) ? 0 : 1 + random_below(&dice, 100),
		.return_mask = one_in(2) ? ALL : random_below(&dice, ALL + 1),
	};

	if (one_in(2))
		scan.category_mask = (uint64_t)1 << random_below(&dice, 9);
	if (one_in(3))
		scan.category_anyof_mask = random_below(&dice, ALL + 1);
	if (one_in(2))
		scan.category_inverted = random_below(&dice, ALL + 1);
	if (one_in(2))
		scan.flags |= WP_MATCHING;
	if (one_in(4))
		scan.flags |= CHECK_ASYNC;
	*room = one_in(8) ? 0 : one_in(2) ? PAGES : 1 + random_below(&dice, 8);
	return scan;
}

static void assert_answers(struct quire_scan *scan, uint64_t room)
{
	static struct answer expected;
	static struct quire_scan_region regions[PAGES + 1];

	predict(scan, room, &expected);
	if (room == 0 && expected.count > 0)
		expected.count = 0;
	memset(regions, 0xff, sizeof(regions));
	assert_int_equal(scan_regions(scan, regions, room), expected.count);
	assert_int_equal(scan->walk_end, expected.walk_end);
	if (expected.count > 0)
		assert_memory_equal(regions, expected.regions,
				    (size_t)expected.count * sizeof(*regions));
	for (uint64_t page = 0; page < PAGES; page++)
		if (zone_of(page) != HOLE)
			assert_int_equal(entry_at(fixture.space, page_at(page)).uffd_wp,
					 expected.protected[page]);
}

static void test_random_scans_answer_as_the_model(void **state)
{
	uint64_t room;

	(void)state;
	map_zones();
	for (unsigned round = 0; round < 600; round++) {
		struct quire_scan scan = random_scan(&room);

		change_pages();
		assert_answers(&scan, room);
		if (round % 50 == 0)
			assert_sound(fixture.machine);
	}
}

/* Adds `region` to the list, merging as a single scan would have. */
static uint64_t append(struct quire_scan_region *list, uint64_t count,
		       const struct quire_scan_region *region)
{
	if (count && list[count - 1].end == region->start &&
	    list[count - 1].categories == region->categories) {
		list[count - 1].end = region->end;
		return count;
	}
	list[count] = *region;
	return count + 1;
}

/* The whole range in small steps, each going on where the one before it ended. */
static uint64_t scan_in_parts(struct quire_scan scan, struct quire_scan_region *list)
{
	struct quire_scan_region part[5];
	uint64_t count = 0, end = scan.end;

	while (scan.start < end) {
		int64_t some;

		scan.max_pages = random_below(&dice, 40);
		some = scan_regions(&scan, part, 1 + random_below(&dice, 5));
		assert_in_range(some, 0, 5);
		for (int64_t i = 0; i < some; i++)
			count = append(list, count, part + i);
		assert_true(scan.walk_end > scan.start);
		scan.start = scan.walk_end;
	}
	return count;
}

static void test_partial_scans_add_up_to_the_whole(void **state)
{
	static struct quire_scan_region whole[PAGES], parts[PAGES];
	uint64_t room;

	(void)state;
	map_zones();
	for (unsigned round = 0; round < 300; round++) {
		struct quire_scan scan = random_scan(&room);
		uint64_t count;

		change_pages();
		scan.flags = scan.max_pages = 0;
		count = (uint64_t)scan_regions(&scan, whole, PAGES);
		/* A protecting one would leave out what is not async. */
		if (scan.start >= page_at(800))
			scan.flags = WP_MATCHING;
		assert_int_equal(scan_in_parts(scan, parts), count);
		assert_memory_equal(parts, whole, count * sizeof(*whole));
	}
}

/* --- single behaviours --- */

static struct quire_scan written_scan(uint64_t start, uint64_t end, uint64_t flags)
{
	return (struct quire_scan){
		.flags = flags,
		.start = start,
		.end = end,
		.category_mask = WRITTEN,
		.return_mask = WRITTEN,
	};
}

static void assert_region(const struct quire_scan_region *region, uint64_t start, uint64_t end)
{
	assert_int_equal(region->start, start);
	assert_int_equal(region->end, end);
}

static void test_an_empty_terabyte_costs_a_handful_of_tables(void **state)
{
	const uint64_t base = (uint64_t)1 << 40, size = (uint64_t)1 << 40, odd = 3 * PAGE;
	struct quire_scan_region region[2];
	struct quire_tables_report before, after;
	struct quire_scan scan;

	(void)state;
	map_at(base, size + 2 * odd);
	register_wp(async_context, base, size + 2 * odd);
	quire_tables(fixture.space, &before);

	/* Not on a border of any table at either end. */
	scan = written_scan(base + odd, base + odd + size, WP_MATCHING);
	assert_int_equal(scan_regions(&scan, region, 2), 1);
	assert_region(region, base + odd, base + odd + size);
	quire_tables(fixture.space, &after);
	assert_in_range(after.bytes - before.bytes, 1, 6 * PAGE);

	scan = written_scan(base + odd, base + odd + size, WP_MATCHING);
	assert_int_equal(scan_regions(&scan, region, 2), 0);
	write_page(base + size / 2);
	assert_int_equal(scan_regions(&scan, region, 2), 1);
	assert_region(region, base + size / 2, base + size / 2 + PAGE);

	/* max_pages ends it in the middle of an entry, and only that much is protected. */
	assert_int_equal(quire_madvise(fixture.space, base, size, QUIRE_MADV_DONTNEED), 0);
	scan = written_scan(base, base + size, WP_MATCHING);
	scan.max_pages = 12345678;
	assert_int_equal(scan_regions(&scan, region, 2), 1);
	assert_region(region, base, base + 12345678 * PAGE);
	assert_int_equal(scan.walk_end, region->end);
	assert_true(entry_at(fixture.space, region->end - PAGE).uffd_wp);
	assert_int_equal(entry_at(fixture.space, region->end).kind, QUIRE_ENTRY_ABSENT);
	assert_sound(fixture.machine);
}

static void test_a_write_through_the_tlb_after_the_scan_is_not_lost(void **state)
{
	struct quire_scan_region region;
	struct quire_scan scan;

	(void)state;
	map_zones();
	write_page(page_at(5)); /* the CPU may write there without a walk now */
	scan = written_scan(page_at(0), page_at(300), WP_MATCHING);
	assert_int_equal(scan_regions(&scan, &region, 1), 1);
	assert_int_equal(scan_regions(&scan, &region, 1), 0);
	write_page(page_at(5));
	assert_int_equal(scan_regions(&scan, &region, 1), 1);
	assert_region(&region, page_at(5), page_at(6));
}

/* Guard pages and poison carry the mark as well; it goes when they go. */
static void test_guard_pages_are_protected_too(void **state)
{
	struct quire_scan_region region;
	struct quire_scan scan;

	(void)state;
	map_zones();
	assert_int_equal(quire_madvise(fixture.space, page_at(2), PAGE, QUIRE_MADV_GUARD_INSTALL),
			 0);
	scan = written_scan(page_at(2), page_at(3), WP_MATCHING);
	scan.return_mask = ALL;
	assert_int_equal(scan_regions(&scan, &region, 1), 1);
	assert_int_equal(region.categories, QUIRE_PAGE_IS_WPALLOWED | WRITTEN |
						    QUIRE_PAGE_IS_SWAPPED | QUIRE_PAGE_IS_GUARD);
	assert_int_equal(scan_regions(&scan, &region, 1), 0);
	assert_int_equal(entry_at(fixture.space, page_at(2)).kind, QUIRE_ENTRY_GUARD);
	assert_int_equal(soft_touch(cpu, page_at(2), QUIRE_WRITE).outcome, QUIRE_SEGV);
	assert_int_equal(quire_madvise(fixture.space, page_at(2), PAGE, QUIRE_MADV_GUARD_REMOVE),
			 0);
	assert_int_equal(entry_at(fixture.space, page_at(2)).kind, QUIRE_ENTRY_ABSENT);
	assert_int_equal(scan_regions(&scan, &region, 1), 1);
}

/* When no frame is left, pages are protected if and only if they were reported. */
static void test_without_frames_no_report_is_lost(void **state)
{
	struct quire_machine *machine = soft_machine_core(fixture.machine);
	struct quire_scan_region region;
	int64_t count;

	(void)state;
	for (uint64_t n = 1, left = 0; left == 0; n++) {
		struct quire_scan scan = written_scan(page_at(290), page_at(810), WP_MATCHING);
		uint64_t told;

		map_zones();
		quire_machine_fail_nth(machine, n);
		count = scan_regions(&scan, &region, 1);
		left = quire_machine_fail_nth(machine, 0) < n;
		told = count == 1 ? region.end : page_at(290);
		assert_true(count == 1 || count == -QUIRE_ENOMEM);
		for (uint64_t page = 290; page < PAGES; page++)
			if (zone_of(page) != HOLE)
				assert_int_equal(entry_at(fixture.space, page_at(page)).uffd_wp,
						 page_at(page) < told);
		assert_int_equal(scan.walk_end, count == 1 ? page_at(800) : page_at(290));
		assert_sound(fixture.machine);
		assert_int_equal(quire_munmap(fixture.space, BASE, PAGES * PAGE), 0);
	}
}

static void assert_refused(struct quire_scan scan, int error)
{
	scan.walk_end = 77;
	assert_int_equal(quire_pagemap_scan(fixture.space, &scan), -error);
	assert_int_equal(scan.walk_end, 77);
}

/* The good argument with one field changed. */
#define REFUSE(error, field, value)                                                                \
	do {                                                                                       \
		struct quire_scan bad = good;                                                      \
		bad.field = (value);                                                               \
		assert_refused(bad, error);                                                        \
	} while (0)

static void test_bad_arguments_are_refused(void **state)
{
	struct quire_scan_region region;
	struct quire_scan good = written_scan(page_at(0), page_at(1), 0);

	(void)state;
	map_zones();
	assert_int_equal(scan_regions(&good, &region, 1), 1);
	REFUSE(QUIRE_EINVAL, size, 0);
	REFUSE(QUIRE_EINVAL, size, 104);
	REFUSE(QUIRE_EINVAL, flags, 4);
	REFUSE(QUIRE_EINVAL, category_mask, 1 << 9);
	REFUSE(QUIRE_EINVAL, category_inverted, (uint64_t)1 << 63);
	REFUSE(QUIRE_EINVAL, category_anyof_mask, 1 << 9);
	REFUSE(QUIRE_EINVAL, return_mask, 1 << 9);
	REFUSE(QUIRE_EINVAL, start, good.start + 1);
	REFUSE(QUIRE_EINVAL, vec, 0);
	REFUSE(QUIRE_EFAULT, end, good.start - 1); /* though it rounds up to `start` */
	REFUSE(QUIRE_EFAULT, end, (uint64_t)1 << 47);
	REFUSE(QUIRE_EFAULT, end, UINT64_MAX);
	REFUSE(QUIRE_EFAULT, vec_len, UINT64_MAX);
	REFUSE(QUIRE_EFAULT, vec, UINT64_MAX - 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_random_scans_answer_as_the_model, open_machine,
						close_machine),
		cmocka_unit_test_setup_teardown(test_partial_scans_add_up_to_the_whole,
						open_machine, close_machine),
		cmocka_unit_test_setup_teardown(test_an_empty_terabyte_costs_a_handful_of_tables,
						open_machine, close_machine),
		cmocka_unit_test_setup_teardown(
			test_a_write_through_the_tlb_after_the_scan_is_not_lost, open_machine,
			close_machine),
		cmocka_unit_test_setup_teardown(test_guard_pages_are_protected_too, open_machine,
						close_machine),
		cmocka_unit_test_setup_teardown(test_without_frames_no_report_is_lost, open_machine,
						close_machine),
		cmocka_unit_test_setup_teardown(test_bad_arguments_are_refused, open_machine,
						close_machine),
	};

	dice = random_start();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
