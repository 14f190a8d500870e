/* SPDX-License-Identifier: MIT */
/*
 * Asynchronous write protection of device memory: a protected leaf stays one, a write makes a page of it
 * writable (FSDAX) or all of it (DAX), and what was written is found.
 */
#include <quire/scan.h>

#include "device_space.h"

#define SPAN (2 * MIB)

static struct quire_userfault *context;

static void open_registered(struct device *device)
{
	map_at(device, BASE, 2 * SPAN, RW, SHARED, 0);
	context = open_context(space,
			       QUIRE_UFFD_FEATURE_WP_ASYNC | QUIRE_UFFD_FEATURE_WP_UNPOPULATED);
	assert_int_equal(register_pages(context, BASE, 2 * SPAN / PAGE, WP), 0);
}

static void close_registered(void)
{
	quire_userfault_close(context);
	assert_int_equal(quire_munmap(space, BASE, 2 * SPAN), 0);
}

/* Pages of [BASE + start, BASE + end) that are reported as written, and protected if asked for; the
 * first region. */
static uint64_t scan(uint64_t start, uint64_t end, bool protect, uint64_t max_pages,
		     struct quire_scan_region *first)
{
	struct quire_scan_region regions[8];
	struct quire_scan argument = {
		.size = sizeof(argument),
		.flags = protect ? QUIRE_SCAN_WP_MATCHING | QUIRE_SCAN_CHECK_WPASYNC : 0,
		.start = BASE + start,
		.end = BASE + end,
		.vec = (uintptr_t)regions,
		.vec_len = 8,
		.max_pages = max_pages,
		.category_mask = QUIRE_PAGE_IS_WRITTEN,
		.return_mask = QUIRE_PAGE_IS_WRITTEN,
	};
	int64_t count = quire_pagemap_scan(space, &argument);
	uint64_t pages = 0;

	assert_in_range(count, 0, 8);
	for (int64_t i = 0; i < count; i++)
		pages += (regions[i].end - regions[i].start) / PAGE;
	if (count)
		*first = regions[0];
	return pages;
}

static uint64_t written(void)
{
	struct quire_scan_region first;

	return scan(0, 2 * SPAN, false, 0, &first);
}

static void assert_protected(uint64_t address, unsigned level, bool protected)
{
	struct quire_entry_report entry = entry_at(space, address);

	assert_int_equal(entry.kind, QUIRE_ENTRY_LEAF);
	assert_int_equal(entry.level, level);
	assert_int_equal(entry.uffd_wp, protected);
}

static void a_write_releases_a_page_of_its_size(void **state)
{
	struct device *devices[] = {&dax[1], &fsdax};

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct device *device = devices[i];

		open_registered(device);
		store(BASE, 1);
		store(BASE + SPAN, 1);
		assert_int_equal(writeprotect(context, BASE, 2 * SPAN / PAGE, PROTECT), 0);
		assert_protected(BASE, 1, true);
		assert_int_equal(written(), 0);
		assert_int_equal(load(BASE), 1);
		assert_protected(BASE, 1, true);
		store(BASE + 5 * PAGE, 5);
		assert_int_equal(*word(device, 5 * PAGE), 5);
		assert_int_equal(written(), device == &fsdax ? 1 : SPAN / PAGE);
		assert_protected(BASE + 5 * PAGE, device == &fsdax ? 0 : 1, false);
		assert_protected(BASE + 6 * PAGE, device == &fsdax ? 0 : 1, device == &fsdax);
		assert_protected(BASE + SPAN, 1, true);
		close_registered();
	}
}

/* What is registered already is left as it is, also in the middle of a leaf. */
static void a_part_is_registered_again(void **state)
{
	struct device *devices[] = {&dax[1], &fsdax};

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		open_registered(devices[i]);
		store(BASE, 1);
		assert_int_equal(writeprotect(context, BASE, 2 * SPAN / PAGE, PROTECT), 0);
		assert_int_equal(register_pages(context, BASE + PAGE, 1, WP), 0);
		assert_protected(BASE, 1, true);
		close_registered();
	}
}

/* A page that is not mapped comes to be protected, and is released by the write that follows. */
static void a_protected_leaf_comes_back_protected(void **state)
{
	struct device *devices[] = {&dax[1], &fsdax};

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct device *device = devices[i];

		open_registered(device);
		assert_int_equal(writeprotect(context, BASE, 2 * SPAN / PAGE, PROTECT), 0);
		load(BASE);
		assert_protected(BASE, 1, true);
		quire_device_revoke(device->object, 0, SPAN);
		assert_int_equal(entry_at(space, BASE).kind, QUIRE_ENTRY_MARKER);
		assert_int_equal(written(), 0);
		store(BASE + PAGE, 1);
		assert_int_equal(*word(device, PAGE), 1);
		assert_int_equal(written(), device == &fsdax ? 1 : SPAN / PAGE);
		close_registered();
	}
}

static void parts_of_a_dax_page_are_not_protected(void **state)
{
	struct quire_scan_region first;

	(void)state;
	open_registered(&dax[1]);
	store(BASE, 1);
	store(BASE + SPAN, 1);
	assert_int_equal(writeprotect(context, BASE, 1, PROTECT), -QUIRE_EINVAL);
	assert_int_equal(writeprotect(context, BASE + PAGE, 2 * SPAN / PAGE - 1, RELEASE),
			 -QUIRE_EINVAL);
	assert_protected(BASE, 1, false);
	/* a scan leaves out what it has only a part of, at either end */
	assert_int_equal(scan(PAGE, 2 * SPAN - PAGE, true, 0, &first), 0);
	assert_int_equal(scan(PAGE, SPAN - PAGE, true, 0, &first), 0);
	assert_int_equal(scan(PAGE, 2 * SPAN, true, 0, &first), SPAN / PAGE);
	assert_int_equal(first.start, BASE + SPAN);
	assert_protected(BASE, 1, false);
	assert_protected(BASE + SPAN, 1, true);
	/* and what is more than may be reported */
	store(BASE + SPAN, 2);
	assert_int_equal(scan(0, 2 * SPAN, true, SPAN / PAGE - 1, &first), 0);
	assert_int_equal(scan(0, 2 * SPAN, true, SPAN / PAGE + 1, &first), SPAN / PAGE);
	assert_protected(BASE, 1, true);
	assert_protected(BASE + SPAN, 1, false);
	/* only looking, it takes what it can */
	assert_int_equal(scan(SPAN + PAGE, 2 * SPAN, false, 7, &first), 7);
	close_registered();
}

static void parts_of_fsdax_are(void **state)
{
	struct quire_scan_region first;

	(void)state;
	open_registered(&fsdax);
	store(BASE, 1);
	assert_int_equal(writeprotect(context, BASE + 3 * PAGE, 2, PROTECT), 0);
	assert_int_equal(written(), 2 * SPAN / PAGE - 2);
	assert_int_equal(scan(0, 2 * SPAN, true, 3, &first), 3);
	assert_int_equal(written(), 2 * SPAN / PAGE - 5);
	store(BASE + 3 * PAGE, 3);
	assert_int_equal(*word(&fsdax, 3 * PAGE), 3);
	assert_int_equal(written(), 2 * SPAN / PAGE - 4);
	close_registered();
}

/* ---- strict_written ---- */

static int open_strict(void **state)
{
	(void)state;
	return open_devices_with(true);
}

/*
 *	registered    [====protected====]
 *	another       [====================]   what is written here is written there
 */
static void writes_through_other_mappings_are_found(void **state)
{
	struct device *devices[] = {&dax[1], &fsdax};
	const uint64_t another = BASE + GIB;

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct device *device = devices[i];

		map_at(device, another, 2 * SPAN, RW, SHARED, 0);
		open_registered(device);
		store(another, 1);
		load(another + SPAN);
		assert_int_equal(writeprotect(context, BASE, SPAN / PAGE, PROTECT), 0);
		assert_int_equal(writeprotect(context, BASE + SPAN, SPAN / PAGE, PROTECT), 0);
		load(BASE);
		assert_protected(BASE, 1, true);
		assert_int_equal(written(), 0);
		store(another + 9 * PAGE, 2);
		assert_int_equal(written(), SPAN / PAGE);
		assert_protected(BASE, 1, false);
		store(another + SPAN, 3);
		assert_int_equal(written(), 2 * SPAN / PAGE);
		close_registered();
		assert_int_equal(quire_munmap(space, another, 2 * SPAN), 0);
	}
	/* a file that is written to, and a hole */
	open_registered(&fsdax);
	load(BASE);
	assert_int_equal(writeprotect(context, BASE, 2 * SPAN / PAGE, PROTECT), 0);
	assert_int_equal(quire_object_punch(fsdax.object, 2 * PAGE, PAGE), 0);
	assert_int_equal(written(), 1);
	close_registered();
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_devices, close_devices)
	const struct CMUnitTest tests[] = {
		TEST(a_write_releases_a_page_of_its_size),
		TEST(a_part_is_registered_again),
		TEST(a_protected_leaf_comes_back_protected),
		TEST(parts_of_a_dax_page_are_not_protected),
		TEST(parts_of_fsdax_are),
		cmocka_unit_test_setup_teardown(writes_through_other_mappings_are_found,
						open_strict, close_devices),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
