/* SPDX-License-Identifier: MIT */
/*
 * Leaves of the levels 1 and 2, one thing each: what fork, protection, moving and cutting do to them.
 */
#include <string.h>

#include "leaves_fixture.h"

/* The leaf at the start of the window. */
static struct page_tables *map_one(struct world *world, unsigned level,
				   struct table_permissions allow)
{
	struct page_tables *tables = &world->tables[LARGE];

	expect_empty(tables);
	map_device(world, LARGE, WINDOW, level, DEVICE, allow);
	return tables;
}

static struct table_run look(struct page_tables *tables, uint64_t address)
{
	struct table_run run;

	table_run(tables, address, WINDOW_END, true, &run);
	assert_int_equal(run.kind, QUIRE_ENTRY_LEAF);
	return run;
}

static void expect_access(struct page_tables *tables, uint64_t address, enum quire_access access,
			  bool allowed)
{
	struct quire_translation translation;

	assert_int_equal(access_page(tables, address, access, &translation), allowed);
	if (allowed)
		assert_int_equal(translation.frame, DEVICE + ((address - WINDOW) >> PAGE_SHIFT));
}

/* E4: write permission goes, from both sides, where the memory is private and could be written to. */
static void fork_leaves_device_leaves_at_their_level(void **state)
{
	struct world *world = *state;

	for (unsigned variant = 0; variant < 12; variant++) {
		unsigned level = 1 + variant % 2;
		bool shared = variant / 2 % 3 == 0, writable = variant / 2 % 3 != 1;
		bool protected = variant / 6;
		struct page_tables *parent = map_one(world, level, read_write);
		struct page_tables *child = &world->child[LARGE];
		struct table_run of_parent, of_child;

		expect_access(parent, WINDOW, QUIRE_WRITE, true);
		if (!writable)
			protect(parent, WINDOW, WINDOW_END, read_only);
		if (protected)
			write_protect(parent, WINDOW, WINDOW + level_span(level), false);
		copy(parent, child, WINDOW, WINDOW_END, shared);
		of_parent = look(parent, WINDOW);
		of_child = look(child, WINDOW);
		assert_int_equal(of_parent.level, level);
		assert_int_equal(of_child.level, level);
		assert_int_equal(of_child.number, DEVICE);
		assert_int_equal(of_parent.writable, shared && writable && !protected);
		assert_int_equal(of_child.writable, of_parent.writable);
		assert_true(of_parent.dirty && of_child.dirty);
		assert_true(of_parent.young && !of_child.young);
		assert_int_equal(of_parent.uffd_wp, protected);
		assert_int_equal(of_child.uffd_wp, protected);
		assert_int_equal(child->frames, parent->frames);
		expect_empty(child);
	}
}

/* A leaf that allows nothing is known by its size alone, and is one when it is cut, too. */
static void a_leaf_without_access_stays_a_leaf(void **state)
{
	struct world *world = *state;

	for (unsigned level = 1; level <= 2; level++) {
		uint64_t end = WINDOW + level_span(level), middle = WINDOW + level_span(level) / 2;
		struct page_tables *tables = map_one(world, level, read_write);

		expect_access(tables, WINDOW, QUIRE_WRITE, true);
		protect(tables, WINDOW, end, nothing);
		assert_int_equal(look(tables, WINDOW).level, level);
		assert_int_equal(look(tables, WINDOW).end, end);
		assert_true(look(tables, WINDOW).dirty);
		expect_access(tables, middle, QUIRE_READ, false);
		table_check(tables, 0, table_address_end(), no_violation, NULL);

		protect(tables, middle, middle + PAGE_SIZE, read_only);
		for (uint64_t page = WINDOW; page < end; page += PAGE_SIZE)
			expect_access(tables, page, QUIRE_READ, page == middle);
		protect(tables, WINDOW, end, shared_write);
		for (uint64_t page = WINDOW; page < end; page += PAGE_SIZE) {
			assert_true(look(tables, page).dirty && look(tables, page).writable);
			expect_access(tables, page, QUIRE_EXECUTE, false);
		}
	}
}

/*
 * The middle page of a leaf loses its write permission.
 *
 *	level 2   |           leaf             |            |           table            |
 *	level 1                                      ──▶    |leaf|leaf|table|leaf|leaf|..|
 *	level 0                                                       |.|r|.|
 */
static void the_middle_page_is_protected(void **state)
{
	struct world *world = *state;

	for (unsigned level = 1; level <= 2; level++) {
		uint64_t end = WINDOW + level_span(level), middle = WINDOW + level_span(level) / 2;
		struct page_tables *tables = map_one(world, level, read_write);
		uint64_t frames = tables->frames;

		for (uint64_t page = WINDOW; page < end; page += level_span(level) / 16)
			memcpy(world->device + (page - WINDOW), &page, sizeof(page));
		expect_access(tables, WINDOW + PAGE_SIZE, QUIRE_WRITE, true);
		protect(tables, middle, middle + PAGE_SIZE, read_only);
		/* The edges of the page have one path of tables. */
		assert_int_equal(tables->frames, frames + level);
		assert_int_equal(look(tables, middle).level, 0);
		assert_int_equal(look(tables, WINDOW).level, level - 1);
		for (uint64_t page = WINDOW; page < end; page += PAGE_SIZE) {
			struct table_run run = look(tables, page);
			struct quire_translation translation;

			assert_true(run.dirty && run.young && run.readable);
			assert_int_equal(run.writable, page != middle);
			assert_true(access_page(tables, page, QUIRE_READ, &translation));
			assert_ptr_equal(translation.memory, world->device + (page - WINDOW));
			if ((page - WINDOW) % (level_span(level) / 16) == 0)
				assert_memory_equal(translation.memory, &page, sizeof(page));
			expect_access(tables, page, QUIRE_WRITE, page != middle);
		}
		table_check(tables, 0, table_address_end(), no_violation, NULL);
	}
}

/* Another CPU uses the leaf just before the n-th lock is taken, among them that of the new table. */
static struct meanwhile {
	struct page_tables *tables;
	enum quire_access access;
	unsigned level; /* of the leaf */
	unsigned locks; /* until then */
	bool used;	/* it was, and whole */
} meanwhile;

static void use_leaf_meanwhile(void)
{
	struct quire_translation translation;

	if (meanwhile.locks-- != 1)
		return;
	port_stub_before_lock = NULL;
	meanwhile.used = access_page(meanwhile.tables, WINDOW, meanwhile.access, &translation) &&
			 translation.level == meanwhile.level;
}

static void what_the_hardware_sets_while_a_leaf_is_cut_is_kept(void **state)
{
	struct world *world = *state;
	unsigned variant = 0, lock = 0;

	while (variant < 4) {
		unsigned level = 1 + variant % 2;
		bool write = variant / 2;
		struct page_tables *tables = map_one(world, level, read_write);
		uint64_t end = WINDOW + level_span(level), middle = WINDOW + level_span(level) / 2;

		meanwhile = (struct meanwhile){.tables = tables,
					       .access = write ? QUIRE_WRITE : QUIRE_READ,
					       .level = level,
					       .locks = ++lock};
		port_stub_before_lock = use_leaf_meanwhile;
		cut(tables, middle, middle + PAGE_SIZE);
		if (port_stub_before_lock) {
			/* There are no more locks. */
			port_stub_before_lock = NULL;
			assert_true(lock > level);
			variant++;
			lock = 0;
			continue;
		}
		for (uint64_t page = WINDOW; meanwhile.used && page < end; page += PAGE_SIZE) {
			assert_true(look(tables, page).young);
			assert_int_equal(look(tables, page).dirty, write);
		}
	}
}

/* Whether one span of the gather has all of it. */
static bool gathered(const struct gather *gather, uint64_t start, uint64_t end)
{
	for (unsigned i = 0; i <= gather->last; i++)
		if (gather->spans[i].end != GATHER_NOTHING && gather->spans[i].start <= start &&
		    gather->spans[i].end >= end)
			return true;
	return false;
}

/* Where old and new place are aligned alike a leaf moves as it is; else it is cut, or goes. */
static void a_leaf_moves_whole_where_it_fits(void **state)
{
	struct world *world = *state;
	uint64_t to = WINDOW_END - 2 * SPAN_1;

	for (unsigned variant = 0; variant < 4; variant++) {
		bool fits = variant % 2, drop = variant / 2;
		struct page_tables *tables = map_one(world, 1, read_write);
		uint64_t place = fits ? to : to + 3 * PAGE_SIZE;
		struct table_reserve reserve;
		struct table_run run;
		struct gather gather;

		expect_access(tables, WINDOW, QUIRE_WRITE, true);
		reserve = reserve_tables(tables,
					 table_move_cost(tables, WINDOW, place, SPAN_1, drop));
		gather_begin(&gather, tables, QUIRE_NOTIFIER_CLEAR);
		table_move(tables, WINDOW, place, SPAN_1, drop, &reserve, &gather);
		assert_true(gathered(&gather, WINDOW, WINDOW + SPAN_1));
		gather_end(&gather);
		table_unreserve(tables->machine, &reserve);
		table_run(tables, WINDOW, WINDOW_END, false, &run);
		assert_int_equal(run.kind, QUIRE_ENTRY_ABSENT);
		if (drop && !fits) {
			assert_int_equal(tables->frames, 1);
			continue;
		}
		for (uint64_t page = 0; page < (uint64_t)level_pages(1); page++) {
			run = look(tables, place + page * PAGE_SIZE);
			assert_int_equal(run.level, fits);
			assert_int_equal(run.number, DEVICE + page);
			assert_true(run.dirty);
		}
		table_check(tables, 0, table_address_end(), no_violation, NULL);
	}
}

/* Pages are counted, and the leaves of a folio, at whatever level they stand. */
static void a_leaf_counts_as_its_pages(void **state)
{
	struct world *world = *state;
	struct page_tables *tables = &world->tables[LARGE], *child = &world->child[LARGE];
	struct folio *folio = new_folio(world, 1);
	struct table_leaf leaf = {.folio = folio, .level = 1, .allow = read_write};
	uint64_t pages = (uint64_t)level_pages(1);

	install_leaf(tables, WINDOW, leaf);
	assert_int_equal(tables->resident[RESIDENT_ANON], pages);
	copy(tables, child, WINDOW, WINDOW_END, false);
	assert_int_equal(child->resident[RESIDENT_ANON], pages);
	assert_int_equal(folio_mappings(folio), 2);
	cut(tables, WINDOW + PAGE_SIZE, WINDOW + PAGE_SIZE);
	assert_int_equal(folio_mappings(folio), 1 + pages);
	zap(tables, WINDOW, WINDOW + 3 * PAGE_SIZE, ZAP_ALL);
	assert_int_equal(tables->resident[RESIDENT_ANON], pages - 3);
	assert_int_equal(folio_mappings(folio), 1 + pages - 3);
	zap(child, WINDOW, WINDOW_END, ZAP_ALL);
	assert_int_equal(child->resident[RESIDENT_ANON], 0);
	expect_empty(tables);
	assert_int_equal(frames_used(world->fixture.machine, FRAME_ANON), 0);
}

/* All the tables that a cut needs are there before it begins. */
static void a_cut_that_lacks_a_table_changes_nothing(void **state)
{
	struct world *world = *state;

	for (unsigned level = 1; level <= 2; level++) {
		uint64_t middle = WINDOW + level_span(level) / 2;
		struct page_tables *tables = map_one(world, level, read_write);
		uint64_t frames = tables->frames;
		unsigned allocation = 0;
		int error;

		do {
			quire_machine_fail_nth(world->fixture.machine, ++allocation);
			error = table_cut_range(tables, middle, middle + PAGE_SIZE);
			quire_machine_fail_nth(world->fixture.machine, 0);
			if (error) {
				assert_int_equal(error, -NO_FRAMES);
				assert_int_equal(tables->frames, frames);
				assert_int_equal(look(tables, middle).level, level);
			}
		} while (error);
		assert_true(allocation > level);
		assert_int_equal(look(tables, middle).level, 0);
	}
}

/* Who has no tables to cut with drops a device's leaf whole: it comes back when it is used. */
static void a_leaf_that_cannot_be_cut_goes(void **state)
{
	struct world *world = *state;

	for (unsigned level = 1; level <= 2; level++) {
		uint64_t middle = WINDOW + level_span(level) / 2;
		struct page_tables *tables = map_one(world, level, read_write);
		struct gather gather;

		gather_begin(&gather, tables, QUIRE_NOTIFIER_CLEAR);
		table_zap(tables, middle, middle + PAGE_SIZE, ZAP_ALL, &gather);
		assert_true(gathered(&gather, WINDOW, WINDOW + level_span(level)));
		gather_end(&gather);
		assert_int_equal(tables->frames, 1);
	}
}

int main(int argc, char **argv)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(fork_leaves_device_leaves_at_their_level),
		TEST(a_leaf_without_access_stays_a_leaf),
		TEST(the_middle_page_is_protected),
		TEST(what_the_hardware_sets_while_a_leaf_is_cut_is_kept),
		TEST(a_leaf_moves_whole_where_it_fits),
		TEST(a_leaf_counts_as_its_pages),
		TEST(a_cut_that_lacks_a_table_changes_nothing),
		TEST(a_leaf_that_cannot_be_cut_goes),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
