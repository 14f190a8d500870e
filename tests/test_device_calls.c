/* SPDX-License-Identifier: MIT */
/*
 * Device memory in calls: what they refuse, what mprotect, madvise, mlock, mremap and fork do to its
 * leaves, and who else may reach it.
 */
#include <quire/pin.h>

#include "device_space.h"

/* ---- calls that would split a page of DAX ---- */

static void parts_of_a_dax_page_are_refused(void **state)
{
	(void)state;
	for (unsigned level = 1; level < 3; level++) {
		uint64_t a = span(level), result;

		map_at(&dax[level], BASE, 2 * a, RW, SHARED, 0);
		store(BASE, 1);
		store(BASE + a, 1);
		assert_int_equal(quire_mprotect(space, BASE, PAGE, R), -QUIRE_EINVAL);
		assert_int_equal(quire_mprotect(space, BASE + a / 2, PAGE, R), -QUIRE_EINVAL);
		assert_int_equal(quire_mprotect(space, BASE + a - PAGE, PAGE, R), -QUIRE_EINVAL);
		assert_int_equal(quire_mprotect(space, BASE, a + PAGE, R), -QUIRE_EINVAL);
		assert_int_equal(quire_mprotect(space, BASE, PAGE, RW), 0);
		assert_int_equal(quire_munmap(space, BASE, PAGE), -QUIRE_EINVAL);
		assert_int_equal(quire_munmap(space, BASE + a / 2, a), -QUIRE_EINVAL);
		assert_int_equal(quire_mremap(space, BASE, 2 * a, a + a / 2, 0, 0, &result),
				 -QUIRE_EINVAL);
		assert_int_equal(quire_mmap(space, BASE + PAGE, PAGE, RW,
					    COPIED | QUIRE_MAP_ANONYMOUS | FIXED, &result),
				 -QUIRE_EINVAL);
		/* nothing has changed */
		assert_leaf(BASE, &dax[level], 0, level, WRITABLE | DIRTY);
		assert_leaf(BASE + a, &dax[level], a, level, WRITABLE | DIRTY);

		/* whole ones are not; the dirty bit comes back with the permission */
		assert_int_equal(quire_mprotect(space, BASE, a, R), 0);
		assert_leaf(BASE, &dax[level], 0, level, DIRTY);
		/* the piece before could grow into it; a part is a part */
		assert_int_equal(quire_mprotect(space, BASE + a, PAGE, R), -QUIRE_EINVAL);
		assert_leaf(BASE + a, &dax[level], a, level, WRITABLE | DIRTY);
		assert_int_equal(quire_mprotect(space, BASE, a, NONE), 0);
		assert_segv(soft_load64(cpu, BASE, &result), QUIRE_SEGV_ACCERR);
		assert_int_equal(quire_mprotect(space, BASE, a, RW), 0);
		assert_leaf(BASE, &dax[level], 0, level, WRITABLE | DIRTY);
		assert_int_equal(quire_munmap(space, BASE, a), 0);
		assert_segv(soft_load64(cpu, BASE, &result), QUIRE_SEGV_MAPERR);
		assert_leaf(BASE + a, &dax[level], a, level, WRITABLE | DIRTY);
		assert_int_equal(quire_munmap(space, BASE + a, a), 0);
	}
}

static void parts_of_other_leaves_are_cut(void **state)
{
	struct device *devices[] = {&fsdax, &pfn};

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		for (unsigned level = 1; level < 3; level++) {
			struct device *device = devices[i];
			uint64_t middle = BASE + span(level) / 2;

			map_at(device, BASE, span(level), RW, SHARED, 0);
			store(BASE, 1);
			assert_leaf(BASE, device, 0, level, WRITABLE | DIRTY);
			assert_int_equal(quire_mprotect(space, middle, PAGE, R), 0);
			assert_segv(soft_store64(cpu, middle, 1), QUIRE_SEGV_ACCERR);
			*word(device, span(level) / 2) = 8;
			assert_int_equal(load(middle), 8);
			store(middle + PAGE, 2);
			store(middle - PAGE, 2);
			assert_int_equal(*word(device, span(level) / 2 + PAGE), 2);
			assert_int_equal(quire_munmap(space, middle, PAGE), 0);
			assert_segv(soft_store64(cpu, middle, 1), QUIRE_SEGV_MAPERR);
			assert_int_equal(load(BASE), 1);
			assert_int_equal(quire_munmap(space, BASE, span(level)), 0);
		}
	}
}

/* ---- madvise, mlock, populate ---- */

static void advice_on_dax(void **state)
{
	static const struct {
		int advice, whole, half;
	} table[] = {
		{QUIRE_MADV_NORMAL, 0, 0},
		{QUIRE_MADV_RANDOM, 0, -QUIRE_EINVAL},
		{QUIRE_MADV_NORMAL, 0, -QUIRE_EINVAL},
		{QUIRE_MADV_SEQUENTIAL, 0, -QUIRE_EINVAL},
		{QUIRE_MADV_NORMAL, 0, -QUIRE_EINVAL},
		{QUIRE_MADV_WILLNEED, 0, 0},
		{QUIRE_MADV_DOFORK, 0, 0},
		{QUIRE_MADV_DONTFORK, 0, -QUIRE_EINVAL},
		{QUIRE_MADV_DOFORK, 0, -QUIRE_EINVAL},
		{QUIRE_MADV_MERGEABLE, 0, 0},
		{QUIRE_MADV_UNMERGEABLE, 0, 0},
		{QUIRE_MADV_HUGEPAGE, 0, 0},
		{QUIRE_MADV_NOHUGEPAGE, 0, -QUIRE_EINVAL},
		{QUIRE_MADV_HUGEPAGE, 0, -QUIRE_EINVAL},
		{QUIRE_MADV_DODUMP, 0, 0},
		{QUIRE_MADV_DONTDUMP, 0, -QUIRE_EINVAL},
		{QUIRE_MADV_DODUMP, 0, -QUIRE_EINVAL},
		{QUIRE_MADV_KEEPONFORK, 0, 0},
		{QUIRE_MADV_COLD, 0, 0},
		{QUIRE_MADV_PAGEOUT, 0, 0},
		{QUIRE_MADV_FREE, -QUIRE_EINVAL, -QUIRE_EINVAL},
		{QUIRE_MADV_WIPEONFORK, -QUIRE_EINVAL, -QUIRE_EINVAL},
		{QUIRE_MADV_COLLAPSE, -QUIRE_EINVAL, -QUIRE_EINVAL},
		{QUIRE_MADV_GUARD_INSTALL, -QUIRE_EINVAL, -QUIRE_EINVAL},
		{QUIRE_MADV_GUARD_REMOVE, -QUIRE_EINVAL, -QUIRE_EINVAL},
		{QUIRE_MADV_REMOVE, -QUIRE_ENODEV, -QUIRE_ENODEV},
	};

	(void)state;
	for (unsigned level = 1; level < 3; level++) {
		uint64_t a = span(level);

		map_at(&dax[level], BASE, a, RW, SHARED, 0);
		store(BASE, 1);
		for (unsigned i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
			/* the half first: it must find the flag as it was */
			if (advise(BASE, a / 2, table[i].advice) != table[i].half)
				fail_msg("advice %d of half a leaf", table[i].advice);
			if (advise(BASE, a, table[i].advice) != table[i].whole)
				fail_msg("advice %d", table[i].advice);
			assert_leaf(BASE, &dax[level], 0, level, WRITABLE | DIRTY);
		}
		/* half is all of it */
		assert_int_equal(advise(BASE + a / 2, PAGE, QUIRE_MADV_DONTNEED), 0);
		assert_absent(BASE);
		assert_int_equal(load(BASE), 1);
		assert_int_equal(advise(BASE, PAGE, QUIRE_MADV_DONTNEED_LOCKED), 0);
		assert_absent(BASE + a / 2);
		assert_int_equal(advise(BASE, a / 2, QUIRE_MADV_POPULATE_READ), 0);
		assert_leaf(BASE, &dax[level], 0, level, WRITABLE);
		assert_int_equal(advise(BASE, a, QUIRE_MADV_DONTNEED), 0);
		assert_int_equal(advise(BASE, PAGE, QUIRE_MADV_POPULATE_WRITE), 0);
		assert_leaf(BASE, &dax[level], 0, level, WRITABLE | DIRTY);
		assert_int_equal(quire_munmap(space, BASE, a), 0);
	}
}

static void advice_on_pfn(void **state)
{
	static const int fine[] = {
		QUIRE_MADV_NORMAL,	QUIRE_MADV_RANDOM,    QUIRE_MADV_SEQUENTIAL,
		QUIRE_MADV_WILLNEED,	QUIRE_MADV_DONTFORK,  QUIRE_MADV_MERGEABLE,
		QUIRE_MADV_UNMERGEABLE, QUIRE_MADV_HUGEPAGE,  QUIRE_MADV_NOHUGEPAGE,
		QUIRE_MADV_DONTDUMP,	QUIRE_MADV_KEEPONFORK};
	static const int invalid[] = {
		QUIRE_MADV_DONTNEED,	   QUIRE_MADV_DONTNEED_LOCKED, QUIRE_MADV_FREE,
		QUIRE_MADV_COLD,	   QUIRE_MADV_PAGEOUT,	       QUIRE_MADV_POPULATE_READ,
		QUIRE_MADV_POPULATE_WRITE, QUIRE_MADV_COLLAPSE,	       QUIRE_MADV_GUARD_INSTALL,
		QUIRE_MADV_GUARD_REMOVE,   QUIRE_MADV_WIPEONFORK,      QUIRE_MADV_DOFORK,
		QUIRE_MADV_DODUMP};

	(void)state;
	map_at(&pfn, BASE, GIB, RW, SHARED, 0);
	store(BASE, 1);
	for (unsigned i = 0; i < sizeof(fine) / sizeof(fine[0]); i++)
		if (advise(BASE, GIB, fine[i]))
			fail_msg("advice %d", fine[i]);
	for (unsigned i = 0; i < sizeof(invalid) / sizeof(invalid[0]); i++)
		if (advise(BASE, GIB, invalid[i]) != -QUIRE_EINVAL)
			fail_msg("advice %d", invalid[i]);
	assert_int_equal(advise(BASE, GIB, QUIRE_MADV_REMOVE), -QUIRE_ENODEV);
	assert_leaf(BASE, &pfn, 0, 2, WRITABLE | DIRTY);
	map_at(&pfn, BASE, PAGE, RW, COPIED, 0);
	assert_int_equal(advise(BASE, PAGE, QUIRE_MADV_REMOVE), -QUIRE_EACCES);
}

static void dontneed_of_a_part_of_fsdax(void **state)
{
	(void)state;
	map_at(&fsdax, BASE, span(1), RW, SHARED, 0);
	store(BASE, 1);
	store(BASE + PAGE, 2);
	assert_int_equal(advise(BASE, PAGE, QUIRE_MADV_DONTNEED), 0);
	assert_absent(BASE);
	assert_int_equal(load(BASE), 1);
	assert_int_equal(load(BASE + PAGE), 2);
	/* a hole, where MADV_REMOVE punches it */
	assert_int_equal(advise(BASE, PAGE, QUIRE_MADV_REMOVE), 0);
	assert_int_equal(load(BASE), 0);
	assert_int_equal(load(BASE + PAGE), 2);
}

static void mlock_fills_and_locks_nothing(void **state)
{
	struct quire_usage usage;

	(void)state;
	map_at(&dax[2], BASE, 2 * GIB, RW, SHARED, 0);
	assert_int_equal(quire_mlock(space, BASE + GIB / 2, PAGE), 0);
	assert_leaf(BASE, &dax[2], 0, 2, WRITABLE);
	assert_int_equal(quire_munlock(space, BASE, PAGE), 0);
	assert_int_equal(quire_munmap(space, BASE, 2 * GIB), 0);
	map_at(&fsdax, BASE, span(1), RW, SHARED | QUIRE_MAP_LOCKED, 0);
	assert_leaf(BASE, &fsdax, 0, 1, 0);
	map_at(&dax[1], BASE, span(1), RW, SHARED | QUIRE_MAP_POPULATE, 0);
	assert_leaf(BASE, &dax[1], 0, 1, WRITABLE);
	map_at(&pfn, BASE, span(1), RW, SHARED | QUIRE_MAP_LOCKED, 0);
	assert_absent(BASE);
	assert_int_equal(quire_mlock(space, BASE, PAGE), 0);
	quire_space_usage(space, &usage);
	assert_int_equal(usage.locked, 0);
}

/* ---- mremap ---- */

static void leaves_of_dax_move_or_go(void **state)
{
	(void)state;
	for (unsigned level = 1; level < 3; level++) {
		uint64_t a = span(level), to = BASE + 8 * GIB, result, before;

		map_at(&dax[level], BASE, a, RW, SHARED, a);
		store(BASE, 1);
		before = faults();
		assert_int_equal(quire_mremap(space, BASE, a, a,
					      QUIRE_MREMAP_MAYMOVE | QUIRE_MREMAP_FIXED, to,
					      &result),
				 0);
		assert_int_equal(load(to), 1);
		assert_int_equal(faults(), before);
		assert_leaf(to, &dax[level], a, level, WRITABLE | DIRTY);
		assert_segv(soft_load64(cpu, BASE, &result), QUIRE_SEGV_MAPERR);

		/* never into a wrong slot */
		assert_int_equal(quire_mremap(space, to, a, a,
					      QUIRE_MREMAP_MAYMOVE | QUIRE_MREMAP_FIXED,
					      BASE + PAGE, &result),
				 0);
		assert_absent(BASE + PAGE);
		assert_bus(BASE + PAGE);
		assert_bus(BASE + a);
		assert_int_equal(quire_munmap(space, BASE + PAGE, a), 0);
	}
}

static void dax_grows_and_is_mapped_again(void **state)
{
	uint64_t a = span(1), result, again;

	(void)state;
	map_at(&dax[1], BASE, a, RW, SHARED, 0);
	map_at(&dax[1], BASE + a, a, RW, SHARED, 8 * a);
	store(BASE, 1);
	assert_int_equal(quire_mremap(space, BASE, a, 2 * a, QUIRE_MREMAP_MAYMOVE, 0, &result), 0);
	assert_int_equal(result % a, 0);
	assert_leaf(result, &dax[1], 0, 1, WRITABLE | DIRTY);
	load(result + a);
	assert_leaf(result + a, &dax[1], a, 1, WRITABLE);
	assert_int_equal(quire_mremap(space, result, 0, a, QUIRE_MREMAP_MAYMOVE, 0, &again), 0);
	assert_int_equal(load(again), 1);
	assert_int_equal(quire_mremap(space, result, 2 * a, 2 * a,
				      QUIRE_MREMAP_MAYMOVE | QUIRE_MREMAP_DONTUNMAP, 0, &again),
			 0);
	assert_leaf(again, &dax[1], 0, 1, WRITABLE | DIRTY);
	assert_absent(result);
	assert_int_equal(load(result), 1);
	/* by 4K: the first leaf works */
	assert_int_equal(
		quire_mremap(space, BASE + a, a, a + PAGE, QUIRE_MREMAP_MAYMOVE, 0, &result), 0);
	store(result, 2);
	assert_bus(result + a);
}

static void other_leaves_are_cut_to_move(void **state)
{
	struct device *devices[] = {&fsdax, &pfn};
	uint64_t to = BASE + 8 * GIB, result;

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		map_at(devices[i], BASE, span(1), RW, SHARED, 0);
		store(BASE + 7 * PAGE, 7);
		assert_int_equal(quire_mremap(space, BASE, span(1), span(1),
					      QUIRE_MREMAP_MAYMOVE | QUIRE_MREMAP_FIXED, to + PAGE,
					      &result),
				 0);
		assert_int_equal(load(to + 8 * PAGE), 7);
		assert_leaf(to + 8 * PAGE, devices[i], 7 * PAGE, 0, WRITABLE | DIRTY);
		assert_int_equal(quire_munmap(space, to, 2 * span(1)), 0);
	}
	/* a window does not grow */
	map_at(&pfn, BASE, span(1), RW, SHARED, 0);
	assert_int_equal(
		quire_mremap(space, BASE, span(1), 2 * span(1), QUIRE_MREMAP_MAYMOVE, 0, &result),
		-QUIRE_EFAULT);
	assert_int_equal(quire_mremap(space, BASE, 0, PAGE, QUIRE_MREMAP_MAYMOVE, 0, &result),
			 -QUIRE_EFAULT);
	assert_int_equal(quire_mremap(space, BASE, span(1), span(1),
				      QUIRE_MREMAP_MAYMOVE | QUIRE_MREMAP_DONTUNMAP, 0, &result),
			 -QUIRE_EINVAL);
	map_at(&pfn, BASE, span(1), RW, COPIED, 0);
	assert_int_equal(quire_mremap(space, BASE, 0, PAGE, QUIRE_MREMAP_MAYMOVE, 0, &result),
			 -QUIRE_EINVAL);
}

/* ---- fork ---- */

static struct quire_space *fork_space(void)
{
	struct quire_space *child;

	assert_int_equal(quire_fork(space, &child), 0);
	return child;
}

static void dax_comes_to_the_child_without_entries(void **state)
{
	struct device *devices[] = {&dax[1], &dax[2], &fsdax};

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		struct quire_space *child;

		map_at(devices[i], BASE, GIB, RW, SHARED, 0);
		store(BASE, 1);
		child = fork_space();
		assert_int_equal(entry_at(child, BASE).kind, QUIRE_ENTRY_ABSENT);
		assert_true(entry_at(space, BASE).writable);
		assert_true(entry_at(space, BASE).dirty);
		soft_cpu_enter(cpu, child);
		assert_int_equal(load(BASE), 1);
		store(BASE, 2);
		soft_cpu_enter(cpu, space);
		assert_int_equal(load(BASE), 2);
		quire_space_destroy(child);
	}
}

static void pfn_leaves_are_copied_at_their_level(void **state)
{
	(void)state;
	for (unsigned level = 0; level < 3; level++) {
		struct quire_entry_report entry;
		struct quire_space *child;

		map_at(&pfn, BASE, span(level), RW, SHARED, 0);
		store(BASE, 1);
		child = fork_space();
		entry = entry_at(child, BASE);
		assert_int_equal(entry.kind, QUIRE_ENTRY_LEAF);
		assert_int_equal(entry.level, level);
		assert_int_equal(entry.frame, pfn.frame);
		assert_true(entry.writable);
		assert_true(entry.dirty);
		assert_false(entry.young);
		assert_leaf(BASE, &pfn, 0, level, WRITABLE | DIRTY);
		quire_space_destroy(child);
		assert_int_equal(quire_munmap(space, BASE, GIB), 0);
	}
}

static void private_copies_are_shared_by_fork(void **state)
{
	struct device *devices[] = {&fsdax, &pfn};

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct quire_space *child;

		map_at(devices[i], BASE, span(1), RW, COPIED, 0);
		*word(devices[i], PAGE) = 11;
		store(BASE, 10);
		load(BASE + PAGE);
		child = fork_space();
		assert_false(entry_at(space, BASE).writable);
		soft_cpu_enter(cpu, child);
		assert_int_equal(load(BASE), 10);
		assert_int_equal(load(BASE + PAGE), 11);
		store(BASE, 20);
		store(BASE + PAGE, 21);
		soft_cpu_enter(cpu, space);
		assert_int_equal(load(BASE), 10);
		assert_int_equal(load(BASE + PAGE), 11);
		assert_int_equal(*word(devices[i], PAGE), 11);
		assert_int_equal(*word(devices[i], 0), 0);
		quire_space_destroy(child);
	}
}

/* ---- on the process's behalf ---- */

static void the_kernel_reaches_dax_and_no_window(void **state)
{
	struct device *devices[] = {&dax[1], &dax[2], &fsdax};
	uint64_t value = 77, found = 0;
	size_t done;

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		map_at(devices[i], BASE, GIB, RW, SHARED, 0);
		assert_int_equal(quire_access_write(space, BASE + 5 * PAGE + 8, &value, 8, &done),
				 0);
		assert_int_equal(*word(devices[i], 5 * PAGE + 8), 77);
		assert_true(entry_at(space, BASE).dirty);
		assert_int_equal(quire_access_read(space, BASE + 5 * PAGE + 8, &found, 8, &done),
				 0);
		assert_int_equal(found, 77);
	}
	map_at(&fsdax, BASE, span(1), RW, COPIED, 0);
	assert_int_equal(quire_access_read(space, BASE + 5 * PAGE + 8, &found, 8, &done), 0);
	assert_int_equal(found, 77);
	assert_leaf(BASE, &fsdax, 0, 1, 0);
	found = 78;
	assert_int_equal(quire_access_write(space, BASE + 5 * PAGE + 8, &found, 8, &done), 0);
	assert_int_equal(*word(&fsdax, 5 * PAGE + 8), 77);
	assert_int_equal(load(BASE + 5 * PAGE + 8), 78);

	map_at(&pfn, BASE, span(1), RW, SHARED, 0);
	store(BASE, 1);
	assert_int_equal(quire_access_read(space, BASE, &found, 8, &done), -QUIRE_EFAULT);
	map_at(&pfn, BASE, span(1), RW, COPIED, 0);
	store(BASE, 1);
	assert_int_equal(quire_access_write(space, BASE, &found, 8, &done), -QUIRE_EFAULT);
}

static void pins_hold_the_range(void **state)
{
	uint64_t frames[4];
	struct quire_pin pin = {.address = BASE + PAGE, .length = 3 * PAGE, .frames = frames};
	uint64_t moved;

	(void)state;
	map_at(&dax[1], BASE, span(1), RW, SHARED, 0);
	assert_int_equal(quire_pin(space, &pin), 0);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(frames[i], dax[1].frame + 1 + i);
	assert_int_equal(quire_migrate(space, BASE, span(1), &moved), 0);
	assert_int_equal(quire_munmap(space, BASE, span(1)), 0);
	assert_int_equal(quire_device_memory_remove(machine, dax[1].frame), -QUIRE_EBUSY);
	quire_unpin(machine, &pin, true);
	map_at(&fsdax, BASE, span(1), RW, SHARED, 0);
	assert_int_equal(quire_pin(space, &pin), -QUIRE_EOPNOTSUPP);
	map_at(&pfn, BASE, span(1), RW, SHARED, 0);
	assert_int_equal(quire_pin(space, &pin), -QUIRE_EFAULT);
	assert_int_equal(pin.count, 0);
}

/* ---- userfaultfd ---- */

static void what_can_be_registered(void **state)
{
	const uint64_t features = QUIRE_UFFD_FEATURE_WP_ASYNC | QUIRE_UFFD_FEATURE_WP_UNPOPULATED;
	struct quire_userfault *plain = open_context(space, QUIRE_UFFD_FEATURE_PAGEFAULT_FLAG_WP);
	struct quire_userfault *async = open_context(space, features);
	struct device *devices[] = {&dax[1], &dax[2], &fsdax, &pfn};

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		int answer = devices[i] == &pfn ? -QUIRE_EINVAL : 0;
		int half = devices[i] == &fsdax ? 0 : -QUIRE_EINVAL;

		map_at(devices[i], BASE, GIB, RW, SHARED, 0);
		assert_int_equal(register_pages(plain, BASE, GIB / PAGE, WP), -QUIRE_EINVAL);
		assert_int_equal(register_pages(async, BASE, GIB / PAGE, MISSING), -QUIRE_EINVAL);
		assert_int_equal(register_pages(async, BASE, GIB / PAGE, MISSING | WP),
				 -QUIRE_EINVAL);
		assert_int_equal(register_pages(async, BASE, leaf_pages(1) / 2, WP), half);
		assert_int_equal(register_pages(async, BASE, GIB / PAGE, WP), answer);
		assert_int_equal(quire_munmap(space, BASE, GIB), 0);
	}
	quire_userfault_close(plain);
	quire_userfault_close(async);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_devices, close_devices)
	const struct CMUnitTest tests[] = {
		TEST(parts_of_a_dax_page_are_refused),
		TEST(parts_of_other_leaves_are_cut),
		TEST(advice_on_dax),
		TEST(advice_on_pfn),
		TEST(dontneed_of_a_part_of_fsdax),
		TEST(mlock_fills_and_locks_nothing),
		TEST(leaves_of_dax_move_or_go),
		TEST(dax_grows_and_is_mapped_again),
		TEST(other_leaves_are_cut_to_move),
		TEST(dax_comes_to_the_child_without_entries),
		TEST(pfn_leaves_are_copied_at_their_level),
		TEST(private_copies_are_shared_by_fork),
		TEST(the_kernel_reaches_dax_and_no_window),
		TEST(pins_hold_the_range),
		TEST(what_can_be_registered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
