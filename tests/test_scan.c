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
	const int flags = QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS | QUIRE_MAP_FIXED |
			  QUIRE_MAP_NORESERVE;
	uint64_t result;

	assert_int_equal(quire_mmap(fixture.space, address, bytes, RW, flags, &result), 0);
}

static uint64_t page_at(uint64_t page)
{
	return BASE + page * PAGE;
}

static enum zone zone_of(uint64_t page)
{
	return page < 300 ? ASYNC : page < 340 ? HOLE : page < 600 ? UNREGISTERED
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
		if (room &&
		    (!left-- ||
		     !add_page(answer, page_at(page), categories & scan->return_mask, room))) {
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

static void test_partial_scans_add_up_to_the_whole(void **state)
{
	static struct quire_scan_region whole[PAGES], parts[PAGES];
	uint64_t room;

	(void)state;
	map_zones();
	for (unsigned round = 0; round < 300; round++) {
		struct quire_scan scan = random_scan(&room), part;
		uint64_t count = 0;
		int64_t all, some;

		change_pages();
		scan.flags = scan.max_pages = 0;
		all = scan_regions(&scan, whole, PAGES);
		part = scan;
		part.flags = one_in(2) ? WP_MATCHING : 0;
		if (part.flags)
			all = scan_regions(&(struct quire_scan){0}, NULL, 0), all = -1;
		do {
			part.max_pages = random_below(&dice, 40);
			some = scan_regions(&part, parts, 1 + random_below(&dice, 5));
			assert_in_range(some, 0, 5);
			for (int64_t i = 0; i < some; i++)
				count = append(parts + 5, count, parts + i);
			part.start = part.walk_end;
		} while (part.start < scan.end);
		if (all < 0)
			continue;
		assert_int_equal(count, all);
		assert_memory_equal(parts + 5, whole, count * sizeof(*whole));
	}
}
