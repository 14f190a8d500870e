/* SPDX-License-Identifier: MIT */
/*
 * Move: mremap's work on the tables.
 *
 * What stands in an entry is taken out at the old address and put in at the new one, every bit
 * kept.  Where old and new are aligned alike, whole tables change their place by one entry.
 *
 * A leaf that does not fit its new place is cut first, or goes, where memory has leaves of one size only:
 * then nothing fits there.
 *
 * Markers move as runs: a stretch of equal ones, at whatever levels they stand, is taken out first
 * and then put in again at the highest entries that fit its new place.  Poison is a page's, as a leaf
 * is, and moves as one.
 */
#include "table/cursor.h"

/* Markers that have been taken out: what they said, and where it will be said. */
struct marker_run {
	uint64_t start, end;
	unsigned marks;
};

static void put_run(struct page_tables *tables, struct marker_run *run,
		    struct table_reserve *reserve)
{
	if (run->start < run->end)
		table_mark(tables, run->start, run->end, run->marks, reserve);
	run->start = run->end = 0;
}

/* Whether it is said of a span, rather than of this page. */
static bool moves_in_run(entry_t entry)
{
	return entry_is_marker(entry) &&
	       (!(entry_marks(entry) & MARK_POISON) || QUIRE_MISTAKE(MREMAP_JOINS_POISON));
}

static bool continues_run(const struct marker_run *run, uint64_t address, unsigned marks)
{
	return run->start < run->end && run->end == address && run->marks == marks;
}

/* Whether the table or leaf at the cursor can stand as it is, `shift` bytes further. */
static bool fits(const struct cursor *cursor, uint64_t shift)
{
	return cursor_whole(cursor) && level_aligned(cursor->address + shift, cursor->level);
}

/* Down to what is moved: a table that fits, or an entry that is no table. */
static unsigned descend(struct cursor *cursor, uint64_t shift)
{
	unsigned tables = 0;

	while (entry_is_table(cursor_entry(cursor), cursor->level) && !fits(cursor, shift)) {
		cursor_descend(cursor);
		tables++;
	}
	return tables;
}

static bool misfits(const struct cursor *cursor, uint64_t shift)
{
	return entry_is_leaf(cursor_entry(cursor), cursor->level) && !fits(cursor, shift) &&
	       !QUIRE_MISTAKE(MOVE_MISFITS);
}

/* Tables that it takes to cut a leaf of `level` into those that fit. */
static unsigned parts_cost(unsigned level, uint64_t shift)
{
	unsigned cost = 0, tables = 1;

	for (; !level_aligned(shift, level); level--) {
		cost += tables;
		tables *= arch_entries(level - 1);
	}
	return cost;
}

/*
 * Each table of the source that is gone through, or made to cut a leaf, reaches into at most two tables
 * of its level at the destination; the paths to the ends of the range and of each run of markers are
 * bounded by the levels.  Cutting the source at the edges changes none of it.
 */
unsigned table_move_cost(struct page_tables *tables, uint64_t from, uint64_t to, uint64_t length,
			 bool drop)
{
	struct marker_run run = {0};
	struct cursor cursor;
	unsigned met = 0, cut = 0, runs = 1;

	for (bool more = cursor_begin(&cursor, tables, from, from + length, NULL); more;
	     more = cursor_next(&cursor)) {
		entry_t entry;

		met += descend(&cursor, to - from);
		if (!drop && misfits(&cursor, to - from))
			cut += parts_cost(cursor.level, to - from);
		entry = cursor_entry(&cursor);
		if (!moves_in_run(entry))
			continue;
		if (!continues_run(&run, cursor.address, entry_marks(entry)))
			runs++;
		run = (struct marker_run){cursor.address, cursor_reach(&cursor),
					  entry_marks(entry)};
	}
	return 2 * (met + cut + runs * (ARCH_LEVELS - 1)) + cut;
}

/* Puts `entry`, which speaks for itself, at `address`. */
static void put(struct page_tables *tables, uint64_t address, unsigned level, entry_t entry,
		struct table_reserve *reserve)
{
	struct cursor cursor;

	cursor_begin(&cursor, tables, address, address + level_span(level), NULL);
	while (cursor.level > level)
		cursor_push_down(&cursor, reserve);
	quire_assert(entry_is_absent(cursor_entry(&cursor)));
	cursor_exchange(&cursor, entry);
	cursor_end(&cursor);
}

static bool moves(struct page_tables *tables, entry_t leaf, unsigned level, const void *context)
{
	(void)tables, (void)leaf, (void)level, (void)context;
	return true;
}

/* A table goes with whatever leaves it has. */
static void gather_moved(struct gather *gather, const struct cursor *cursor, entry_t entry)
{
	unsigned level = entry_is_table(entry, cursor->level) ? 0 : cursor->level;

	gather_span(gather, cursor->address, cursor_reach(cursor), level, false);
}

void table_move(struct page_tables *tables, uint64_t from, uint64_t to, uint64_t length, bool drop,
		struct table_reserve *reserve, struct gather *gather)
{
	struct marker_run run = {0};
	struct cursor cursor;

	gather_announce(gather, from, from + length, ANNOUNCE_PART, moves, NULL);
	for (bool more = cursor_begin(&cursor, tables, from, from + length, gather); more;
	     more = cursor_next(&cursor)) {
		uint64_t address;
		entry_t entry;

		descend(&cursor, to - from);
		while (!drop && misfits(&cursor, to - from))
			cursor_push_down(&cursor, reserve);
		if (entry_is_absent(cursor_entry(&cursor)))
			continue;
		if (drop && misfits(&cursor, to - from)) {
			quire_assert(leaf_device(tables, cursor_entry(&cursor)));
			cursor_exchange(&cursor, ENTRY_ABSENT);
			gather_leaf(gather, &cursor);
			continue;
		}
		quire_assert(cursor_whole(&cursor));
		address = cursor.address + (to - from);
		entry = cursor_exchange(&cursor, ENTRY_ABSENT);
		if (moves_in_run(entry) && continues_run(&run, address, entry_marks(entry))) {
			run.end += level_span(cursor.level);
			continue;
		}
		/* Another table's lock may be needed at the destination. */
		cursor_pause(&cursor);
		put_run(tables, &run, reserve);
		if (moves_in_run(entry)) {
			run = (struct marker_run){address, address + level_span(cursor.level),
						  entry_marks(entry)};
		} else {
			if (!entry_is_marker(entry) && !QUIRE_MISTAKE(MOVE_WITHOUT_FLUSH))
				gather_moved(gather, &cursor, entry);
			if (QUIRE_MISTAKE(MOVE_LOSES_DIRTY) && entry_is_leaf(entry, cursor.level))
				entry = entry_set_dirty(entry, false);
			put(tables, address, cursor.level, entry, reserve);
		}
		cursor_resume(&cursor);
	}
	if (!QUIRE_MISTAKE(MREMAP_LOSES_MARKER))
		put_run(tables, &run, reserve);
}

void table_move_page(struct page_tables *tables, uint64_t from, uint64_t to,
		     struct table_reserve *reserve, struct gather *gather)
{
	struct cursor cursor;
	entry_t entry;

	cursor_begin(&cursor, tables, from, from + PAGE_SIZE, gather);
	while (cursor.level > 0)
		cursor_descend(&cursor);
	if (entry_is_leaf(cursor_entry(&cursor), 0))
		cursor_announce(&cursor, gather);
	entry = cursor_exchange(&cursor, ENTRY_ABSENT);
	/* Another table's lock may be needed; one that is left empty goes after that. */
	cursor_pause(&cursor);
	if (!QUIRE_MISTAKE(MOVE_WITHOUT_FLUSH))
		gather_leaf(gather, &cursor);
	if (QUIRE_MISTAKE(MOVE_LOSES_DIRTY) && entry_is_leaf(entry, 0))
		entry = entry_set_dirty(entry, false);
	/* It counts as used at its new place. */
	if (entry_is_leaf(entry, 0))
		entry = entry_set_young(entry, true);
	if (entry_is_leaf(entry, 0) && !QUIRE_MISTAKE(MOVE_APPEARS_EARLY))
		entry = entry_begin_migration(entry);
	put(tables, to, 0, entry, reserve);
	cursor_resume(&cursor);
	cursor_end(&cursor);
}

void table_move_end(struct page_tables *tables, uint64_t start, uint64_t end)
{
	struct cursor cursor;

	for (bool more = cursor_begin(&cursor, tables, start, end, NULL); more;
	     more = cursor_next(&cursor)) {
		entry_t entry;

		while (entry_is_table(cursor_entry(&cursor), cursor.level))
			cursor_descend(&cursor);
		entry = cursor_entry(&cursor);
		if (entry_is_leaf(entry, cursor.level) && entry_migrating(entry))
			cursor_exchange(&cursor, entry_end_migration(entry));
	}
}
