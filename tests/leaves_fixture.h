/* SPDX-License-Identifier: MIT */
/*
 * The same memory mapped twice, by leaves of the levels 1 and 2 and written out in pages, for tests at
 * the level of the tables.
 *
 *	large   |              level 2              |level 1|       |level 1| page |...
 *	small   |||||||||||||||||||||||||||||||||||||||||||||       |||||||||||||||||||
 *	                                            ^ a boundary of level 3
 *
 * In the tests' small geometry a leaf of level 2 has 256 pages instead of 262,144.
 */
#ifndef QUIRE_LEAVES_FIXTURE_H
#define QUIRE_LEAVES_FIXTURE_H

#include <quire/device.h>

#include "machine_fixture.h"
#include "table/cursor.h"

#define SPAN_1	     level_span(1)
#define SPAN_2	     level_span(2)
#define WINDOW	     (level_span(3) - SPAN_2)
#define WINDOW_END   (WINDOW + SPAN_2 + 8 * SPAN_1)
#define WINDOW_PAGES ((WINDOW_END - WINDOW) >> PAGE_SHIFT)

/* The device: as many spans of level 2 as leaves may be of, somewhere beyond the machine. */
#define DEVICE	      ((uint64_t)1 << 30)
#define DEVICE_SPANS  4u
#define DEVICE_FRAMES (DEVICE_SPANS * (uint64_t)level_pages(2))

enum side { LARGE, SMALL, SIDES };

/* Two folios that stand for the same one, if `live`. */
#define PAIRS 12u
struct pair {
	bool live;
	uint64_t number[SIDES]; /* of the first frame */
};

struct world {
	struct fixture fixture;
	unsigned char *device;
	struct page_tables tables[SIDES], child[SIDES];
	struct pair pairs[PAIRS];
	struct random random;
};

static const struct table_permissions nothing, read_only = {.read = true};
static const struct table_permissions read_write = {.read = true, .write = true};
static const struct table_permissions shared_write = {.read = true, .write = true, .shared = true};

static inline void tables_open(struct world *world, struct page_tables *tables, uint64_t tag)
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

static inline int setup(void **state)
{
	struct world *world = calloc(1, sizeof(*world));

	world->fixture = fixture_open(128 * MIB, 0);
	world->random = random_start();
	world->device = mmap(NULL, DEVICE_FRAMES * PAGE_SIZE, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	assert_ptr_not_equal(world->device, MAP_FAILED);
	assert_int_equal(quire_device_memory_add(world->fixture.machine, DEVICE, DEVICE_FRAMES,
						 world->device),
			 0);
	for (unsigned side = 0; side < SIDES; side++) {
		tables_open(world, &world->tables[side], 1 + side);
		tables_open(world, &world->child[side], 3 + side);
	}
	*state = world;
	return 0;
}

static inline void zap(struct page_tables *tables, uint64_t start, uint64_t end, unsigned keep)
{
	struct gather gather;

	gather_begin(&gather, tables, QUIRE_NOTIFIER_CLEAR);
	table_zap(tables, start, end, keep, &gather);
	gather_end(&gather);
}

static inline void expect_empty(struct page_tables *tables)
{
	zap(tables, WINDOW, WINDOW_END, ZAP_ALL);
	assert_int_equal(tables->frames, 1);
	for (unsigned kind = 0; kind < RESIDENT_KINDS; kind++)
		assert_int_equal(tables->resident[kind], 0);
}

static inline int teardown(void **state)
{
	struct world *world = *state;

	for (unsigned side = 0; side < SIDES; side++) {
		expect_empty(&world->tables[side]);
		expect_empty(&world->child[side]);
		table_root_free(world->fixture.machine, world->tables[side].root);
		table_root_free(world->fixture.machine, world->child[side].root);
	}
	assert_int_equal(quire_device_memory_remove(world->fixture.machine, DEVICE), 0);
	munmap(world->device, DEVICE_FRAMES * PAGE_SIZE);
	fixture_close(&world->fixture);
	free(world);
	return 0;
}

/* --- one operation, on either side --- */

static inline uint64_t span_start(uint64_t address, unsigned level)
{
	return address & ~(level_span(level) - 1);
}

static inline struct table_reserve reserve_tables(struct page_tables *tables, unsigned count)
{
	struct table_reserve reserve = {0};

	assert_int_equal(table_reserve(tables->machine, &reserve, count), 0);
	return reserve;
}

/* With as many tables as it is said to take at most. */
static inline void cut(struct page_tables *tables, uint64_t start, uint64_t end)
{
	uint64_t resident = tables->resident[RESIDENT_ANON];

	assert_int_equal(table_cut_range(tables, start, end), 0);
	assert_int_equal(tables->resident[RESIDENT_ANON], resident);
}

/* A leaf of `level`. */
static inline void install_leaf(struct page_tables *tables, uint64_t start, struct table_leaf leaf)
{
	struct table_snapshot snapshot;
	struct table_reserve reserve;
	struct gather gather;

	table_probe(tables, start, &snapshot);
	assert_true(snapshot.level >= leaf.level);
	reserve = reserve_tables(tables, snapshot.level - leaf.level);
	gather_begin(&gather, tables, QUIRE_NOTIFIER_CLEAR);
	assert_true(table_install(tables, start, &snapshot, &leaf, &reserve, &gather));
	gather_end(&gather);
	assert_int_equal(reserve.count, 0);
}

/* The same written out in pages. */
static inline void install_pages(struct page_tables *tables, uint64_t start, struct table_leaf leaf)
{
	uint64_t pages = (uint64_t)level_pages(leaf.level);

	if (leaf.folio) {
		install_leaf(tables, start, leaf);
		cut(tables, start + PAGE_SIZE, start + PAGE_SIZE);
		return;
	}
	leaf.level = 0;
	for (uint64_t i = 0; i < pages; i++, leaf.page.number++)
		install_leaf(tables, start + i * PAGE_SIZE, leaf);
}

static inline void map_device(struct world *world, enum side side, uint64_t start, unsigned level,
			      uint64_t frame, struct table_permissions allow)
{
	struct table_leaf leaf = {
		.device = true, .page = {frame}, .level = level, .allow = allow, .old = true};

	(side == LARGE ? install_leaf : install_pages)(&world->tables[side], start, leaf);
}

static inline void protect(struct page_tables *tables, uint64_t start, uint64_t end,
			   struct table_permissions allow)
{
	struct gather gather;

	cut(tables, start, end);
	gather_begin(&gather, tables, QUIRE_NOTIFIER_CLEAR);
	table_protect(tables, start, end, allow, &gather);
	gather_end(&gather);
}

static inline void write_protect(struct page_tables *tables, uint64_t start, uint64_t end,
				 bool unpopulated)
{
	struct table_reserve reserve =
		reserve_tables(tables, table_write_protect_cost(tables, start, end, unpopulated));
	struct gather gather;

	gather_begin(&gather, tables, QUIRE_NOTIFIER_CLEAR);
	table_write_protect(tables, start, end, unpopulated, &reserve, &gather);
	gather_end(&gather);
	table_unreserve(tables->machine, &reserve);
}

static inline void copy(struct page_tables *parent, struct page_tables *child, uint64_t start,
			uint64_t end, bool shared)
{
	struct table_reserve reserve = reserve_tables(parent, (unsigned)parent->frames);
	struct gather gather;

	cut(parent, start, end);
	gather_begin(&gather, parent, QUIRE_NOTIFIER_CLEAR);
	table_copy(parent, child, start, end, shared, &reserve, &gather);
	gather_end(&gather);
	table_unreserve(parent->machine, &reserve);
}

static inline struct folio *new_folio(struct world *world, unsigned level)
{
	struct folio *folio = folio_alloc(world->fixture.machine, arch_shift(level) - PAGE_SHIFT);

	assert_non_null(folio);
	folio_set_kind(world->fixture.machine, folio, FRAME_ANON);
	folio->head.holders = FRAME_ONE_MAPPING;
	return folio;
}

static inline bool access_page(struct page_tables *tables, uint64_t address,
			       enum quire_access access, struct quire_translation *translation)
{
	struct quire_walk walk = {0};

	return table_translate(tables, address, access, &walk, translation);
}

/* --- looking --- */

static inline void no_violation(void *context, const char *what, uint64_t address)
{
	(void)context;
	fail_msg("%s at %#lx", what, (unsigned long)address);
}

#endif
