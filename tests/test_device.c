/* SPDX-License-Identifier: MIT */
/*
 * Device memory in the tables: where it may be mapped, which leaf a fault puts where, what truncation and
 * revocation leave of it.
 *
 * In drawings [====] is one leaf of the device, .... what is not mapped.
 */
#include "device_space.h"

/* ---- faults ---- */

static void dax_is_mapped_by_its_own_leaves(void **state)
{
	(void)state;
	for (unsigned level = 0; level < 3; level++) {
		uint64_t base = BASE + level * SIZE, start = tables(), before;

		map_at(&dax[level], base, 2 * span(level), RW, SHARED, span(level));
		*word(&dax[level], span(level) + 8) = 5;
		/* a read fault leaves it writable and clean, so the write needs none */
		assert_int_equal(load(base + 8), 5);
		assert_leaf(base, &dax[level], span(level), level, WRITABLE);
		before = faults();
		store(base + span(level) - 8, 6);
		assert_int_equal(faults(), before);
		assert_leaf(base, &dax[level], span(level), level, WRITABLE | DIRTY);
		assert_int_equal(*word(&dax[level], 2 * span(level) - 8), 6);
		/* a write fault */
		store(base + span(level), 7);
		assert_leaf(base + span(level), &dax[level], 2 * span(level), level,
			    WRITABLE | DIRTY);
		assert_int_equal(tables() - start, 3 - level);
		assert_int_equal(quire_munmap(space, base, 2 * span(level)), 0);
	}
}

static void read_only_dax(void **state)
{
	(void)state;
	map_at(&dax[1], BASE, span(1), R, SHARED, 0);
	load(BASE);
	assert_leaf(BASE, &dax[1], 0, 1, 0);
	assert_segv(soft_store64(cpu, BASE, 1), QUIRE_SEGV_ACCERR);
	assert_int_equal(quire_mprotect(space, BASE, span(1), RW), 0);
	assert_leaf(BASE, &dax[1], 0, 1, WRITABLE);
}

static void beyond_the_device_is_bus(void **state)
{
	(void)state;
	map_at(&dax[1], BASE, 2 * span(1), RW, SHARED, SIZE - span(1));
	store(BASE, 1);
	assert_bus(BASE + span(1));
	map_at(&dax[1], BASE, span(1), RW, SHARED, SIZE);
	assert_bus(BASE);
	map_at(&pfn, BASE, span(1), RW, SHARED, SIZE - PAGE);
	store(BASE, 1);
	assert_bus(BASE + PAGE);
	/* a file's last page is there as a whole */
	assert_int_equal(quire_object_truncate(fsdax.object, PAGE + 8), 0);
	map_at(&fsdax, BASE, span(1), RW, SHARED, 0);
	store(BASE + 2 * PAGE - 8, 1);
	assert_bus(BASE + 2 * PAGE);
	assert_int_equal(logged, 0);
}

/*
 *	address    |    2M    |    2M    |
 *	VMA        ..[==========]........       a leaf where it covers the span, else pages
 */
static void leaves_stay_in_their_vma(void **state)
{
	struct device *devices[] = {&fsdax, &pfn};

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct device *device = devices[i];

		map_at(device, BASE + PAGE, 2 * span(1), RW, SHARED, PAGE);
		store(BASE + PAGE, 1);
		assert_leaf(BASE + PAGE, device, PAGE, 0, WRITABLE | DIRTY);
		assert_absent(BASE);
		store(BASE + 2 * span(1), 1);
		assert_leaf(BASE + 2 * span(1), device, 2 * span(1), 0, WRITABLE | DIRTY);
		store(BASE + span(1) + 8 * PAGE, 1);
		assert_leaf(BASE + span(1), device, span(1), 1, WRITABLE | DIRTY);
		assert_int_equal(quire_munmap(space, BASE, 3 * span(1)), 0);
	}
}

static void leaves_need_index_and_address_alike(void **state)
{
	(void)state;
	/* 1G where both are aligned alike to 1G, 2M where to 2M, else pages */
	map_at(&pfn, BASE, 2 * GIB, RW, SHARED, GIB);
	load(BASE + GIB + 5 * PAGE);
	assert_leaf(BASE + GIB, &pfn, 2 * GIB, 2, WRITABLE);
	map_at(&pfn, BASE, 2 * GIB, RW, SHARED, span(1));
	load(BASE + 5 * PAGE);
	assert_leaf(BASE, &pfn, span(1), 1, WRITABLE);
	map_at(&pfn, BASE, 2 * GIB, RW, SHARED, PAGE);
	load(BASE + 5 * PAGE);
	assert_leaf(BASE + 5 * PAGE, &pfn, 6 * PAGE, 0, WRITABLE);
}

static void a_table_in_the_way_means_smaller_leaves(void **state)
{
	(void)state;
	map_at(&pfn, BASE, GIB, RW, SHARED, 0);
	pfn.highest = 0;
	load(BASE + 2 * PAGE); /* the device has a page there */
	pfn.highest = 2;
	load(BASE + 3 * PAGE);
	assert_leaf(BASE + 3 * PAGE, &pfn, 3 * PAGE, 0, WRITABLE);
	load(BASE + 7 * span(1));
	assert_leaf(BASE + 7 * span(1), &pfn, 7 * span(1), 1, WRITABLE);
}

static void fsdax_leaves_become_writable_by_a_fault(void **state)
{
	(void)state;
	for (unsigned level = 1; level < 3; level++) {
		uint64_t before;

		map_at(&fsdax, BASE, span(level), RW, SHARED, 0);
		load(BASE + 8);
		assert_false(fsdax.write);
		assert_leaf(BASE, &fsdax, 0, level, 0);
		before = faults();
		store(BASE + PAGE, level);
		assert_true(fsdax.write);
		assert_int_equal(faults(), before + 2); /* one that asks, one that installs */
		assert_leaf(BASE, &fsdax, 0, level, WRITABLE | DIRTY);
		assert_int_equal(*word(&fsdax, PAGE), level);
		assert_int_equal(quire_munmap(space, BASE, span(level)), 0);
	}
}

/* What reads zeros in a hole is another leaf than what a write gets. */
static void a_write_to_a_hole_moves_the_leaf(void **state)
{
	static struct quire_device_leaf zeros;

	(void)state;
	zeros = (struct quire_device_leaf){fsdax.frame + 8 * leaf_pages(1), 1};
	map_at(&fsdax, BASE, span(1), RW, SHARED, 0);
	fsdax.answer = &zeros;
	load(BASE);
	assert_leaf(BASE, &fsdax, 8 * span(1), 1, 0);
	fsdax.answer = NULL;
	fsdax.highest = 0; /* one block of it is allocated */
	store(BASE + 4 * PAGE, 9);
	fsdax.highest = 2;
	assert_leaf(BASE + 4 * PAGE, &fsdax, 4 * PAGE, 0, WRITABLE | DIRTY);
	assert_leaf(BASE + 5 * PAGE, &fsdax, 8 * span(1) + 5 * PAGE, 0, 0);
	assert_int_equal(*word(&fsdax, 4 * PAGE), 9);
	assert_int_equal(*word(&fsdax, 8 * span(1) + 4 * PAGE), 0);
}

/* ---- private mappings ---- */

/*
 *	[==========================]   the file's leaf, read-only
 *	[====|copy|====....====|===]   one page is the process's own
 */
static void private_fsdax_copies_a_page(void **state)
{
	(void)state;
	for (unsigned level = 1; level < 3; level++) {
		map_at(&fsdax, BASE, span(level), RW, COPIED, 0);
		*word(&fsdax, 5 * PAGE + 8) = 50;
		assert_int_equal(load(BASE + 5 * PAGE + 8), 50);
		assert_leaf(BASE, &fsdax, 0, level, 0);
		store(BASE + 5 * PAGE, 51);
		assert_int_equal(*word(&fsdax, 5 * PAGE), 0);
		assert_int_equal(load(BASE + 5 * PAGE + 8), 50);
		assert_int_equal(entry_at(space, BASE + 5 * PAGE).level, 0);
		assert_true(entry_at(space, BASE + 5 * PAGE).exclusive);
		/* the file goes on to be seen beside it */
		*word(&fsdax, 4 * PAGE) = 40;
		*word(&fsdax, span(level) - 8) = 60;
		assert_int_equal(load(BASE + 4 * PAGE), 40);
		assert_int_equal(load(BASE + span(level) - 8), 60);
		assert_leaf(BASE + 4 * PAGE, &fsdax, 4 * PAGE, 0, 0);
		if (level == 2)
			assert_leaf(BASE + span(1), &fsdax, span(1), 1, 0);
		/* back to the file's bytes */
		assert_int_equal(quire_madvise(space, BASE, span(level), QUIRE_MADV_DONTNEED), 0);
		assert_int_equal(load(BASE + 5 * PAGE), 0);
		assert_int_equal(load(BASE + 5 * PAGE + 8), 50);
		assert_int_equal(quire_munmap(space, BASE, span(level)), 0);
	}
}

static void a_private_write_to_nothing_copies(void **state)
{
	struct device *devices[] = {&fsdax, &pfn};

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		map_at(devices[i], BASE, span(1), RW, COPIED, 0);
		*word(devices[i], 3 * PAGE + 8) = 30;
		store(BASE + 3 * PAGE, 31);
		assert_int_equal(devices[i]->level, 0);
		assert_false(devices[i]->write);
		assert_int_equal(load(BASE + 3 * PAGE + 8), 30);
		assert_int_equal(*word(devices[i], 3 * PAGE), 0);
		assert_true(entry_at(space, BASE + 3 * PAGE).exclusive);
		assert_int_equal(quire_munmap(space, BASE, span(1)), 0);
	}
}

static void private_pfn_is_mapped_by_the_page(void **state)
{
	(void)state;
	map_at(&pfn, BASE, GIB, RW, COPIED, 0);
	*word(&pfn, 8 * PAGE) = 80;
	assert_int_equal(load(BASE + 8 * PAGE), 80);
	assert_leaf(BASE + 8 * PAGE, &pfn, 8 * PAGE, 0, 0);
	store(BASE + 8 * PAGE + 8, 81);
	assert_int_equal(load(BASE + 8 * PAGE), 80);
	assert_int_equal(*word(&pfn, 8 * PAGE + 8), 0);
}

/* ---- mmap ---- */

static void dax_mmap_refuses(void **state)
{
	uint64_t result;

	(void)state;
	for (unsigned level = 1; level < 3; level++) {
		struct device *device = &dax[level];
		uint64_t a = span(level);

		assert_int_equal(try_map(device, 0, PAGE, RW, SHARED, 0, &result), -QUIRE_EINVAL);
		assert_int_equal(try_map(device, 0, a + PAGE, RW, SHARED, 0, &result),
				 -QUIRE_EINVAL);
		assert_int_equal(try_map(device, BASE + PAGE, a, RW, SHARED | FIXED, 0, &result),
				 -QUIRE_EINVAL);
		assert_int_equal(try_map(device, BASE + a / 2, a, RW, SHARED | FIXED, 0, &result),
				 -QUIRE_EINVAL);
		assert_int_equal(try_map(device, BASE + PAGE, a, RW, SHARED, 0, &result),
				 -QUIRE_EINVAL);
		assert_int_equal(try_map(device, 0, a, RW, SHARED, PAGE, &result), -QUIRE_EINVAL);
		assert_int_equal(try_map(device, 0, 2 * a, RW, SHARED, PAGE, &result),
				 -QUIRE_EINVAL);
		assert_int_equal(try_map(device, 0, a, R, COPIED, 0, &result), -QUIRE_EINVAL);
		assert_int_equal(
			try_map(device, 0, a, RW, SHARED | QUIRE_MAP_GROWSDOWN, 0, &result),
			-QUIRE_EINVAL);
		assert_int_equal(try_map(device, 0, a, RW, SHARED | QUIRE_MAP_HUGETLB, 0, &result),
				 -QUIRE_EINVAL);
		assert_int_equal(try_map(device, 0, a, NONE, QUIRE_MAP_SHARED_VALIDATE, 0, &result),
				 0);
		assert_int_equal(result % a, 0);
		assert_int_equal(try_map(device, 0, a, RW, SHARED, a, &result), 0);
		assert_int_equal(result % a, 0);
	}
	assert_string_equal(vm_flags(result), "rd wr sh mr mw me ms hg");
}

/* At a given address the offset may lie inside a page: that page is mapped. */
static void a_misaligned_offset_maps_the_page(void **state)
{
	(void)state;
	map_at(&dax[1], BASE, span(1), RW, SHARED, span(1) + PAGE);
	*word(&dax[1], span(1)) = 4;
	assert_int_equal(load(BASE), 4);
	assert_leaf(BASE, &dax[1], span(1), 1, WRITABLE);
	quire_device_revoke(dax[1].object, span(1), PAGE);
	assert_absent(BASE);
}

static void other_kinds_are_placed_congruently(void **state)
{
	struct device *devices[] = {&fsdax, &pfn};
	uint64_t result;

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(try_map(devices[i], 0, 4 * MIB, RW, SHARED, 0, &result), 0);
		assert_int_equal(result % span(1), 0);
		assert_int_equal(
			try_map(devices[i], 0, 4 * MIB + PAGE, RW, SHARED, 3 * PAGE, &result), 0);
		assert_int_equal(result % span(1), 3 * PAGE);
		assert_int_equal(try_map(devices[i], 0, PAGE, RW, SHARED, 0, &result), 0);
	}
}

static void pfn_mappings_are_windows(void **state)
{
	uint64_t result;

	(void)state;
	map_at(&pfn, BASE, span(1), RW, SHARED, 0);
	assert_string_equal(vm_flags(BASE), "rd wr sh mr mw ms pf io de dd");
	assert_int_equal(try_map(&pfn, 0, PAGE, RX, SHARED, 0, &result), -QUIRE_EPERM);
	assert_int_equal(quire_mprotect(space, BASE, PAGE, RX), -QUIRE_EACCES);
}

static void what_is_read_only_stays_so(void **state)
{
	struct device *devices[] = {&dax[1], &fsdax, &pfn};
	uint64_t result;

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		struct device *device = devices[i];

		quire_object_put(device->object);
		device->released = 0;
		device->operations.read_only = true;
		assert_int_equal(quire_device_create(machine, SIZE, &device->operations, device,
						     &device->object),
				 0);
		assert_int_equal(try_map(device, 0, span(1), RW, SHARED, 0, &result),
				 -QUIRE_EACCES);
		map_at(device, BASE, span(1), R, SHARED, 0);
		load(BASE);
		assert_leaf(BASE, device, 0, 1, 0);
		assert_int_equal(quire_mprotect(space, BASE, span(1), RW), -QUIRE_EACCES);
	}
}

/* ---- what the device takes back ---- */

static void revoked_pages_are_asked_for_again(void **state)
{
	struct device *devices[] = {&dax[1], &dax[2], &fsdax, &pfn};
	static struct quire_device_leaf elsewhere;

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		struct device *device = devices[i];
		unsigned level = device->operations.level;

		map_at(device, BASE, 2 * GIB, RW, SHARED, 0);
		store(BASE, 1);
		store(BASE + GIB, 1);
		*word(device, 3 * GIB) = 33;
		elsewhere = (struct quire_device_leaf){device->frame + 3 * leaf_pages(2), level};
		device->answer = &elsewhere;
		quire_device_revoke(device->object, GIB / 2 + 5 * PAGE, PAGE);
		/* the leaf goes that has the page, and no other */
		assert_int_equal(entry_at(space, BASE).kind,
				 level == 2 ? QUIRE_ENTRY_ABSENT : QUIRE_ENTRY_LEAF);
		assert_leaf(BASE + GIB, device, GIB, level, WRITABLE | DIRTY);
		quire_device_revoke(device->object, 0, GIB);
		assert_int_equal(load(BASE), 33);
		device->answer = NULL;
		quire_device_revoke(device->object, 0, UINT64_MAX);
		assert_absent(BASE);
		assert_absent(BASE + GIB);
		assert_int_equal(load(BASE), 1);
		assert_int_equal(quire_munmap(space, BASE, 2 * GIB), 0);
	}
}

static void take_back(struct device *device)
{
	quire_device_revoke(device->object, 0, SIZE);
}

/* What was answered before is not installed after. */
static void a_fault_beside_a_revocation_asks_again(void **state)
{
	struct device *devices[] = {&dax[1], &fsdax, &pfn};

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		struct device *device = devices[i];

		map_at(device, BASE, span(1), RW, SHARED, 0);
		device->asked = 0;
		device->meanwhile = take_back;
		load(BASE);
		assert_int_equal(device->asked, 2);
		device->asked = 0;
		device->meanwhile = take_back;
		assert_int_equal(advise(BASE, span(1), QUIRE_MADV_WILLNEED), 0);
		store(BASE, 1);
		assert_int_equal(*word(device, 0), 1);
		assert_int_equal(quire_munmap(space, BASE, span(1)), 0);
	}
}

static void private_copies_outlive_a_revocation(void **state)
{
	(void)state;
	map_at(&fsdax, BASE, span(1), RW, COPIED, 0);
	load(BASE);
	store(BASE + PAGE, 1);
	quire_device_revoke(fsdax.object, 0, span(1));
	assert_absent(BASE);
	assert_true(entry_at(space, BASE + PAGE).exclusive);
	assert_int_equal(load(BASE + PAGE), 1);
}

static void files_are_cut_and_punched_under_leaves(void **state)
{
	(void)state;
	for (unsigned level = 1; level < 3; level++) {
		map_at(&fsdax, BASE, GIB, RW, SHARED, 0);
		fsdax.highest = level;
		store(BASE + 2 * PAGE, 2);
		store(BASE + 3 * PAGE, 3);
		assert_leaf(BASE, &fsdax, 0, level, WRITABLE | DIRTY);
		assert_int_equal(quire_object_punch(fsdax.object, 2 * PAGE, PAGE), 0);
		assert_int_equal(load(BASE + 2 * PAGE), 0);
		assert_int_equal(load(BASE + 3 * PAGE), 3);
		assert_int_equal(quire_object_truncate(fsdax.object, 3 * PAGE + 4), 0);
		assert_int_equal(load(BASE + 3 * PAGE), 3);
		assert_leaf(BASE + 3 * PAGE, &fsdax, 3 * PAGE, 0, 0);
		assert_bus(BASE + 4 * PAGE);
		assert_int_equal(quire_object_truncate(fsdax.object, SIZE), 0);
		assert_int_equal(quire_munmap(space, BASE, GIB), 0);
	}
}

/* ---- nonsense ---- */

static void nonsense_is_a_bus(void **state)
{
	struct device *device = &dax[1];
	const struct quire_device_leaf nonsense[] = {
		{device->frame, 2}, {device->frame, 0}, {device->frame + 1, 1}, {1, 1}, {0, 1},
	};
	uint64_t value;

	(void)state;
	map_at(device, BASE, span(1), RW, SHARED, 0);
	for (unsigned i = 0; i < sizeof(nonsense) / sizeof(nonsense[0]); i++) {
		device->answer = &nonsense[i];
		assert_int_equal(soft_load64(cpu, BASE, &value).outcome, QUIRE_BUS);
		assert_int_equal(logged, i + 1);
		assert_absent(BASE);
	}
	device->answer = NULL;
	device->error = -QUIRE_EIO;
	assert_int_equal(soft_load64(cpu, BASE, &value).outcome, QUIRE_BUS);
	device->error = -4096; /* no error number */
	assert_int_equal(soft_load64(cpu, BASE, &value).outcome, QUIRE_BUS);
	assert_int_equal(logged, 7);
	device->error = 0;
	load(BASE);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_devices, close_devices)
	const struct CMUnitTest tests[] = {
		TEST(dax_is_mapped_by_its_own_leaves),
		TEST(read_only_dax),
		TEST(beyond_the_device_is_bus),
		TEST(leaves_stay_in_their_vma),
		TEST(leaves_need_index_and_address_alike),
		TEST(a_table_in_the_way_means_smaller_leaves),
		TEST(fsdax_leaves_become_writable_by_a_fault),
		TEST(a_write_to_a_hole_moves_the_leaf),
		TEST(private_fsdax_copies_a_page),
		TEST(a_private_write_to_nothing_copies),
		TEST(private_pfn_is_mapped_by_the_page),
		TEST(dax_mmap_refuses),
		TEST(a_misaligned_offset_maps_the_page),
		TEST(other_kinds_are_placed_congruently),
		TEST(pfn_mappings_are_windows),
		TEST(what_is_read_only_stays_so),
		TEST(revoked_pages_are_asked_for_again),
		TEST(a_fault_beside_a_revocation_asks_again),
		TEST(private_copies_outlive_a_revocation),
		TEST(files_are_cut_and_punched_under_leaves),
		TEST(nonsense_is_a_bus),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
