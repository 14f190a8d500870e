/* SPDX-License-Identifier: MIT */
/*
 * Large leaves beside small ones (leaves_fixture.h): the same random operations are done to both, and
 * no page may come to differ in anything but the level that its entry stands at.
 */
#include <string.h>

#include "leaves_fixture.h"
#include "table/scan.h"

/* --- operations --- */

static void guard(struct page_tables *tables, uint64_t start, uint64_t end)
{
	struct table_reserve reserve;

	cut(tables, start, end);
	zap(tables, start, end, ZAP_ALL);
	reserve = reserve_tables(tables, table_mark_cost(start, end));
	table_mark(tables, start, end, MARK_GUARD, &reserve);
	table_unreserve(tables->machine, &reserve);
}

static void move(struct page_tables *tables, uint64_t from, uint64_t to, uint64_t length)
{
	struct table_reserve reserve;
	struct gather gather;

	cut(tables, to, to + length);
	zap(tables, to, to + length, ZAP_ALL);
	cut(tables, from, from + length);
	reserve = reserve_tables(tables, table_move_cost(tables, from, to, length, false));
	gather_begin(&gather, tables, QUIRE_NOTIFIER_CLEAR);
	table_move(tables, from, to, length, false, &reserve, &gather);
	gather_end(&gather);
	table_unreserve(tables->machine, &reserve);
}

/* What a scan was offered, page by page, and took. */
struct taken {
	uint64_t room; /* pages */
	unsigned char *traits;
};

static uint64_t take(void *context, unsigned traits, uint64_t start, uint64_t end)
{
	struct taken *taken = context;
	uint64_t pages = min_u64((end - start) >> PAGE_SHIFT, taken->room);

	memset(taken->traits + ((start - WINDOW) >> PAGE_SHIFT),
	       (int)(1 + (traits & ~(unsigned)TRAIT_HUGE)), pages);
	taken->room -= pages;
	return start + pages * PAGE_SIZE;
}

static bool not_swapped(void *context, uint64_t address)
{
	(void)context;
	(void)address;
	return false;
}

static uint64_t scan(struct page_tables *tables, uint64_t start, uint64_t end,
		     const uint64_t wanted[2], bool protects, struct taken *taken)
{
	struct table_reserve reserve = {0};
	struct gather gather;
	struct table_scan scan = {
		.tables = tables,
		.start = start,
		.end = end,
		.files = true,
		.wanted = {wanted[0], wanted[1]},
		.take = take,
		.swapped = not_swapped,
		.context = taken,
		.gather = protects ? &gather : NULL,
		.reserve = &reserve,
	};
	uint64_t reached;

	if (protects)
		reserve = reserve_tables(tables, table_scan_cost(tables, start, end, true));
	gather_begin(&gather, tables, QUIRE_NOTIFIER_CLEAR);
	reached = table_scan(&scan);
	gather_end(&gather);
	table_unreserve(tables->machine, &reserve);
	return reached;
}

/* --- looking --- */

static bool of_pair(const struct pair *pair, enum side side, uint64_t number)
{
	return pair->live && number - pair->number[side] < (uint64_t)level_pages(1);
}

/* The number in the small tables of what has this one in the large ones. */
static uint64_t other_number(const struct world *world, const struct table_run *run,
			     uint64_t number)
{
	for (unsigned i = 0; run->counted && i < PAIRS; i++) {
		const struct pair *pair = &world->pairs[i];

		if (of_pair(pair, LARGE, number))
			return number - pair->number[LARGE] + pair->number[SMALL];
	}
	return number;
}

static bool alike(const struct world *world, const struct table_run *large,
		  const struct table_run *small, uint64_t address)
{
	bool leaf = run_maps(large);
	uint64_t number = large->number + ((address - large->start) >> PAGE_SHIFT);
	uint64_t other = small->number + ((address - small->start) >> PAGE_SHIFT);

	return large->kind == small->kind && large->readable == small->readable &&
	       large->writable == small->writable && large->exec == small->exec &&
	       large->user == small->user && large->dirty == small->dirty &&
	       large->young == small->young && large->uffd_wp == small->uffd_wp &&
	       large->soft_dirty == small->soft_dirty && large->special == small->special &&
	       large->exclusive == small->exclusive && large->evicted == small->evicted &&
	       large->counted == small->counted && large->device == small->device &&
	       (!leaf || other_number(world, large, number) == other);
}

static void compare(struct world *world, struct page_tables *tables)
{
	struct page_tables *large = &tables[LARGE], *small = &tables[SMALL];
	struct table_run run = {0}, other = {0};
	uint64_t counted = 0;

	for (uint64_t at = WINDOW, next; at < WINDOW_END; at = next) {
		if (at >= run.end)
			table_run(large, at, WINDOW_END, false, &run);
		if (at >= other.end)
			table_run(small, at, WINDOW_END, false, &other);
		if (!alike(world, &run, &other, at))
			fail_msg("page %lu: kinds %u and %u, of levels %u and %u",
				 (unsigned long)((at - WINDOW) >> PAGE_SHIFT), run.kind, other.kind,
				 run.level, other.level);
		assert_true(other.level == 0 || !run_maps(&other));
		next = min_u64(run.end, other.end);
		counted += run.counted ? (next - at) >> PAGE_SHIFT : 0;
	}
	assert_int_equal(large->resident[RESIDENT_ANON], counted);
	for (unsigned kind = 0; kind < RESIDENT_KINDS; kind++)
		assert_int_equal(large->resident[kind], small->resident[kind]);
	table_check(large, 0, table_address_end(), no_violation, NULL);
	table_check(small, 0, table_address_end(), no_violation, NULL);
}

static void count_leaves(const struct world *world, struct page_tables *tables, enum side side,
			 uint64_t leaves[PAIRS])
{
	struct table_run run;

	for (uint64_t at = WINDOW; at < WINDOW_END; at = run.end) {
		table_run(tables, at, WINDOW_END, false, &run);
		for (unsigned i = 0; run.counted && i < PAIRS; i++) {
			/* A run may go on from one folio to the next. */
			uint64_t first = world->pairs[i].number[side];
			uint64_t start = max_u64(first, run.number);
			uint64_t end = min_u64(first + (uint64_t)level_pages(1),
					       run.number + ((run.end - at) >> PAGE_SHIFT));

			if (world->pairs[i].live && start < end)
				leaves[i] += (end - start) / (uint64_t)level_pages(run.level);
		}
	}
}

/* Mappings of the folios are as many as the leaves that map them. */
static void compare_mappings(struct world *world)
{
	for (enum side side = LARGE; side < SIDES; side++) {
		uint64_t leaves[PAIRS] = {0};

		count_leaves(world, &world->tables[side], side, leaves);
		count_leaves(world, &world->child[side], side, leaves);
		for (unsigned i = 0; i < PAIRS; i++) {
			struct pair *pair = &world->pairs[i];

			if (leaves[i])
				assert_int_equal(folio_mappings(folio_at(world->fixture.machine,
									 pair->number[side])),
						 leaves[i]);
			if (side == SMALL)
				pair->live = leaves[i];
		}
	}
}

/* --- random operations --- */

struct operation {
	uint64_t start, end, to;
	struct table_permissions allow;
	unsigned keep;
	bool flag;
};

/* Often at the edges of a leaf, or one page off. */
static uint64_t draw_address(struct random *random)
{
	uint64_t address = WINDOW + random_below(random, WINDOW_PAGES + 1) * PAGE_SIZE;
	unsigned level = (unsigned)random_below(random, 4);

	if (level < 3)
		address = max_u64(span_start(address, level), WINDOW);
	if (random_below(random, 4) == 0)
		address += random_below(random, 2) ? PAGE_SIZE : -PAGE_SIZE;
	return min_u64(max_u64(address, WINDOW), WINDOW_END);
}

static struct operation draw(struct random *random)
{
	struct operation operation = {
		.start = draw_address(random),
		.end = draw_address(random),
		.keep = (unsigned)random_below(random, 64),
		.flag = random_below(random, 2),
		.allow.read = random_below(random, 4),
		.allow.execute = random_below(random, 2),
		.allow.shared = random_below(random, 2),
	};
	uint64_t length;

	operation.allow.write = operation.allow.read && random_below(random, 2);
	if (operation.start > operation.end) {
		uint64_t start = operation.end;

		operation.end = operation.start;
		operation.start = start;
	}
	if (random_below(random, 2))
		operation.end = min_u64(operation.end,
					operation.start + random_below(random, 20) * PAGE_SIZE);
	length = operation.end - operation.start;
	/* To where it is aligned alike, or anywhere. */
	operation.to = draw_address(random);
	if (operation.flag)
		operation.to = span_start(operation.to, 1) + (operation.start & (SPAN_1 - 1));
	operation.to = min_u64(operation.to, WINDOW_END - length);
	return operation;
}

/* What the hardware does to a leaf it does to all of its pages. */
static void operate_access(struct world *world, uint64_t address, enum quire_access access)
{
	struct quire_translation large, small;
	uint64_t start, end;

	if (!access_page(&world->tables[LARGE], address, access, &large)) {
		assert_false(access_page(&world->tables[SMALL], address, access, &small));
		return;
	}
	start = span_start(address, large.level);
	end = start + level_span(large.level);
	for (; start < end; start += PAGE_SIZE) {
		assert_true(access_page(&world->tables[SMALL], start, access, &small));
		if (start != address)
			continue;
		assert_int_equal(large.writable, small.writable);
		assert_int_equal(large.executable, small.executable);
		if (large.frame >= DEVICE)
			assert_int_equal(large.frame, small.frame);
	}
}

/* Whether nothing but one kind of marker, or nothing at all, stands in the span. */
static bool free_span(struct page_tables *tables, uint64_t start, unsigned level, bool *protected)
{
	struct table_run run;

	table_run(tables, start, start + level_span(level), false, &run);
	*protected = run.uffd_wp;
	return (run.kind == QUIRE_ENTRY_ABSENT || run.kind == QUIRE_ENTRY_MARKER) &&
	       run.level >= level && run.end == start + level_span(level);
}

static struct pair *free_pair(struct world *world)
{
	for (unsigned i = 0; i < PAIRS; i++)
		if (!world->pairs[i].live)
			return &world->pairs[i];
	return NULL;
}

/* A fault where nothing stands: by a leaf of a device, or of a folio, which has leaves of level 1. */
static void operate_fault(struct world *world, uint64_t address, const struct operation *operation)
{
	struct random *random = &world->random;
	unsigned level = (unsigned)random_below(random, 3);
	struct pair *pair = level == 1 && random_below(random, 2) ? free_pair(world) : NULL;
	struct table_leaf leaf = {.level = level,
				  .device = !pair,
				  .allow = operation->allow,
				  .old = random_below(random, 2)};
	uint64_t frame = DEVICE + random_below(random, DEVICE_FRAMES);
	bool dirty = random_below(random, 2);
	uint64_t start = span_start(address, level);

	if (start < WINDOW || start + level_span(level) > WINDOW_END ||
	    !free_span(&world->tables[LARGE], start, level, &leaf.uffd_wp))
		return;
	/* A folio has a large leaf first in the small tables, too. */
	if (pair && !free_span(&world->tables[SMALL], start, level, &leaf.uffd_wp))
		return;
	leaf.page.number = frame & ~(uint64_t)(level_pages(level) - 1);
	leaf.exclusive = pair && random_below(random, 2);
	leaf.allow.write &= !leaf.uffd_wp;
	leaf.dirty = dirty;
	for (unsigned side = 0; side < SIDES; side++) {
		if (pair) {
			leaf.folio = new_folio(world, level);
			pair->live = true;
			pair->number[side] = folio_number(world->fixture.machine, leaf.folio);
		}
		(side == LARGE ? install_leaf : install_pages)(&world->tables[side], start, leaf);
	}
}

/* The write fault of a leaf that is there: the part of `level` that `address` is in is released, or the
 * whole becomes writable. */
static void write_fault(struct page_tables *tables, uint64_t address, unsigned level,
			const struct operation *operation)
{
	struct table_snapshot snapshot;
	struct table_reserve reserve;

	table_probe(tables, address, &snapshot);
	assert_int_equal(snapshot.kind, TABLE_LEAF);
	if (operation->flag) {
		reserve = reserve_tables(tables, snapshot.level - level);
		table_release_page(tables, address, &snapshot, level, operation->allow, &reserve);
		assert_int_equal(reserve.count, 0);
	} else {
		table_write_shared(tables, address, &snapshot);
	}
}

static void operate_write_fault(struct world *world, uint64_t address,
				const struct operation *operation)
{
	unsigned level;
	struct table_run run;

	table_run(&world->tables[LARGE], address, WINDOW_END, true, &run);
	if (!run_maps(&run) || (!operation->flag && run.uffd_wp))
		return;
	level = operation->flag ? (unsigned)random_below(&world->random, run.level + 1) : run.level;
	write_fault(&world->tables[LARGE], address, level, operation);
	address = span_start(address, level);
	for (uint64_t i = 0; i < (uint64_t)level_pages(level); i++)
		write_fault(&world->tables[SMALL], address + i * PAGE_SIZE, 0, operation);
}

static void operate_scan(struct world *world, const struct operation *operation)
{
	struct random *random = &world->random;
	uint64_t room = random_below(random, 3) ? WINDOW_PAGES : random_below(random, 100);
	uint64_t wanted[2], reached[SIDES];
	struct taken taken[SIDES];

	/* Whether a page is huge must not decide. */
	for (unsigned word = 0; word < 2; word++) {
		wanted[word] = random_next(random);
		for (unsigned traits = 0; traits < TRAIT_FILE; traits++)
			if (traits & TRAIT_HUGE)
				wanted[word] = (wanted[word] & ~((uint64_t)1 << traits)) |
					       (wanted[word] >> (traits - TRAIT_HUGE) & 1)
						       << traits;
	}
	for (unsigned side = 0; side < SIDES; side++) {
		taken[side] = (struct taken){.room = room, .traits = calloc(1, WINDOW_PAGES)};
		reached[side] = scan(&world->tables[side], operation->start, operation->end, wanted,
				     operation->flag, &taken[side]);
	}
	assert_int_equal(reached[LARGE], reached[SMALL]);
	assert_int_equal(taken[LARGE].room, taken[SMALL].room);
	assert_memory_equal(taken[LARGE].traits, taken[SMALL].traits, WINDOW_PAGES);
	free(taken[LARGE].traits);
	free(taken[SMALL].traits);
}

/* The child goes again, or goes on in its parent's place. */
static void operate_copy(struct world *world, bool shared)
{
	bool stays = random_below(&world->random, 2);

	for (unsigned side = 0; side < SIDES; side++)
		copy(&world->tables[side], &world->child[side], WINDOW, WINDOW_END, shared);
	compare(world, world->child);
	compare_mappings(world);
	for (unsigned side = 0; side < SIDES; side++) {
		if (stays) {
			struct page_tables parent = world->tables[side];

			world->tables[side] = world->child[side];
			world->child[side] = parent;
		}
		expect_empty(&world->child[side]);
	}
}

/* Operations that take a range of what was cut at its edges. */
static void operate_on_range(struct page_tables *tables, unsigned number,
			     const struct operation *operation)
{
	uint64_t start = operation->start, end = operation->end;
	struct gather gather;

	cut(tables, start, end);
	gather_begin(&gather, tables, QUIRE_NOTIFIER_CLEAR);
	switch (number) {
	case 0:
		table_zap(tables, start, end, operation->keep, &gather);
		break;
	case 1:
		table_protect(tables, start, end, operation->allow, &gather);
		break;
	case 2:
		table_write_release(tables, start, end, operation->allow, &gather);
		break;
	case 3:
		table_write_forget(tables, start, end, operation->allow, &gather);
		break;
	case 4:
		table_forbid_write(tables, start, end, &gather);
		break;
	case 5:
		table_write_revive(tables, start, end, &gather);
		break;
	case 6:
		table_unguard(tables, start, end, &gather);
		break;
	default:
		fail();
	}
	gather_end(&gather);
}
#define RANGE_OPERATIONS 7u

static void operate_at_random(struct world *world)
{
	struct random *random = &world->random;
	struct operation operation = draw(random);
	uint64_t length = operation.end - operation.start;
	uint64_t page = min_u64(draw_address(random), WINDOW_END - PAGE_SIZE);
	unsigned number = (unsigned)random_below(random, 20);

	for (unsigned side = 0; length && side < SIDES; side++) {
		struct page_tables *tables = &world->tables[side];

		if (number < RANGE_OPERATIONS)
			operate_on_range(tables, number, &operation);
		else if (number == 7)
			guard(tables, operation.start, operation.end);
		else if (number == 8)
			write_protect(tables, operation.start, operation.end, operation.flag);
		else if (number == 9 && (operation.to >= operation.end ||
					 operation.to + length <= operation.start))
			move(tables, operation.start, operation.to, length);
	}
	if (number == 10 && length)
		operate_scan(world, &operation);
	else if (number == 11)
		operate_copy(world, operation.flag);
	else if (number >= 12 && number < 15)
		operate_access(world, page, (enum quire_access)random_below(random, 3));
	else if (number == 15)
		operate_write_fault(world, page, &operation);
	else if (number >= 16)
		operate_fault(world, page, &operation);
}

static void nothing_but_the_level_differs(void **state)
{
	struct world *world = *state;
	uint64_t rounds = min_u64(((uint64_t)1 << 26) / WINDOW_PAGES, 30000);

	map_device(world, LARGE, WINDOW, 2, DEVICE, read_write);
	map_device(world, SMALL, WINDOW, 2, DEVICE, read_write);
	for (uint64_t i = 0; i < rounds; i++) {
		operate_at_random(world);
		compare(world, world->tables);
		compare_mappings(world);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(nothing_but_the_level_differs, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
