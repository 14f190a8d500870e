/* SPDX-License-Identifier: MIT */
/*
 * Page tables against a model with one record a page.
 *
 * The window lies across a 1G boundary, 4M on either side, so that random ranges meet entries of
 * every level:
 *
 *	     2M      2M   |    2M      2M
 *	|-------|-------|-|-|-------|-------|
 *	window           1G                  (2048 pages)
 *
 * After each operation every page of the window must be what the model says, whether a marker for
 * it stands at 4K or at 2M, and the tables must agree with their own counters.
 */
#include "machine_fixture.h"
#include "table/table.h"

#define GIB	     ((uint64_t)1 << 30)
#define WINDOW	     (GIB - 4 * MIB)
#define WINDOW_PAGES 2048u
#define WINDOW_END   (WINDOW + WINDOW_PAGES * PAGE_SIZE)

enum state { EMPTY, GUARD, OWN };

struct model_page {
	enum state state;
	bool writable;
	bool exclusive;
	bool protected; /* by userfaultfd, with or without a page */
	struct folio *folio;
};

struct world {
	struct fixture fixture;
	struct page_tables tables, child;
	struct model_page page[WINDOW_PAGES];
	struct random random;
};

static const struct table_permissions read_write = {.read = true, .write = true};
static const struct table_permissions read_only = {.read = true};

static void tables_open(struct world *world, struct page_tables *tables, uint64_t tag)
{
	*tables = (struct page_tables){
		.machine = world->fixture.machine,
		.root = table_root_new(world->fixture.machine, NULL, 0, 0),
		.tag = tag,
		.frames = 1,
		.written = true,
	};
	assert_non_null(tables->root);
}

static int setup(void **state)
{
	struct world *world = calloc(1, sizeof(*world));

	world->fixture = fixture_open(64 * MIB, 0);
	world->random = random_start();
	tables_open(world, &world->tables, 1);
	tables_open(world, &world->child, 2);
	*state = world;
	return 0;
}

static void zap(struct page_tables *tables, uint64_t start, uint64_t end)
{
	struct gather gather;

	gather_begin(&gather, tables, QUIRE_NOTIFIER_CLEAR);
	table_zap(tables, start, end, ZAP_ALL, &gather);
	gather_end(&gather);
}

static int teardown(void **state)
{
	struct world *world = *state;

	zap(&world->tables, WINDOW, WINDOW_END);
	assert_int_equal(world->tables.frames, 1);
	assert_int_equal(world->tables.resident[RESIDENT_ANON], 0);
	table_root_free(world->fixture.machine, world->tables.root);
	table_root_free(world->fixture.machine, world->child.root);
	fixture_close(&world->fixture);
	free(world);
	return 0;
}

/* --- the operations, on the tables and on the model --- */

static uint64_t address_of(uint64_t page)
{
	return WINDOW + page * PAGE_SIZE;
}

static void cut(struct world *world, uint64_t address)
{
	struct table_reserve reserve = {0};

	/* Nothing reaches over address 0. */
	assert_int_equal(table_reserve(world->fixture.machine, &reserve,
				       table_edges_cost(&world->tables, 0, address, EDGES_CUT)),
			 0);
	table_cut_edges(&world->tables, 0, address, &reserve);
	assert_int_equal(reserve.count, 0);
	table_unreserve(world->fixture.machine, &reserve);
}

static struct folio *new_page(struct world *world)
{
	struct folio *folio = folio_alloc(world->fixture.machine, 0);

	assert_non_null(folio);
	folio_set_kind(world->fixture.machine, folio, FRAME_ANON);
	folio->head.holders = FRAME_ONE_MAPPING;
	return folio;
}

/* A write fault: on nothing, or on a page that is copied. */
static void install(struct world *world, uint64_t page)
{
	struct table_leaf leaf = {
		.folio = new_page(world), .allow = read_write, .exclusive = true, .dirty = true};
	struct table_reserve reserve = {0};
	struct table_snapshot snapshot;
	struct gather gather;

	if (world->page[page].state == GUARD) {
		table_probe(&world->tables, address_of(page), &snapshot);
		assert_int_equal(snapshot.kind, TABLE_MARKER);
		assert_int_equal(snapshot.marks, MARK_GUARD);
		leaf.folio->head.holders = 0;
		folio_free(world->fixture.machine, leaf.folio);
		return;
	}
	table_probe(&world->tables, address_of(page), &snapshot);
	assert_int_equal(table_reserve(world->fixture.machine, &reserve, snapshot.level), 0);
	gather_begin(&gather, &world->tables, QUIRE_NOTIFIER_CLEAR);
	assert_true(table_install(&world->tables, address_of(page), &snapshot, &leaf, &reserve,
				  &gather));
	gather_end(&gather);
	assert_int_equal(reserve.count, 0);
	world->page[page] = (struct model_page){
		.state = OWN, .writable = true, .exclusive = true, .folio = leaf.folio};
}

static void operate_zap(struct world *world, uint64_t from, uint64_t to)
{
	cut(world, address_of(from));
	cut(world, address_of(to));
	zap(&world->tables, address_of(from), address_of(to));
	for (uint64_t i = from; i < to; i++)
		world->page[i] = (struct model_page){0};
}

static void operate_guard(struct world *world, uint64_t from, uint64_t to)
{
	struct table_reserve reserve = {0};
	unsigned cost = table_mark_cost(address_of(from), address_of(to));

	operate_zap(world, from, to);
	assert_true(cost <= 6);
	assert_int_equal(table_reserve(world->fixture.machine, &reserve, cost), 0);
	table_mark(&world->tables, address_of(from), address_of(to), MARK_GUARD, &reserve);
	table_unreserve(world->fixture.machine, &reserve);
	for (uint64_t i = from; i < to; i++)
		world->page[i].state = GUARD;
}

static void operate_unguard(struct world *world, uint64_t from, uint64_t to)
{
	struct gather gather;

	cut(world, address_of(from));
	cut(world, address_of(to));
	gather_begin(&gather, &world->tables, QUIRE_NOTIFIER_CLEAR);
	table_unguard(&world->tables, address_of(from), address_of(to), &gather);
	gather_end(&gather);
	for (uint64_t i = from; i < to; i++)
		if (world->page[i].state == GUARD)
			world->page[i].state = EMPTY;
}

static void operate_protect(struct world *world, uint64_t from, uint64_t to, bool write)
{
	struct gather gather;

	cut(world, address_of(from));
	cut(world, address_of(to));
	gather_begin(&gather, &world->tables, QUIRE_NOTIFIER_CLEAR);
	table_protect(&world->tables, address_of(from), address_of(to),
		      write ? read_write : read_only, &gather);
	gather_end(&gather);
	for (uint64_t i = from; i < to; i++)
		world->page[i].writable = write && world->page[i].state == OWN &&
					  world->page[i].exclusive && !world->page[i].protected;
}

static void operate_write_protect(struct world *world, uint64_t from, uint64_t to)
{
	struct table_reserve reserve = {0};
	struct gather gather;

	assert_int_equal(table_reserve(world->fixture.machine, &reserve,
				       table_write_protect_cost(&world->tables, address_of(from),
								address_of(to), true)),
			 0);
	gather_begin(&gather, &world->tables, QUIRE_NOTIFIER_CLEAR);
	table_write_protect(&world->tables, address_of(from), address_of(to), true, &reserve,
			    &gather);
	gather_end(&gather);
	table_unreserve(world->fixture.machine, &reserve);
	for (uint64_t i = from; i < to; i++) {
		world->page[i].protected |= world->page[i].state != GUARD;
		world->page[i].writable = false;
	}
}

static void operate_write_release(struct world *world, uint64_t from, uint64_t to)
{
	struct gather gather;

	cut(world, address_of(from));
	cut(world, address_of(to));
	gather_begin(&gather, &world->tables, QUIRE_NOTIFIER_CLEAR);
	table_write_release(&world->tables, address_of(from), address_of(to), read_write, &gather);
	gather_end(&gather);
	for (uint64_t i = from; i < to; i++) {
		struct model_page *page = &world->page[i];

		if (page->protected && page->state == OWN)
			page->writable = page->exclusive;
		page->protected = false;
	}
}

static void operate_move(struct world *world, uint64_t from, uint64_t to, uint64_t pages)
{
	struct table_reserve reserve = {0};
	struct gather gather;

	if (from < to + pages && to < from + pages)
		return;
	operate_zap(world, to, to + pages);
	cut(world, address_of(from));
	cut(world, address_of(from + pages));
	assert_int_equal(table_reserve(world->fixture.machine, &reserve,
				       table_move_cost(&world->tables, address_of(from),
						       address_of(to), pages * PAGE_SIZE, false)),
			 0);
	gather_begin(&gather, &world->tables, QUIRE_NOTIFIER_CLEAR);
	table_move(&world->tables, address_of(from), address_of(to), pages * PAGE_SIZE, false,
		   &reserve, &gather);
	gather_end(&gather);
	table_unreserve(world->fixture.machine, &reserve);
	for (uint64_t i = 0; i < pages; i++) {
		world->page[to + i] = world->page[from + i];
		world->page[from + i] = (struct model_page){0};
	}
}

/* --- looking --- */

static void no_violation(void *context, const char *what, uint64_t address)
{
	(void)context;
	fail_msg("%s at %#lx", what, (unsigned long)address);
}

static void expect_page(struct world *world, const struct table_run *run, uint64_t page,
			const struct model_page *model)
{
	static const enum quire_entry_kind kinds[] = {[EMPTY] = QUIRE_ENTRY_ABSENT,
						      [GUARD] = QUIRE_ENTRY_GUARD,
						      [OWN] = QUIRE_ENTRY_LEAF};

	assert_int_equal(run->kind, model->state == EMPTY && model->protected
					    ? QUIRE_ENTRY_MARKER
					    : kinds[model->state]);
	assert_int_equal(run->uffd_wp, model->protected);
	if (model->state != OWN)
		return;
	assert_ptr_equal(
		run_folio(world->fixture.machine, run, (address_of(page) - run->start) / PAGE_SIZE),
		model->folio);
	assert_int_equal(run->writable, model->writable);
	assert_true(run->dirty);
}

static void compare(struct world *world, struct page_tables *tables)
{
	uint64_t own = 0;
	struct table_run run;

	for (uint64_t page = 0; page < WINDOW_PAGES;) {
		table_run(tables, address_of(page), WINDOW_END, false, &run);
		assert_true(run.end > run.start && run.start == address_of(page));
		for (; address_of(page) < run.end; page++) {
			expect_page(world, &run, page, &world->page[page]);
			own += world->page[page].state == OWN;
		}
	}
	assert_int_equal(tables->resident[RESIDENT_ANON], own);
	table_check(tables, 0, table_address_end(), no_violation, NULL);
}

/* The child gets everything; the parent's pages are read-only from now on. */
static void operate_copy(struct world *world)
{
	struct table_reserve reserve = {0};
	struct gather gather;

	assert_int_equal(
		table_reserve(world->fixture.machine, &reserve, (unsigned)world->tables.frames), 0);
	gather_begin(&gather, &world->tables, QUIRE_NOTIFIER_CLEAR);
	table_copy(&world->tables, &world->child, WINDOW, WINDOW_END, false, &reserve, &gather);
	gather_end(&gather);
	table_unreserve(world->fixture.machine, &reserve);
	for (uint64_t i = 0; i < WINDOW_PAGES; i++) {
		world->page[i].writable = world->page[i].exclusive = false;
		if (world->page[i].state == OWN)
			assert_int_equal(folio_mappings(world->page[i].folio), 2);
	}
	compare(world, &world->child);
	zap(&world->child, WINDOW, WINDOW_END);
	assert_int_equal(world->child.frames, 1);
	/* Alone again with its pages, the parent takes them over one by one. */
	for (uint64_t i = 0; i < WINDOW_PAGES; i++) {
		struct table_snapshot snapshot;

		if (world->page[i].state != OWN || world->page[i].protected)
			continue;
		table_probe(&world->tables, address_of(i), &snapshot);
		assert_int_equal(table_reuse(&world->tables, address_of(i), &snapshot, true, read_write),
				 TABLE_REUSED);
		world->page[i].writable = world->page[i].exclusive = true;
	}
}

/* --- the tests --- */

static void operate_at_random(struct world *world)
{
	struct random *random = &world->random;
	uint64_t pages = random_below(random, 4) ? 1 + random_below(random, 40)
						 : 1 + random_below(random, 1200);
	uint64_t from = random_below(random, WINDOW_PAGES - pages + 1);

	/* Often whole 2M, so that high levels are met. */
	if (random_below(random, 3) == 0) {
		from = from & ~(uint64_t)511;
		pages = 512 * (1 + random_below(random, 2));
		if (from + pages > WINDOW_PAGES)
			from = WINDOW_PAGES - pages;
	}
	switch (random_below(random, 11)) {
	case 0:
		operate_zap(world, from, from + pages);
		break;
	case 1:
	case 2:
		operate_guard(world, from, from + pages);
		break;
	case 3:
		operate_unguard(world, from, from + pages);
		break;
	case 4:
		operate_protect(world, from, from + pages, random_below(random, 2));
		break;
	case 5:
		operate_move(world, from, random_below(random, WINDOW_PAGES - pages + 1), pages);
		break;
	case 6:
	case 7:
		operate_write_protect(world, from, from + pages);
		break;
	case 8:
		operate_write_release(world, from, from + pages);
		break;
	case 9:
		if (random_below(random, 8) == 0)
			operate_copy(world);
		break;
	default:
		for (uint64_t i = 0; i < pages && i < 30; i++)
			install(world, from + random_below(random, pages));
	}
}

static void random_operations_match_the_model(void **state)
{
	struct world *world = *state;

	for (unsigned i = 0; i < 4000; i++) {
		operate_at_random(world);
		compare(world, &world->tables);
	}
}

/* [ 512G entries ... ): a terabyte takes the markers of two root entries, and no table. */
static void a_terabyte_of_guards_takes_no_table(void **state)
{
	struct world *world = *state;
	const uint64_t start = (uint64_t)1 << 40, end = (uint64_t)2 << 40;
	struct quire_tables_report report;
	struct table_reserve none = {0};

	assert_int_equal(table_mark_cost(start, end), 0);
	table_mark(&world->tables, start, end, MARK_GUARD, &none);
	assert_int_equal(world->tables.frames, 1);
	table_count(&world->tables, &report);
	assert_int_equal(report.level[3].marks, 2);

	/* Clearing one page in the middle builds only its own path. */
	uint64_t page = start + 5 * GIB + 12345 * PAGE_SIZE;
	struct gather gather;

	cut(world, page);
	cut(world, page + PAGE_SIZE);
	gather_begin(&gather, &world->tables, QUIRE_NOTIFIER_CLEAR);
	table_unguard(&world->tables, page, page + PAGE_SIZE, &gather);
	gather_end(&gather);
	table_count(&world->tables, &report);
	assert_int_equal(world->tables.frames, 4);
	for (unsigned level = 0; level < 3; level++) {
		assert_int_equal(report.level[level].tables, 1);
		assert_int_equal(report.level[level].marks, 511);
	}
	assert_int_equal(report.level[3].marks, 1);
	table_check(&world->tables, 0, table_address_end(), no_violation, NULL);
	zap(&world->tables, start, end);
	assert_int_equal(world->tables.frames, 1);
}

/* An aligned move takes the whole table along: its frame stays where it was in the tree of tables,
 * one level below. */
static void an_aligned_move_keeps_the_table(void **state)
{
	struct world *world = *state;
	uint64_t before;

	for (uint64_t i = 512; i < 1024; i++)
		install(world, i);
	before = world->tables.frames;
	operate_move(world, 512, 1024, 512);
	assert_int_equal(world->tables.frames, before);
	compare(world, &world->tables);
}

/* A walk of the hardware's kind sets accessed and dirty, and refuses what the leaf does not allow.
 */
/* A walk from the root. */
static bool translates(struct world *world, uint64_t address, enum quire_access access,
		       struct quire_translation *translation)
{
	struct quire_walk walk = {0};

	return table_translate(&world->tables, address, access, &walk, translation);
}

static void translating_sets_accessed_and_dirty(void **state)
{
	struct world *world = *state;
	struct quire_translation translation;
	struct table_run run;
	struct gather gather;

	install(world, 7);
	gather_begin(&gather, &world->tables, QUIRE_NOTIFIER_CLEAR);
	table_age(&world->tables, address_of(7), address_of(8), TABLE_LAZYFREE, &gather);
	gather_end(&gather);
	table_run(&world->tables, address_of(7), address_of(8), true, &run);
	assert_false(run.young || run.dirty);

	assert_true(translates(world, address_of(7) + 5, QUIRE_READ, &translation));
	assert_false(translation.writable); /* not dirty yet: the first store walks again */
	table_run(&world->tables, address_of(7), address_of(8), true, &run);
	assert_true(run.young && !run.dirty);

	assert_true(translates(world, address_of(7) + 5, QUIRE_WRITE, &translation));
	assert_true(translation.writable);
	assert_ptr_equal(translation.memory,
			 folio_memory(world->fixture.machine, world->page[7].folio));
	table_run(&world->tables, address_of(7), address_of(8), true, &run);
	assert_true(run.young && run.dirty);

	assert_false(translates(world, address_of(7), QUIRE_EXECUTE, &translation));
	operate_protect(world, 7, 8, false);
	assert_false(translates(world, address_of(7), QUIRE_WRITE, &translation));
	assert_false(translates(world, address_of(8), QUIRE_READ, &translation));
	assert_false(translates(world, UINT64_MAX, QUIRE_READ, &translation));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(random_operations_match_the_model, setup, teardown),
		cmocka_unit_test_setup_teardown(a_terabyte_of_guards_takes_no_table, setup,
						teardown),
		cmocka_unit_test_setup_teardown(an_aligned_move_keeps_the_table, setup, teardown),
		cmocka_unit_test_setup_teardown(translating_sets_accessed_and_dirty, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
