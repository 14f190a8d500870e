/* SPDX-License-Identifier: MIT */
/*
 * Move: mremap's work on the tables.
 *
 * What stands in an entry is taken out at the old address and put in at the new one, every bit
 * kept.  Where old and new are aligned alike, whole tables change their place by one entry.  A
 * marker that does not fit the alignment of its new place is written out there in the largest
 * pieces that do.
 */
#include "table/cursor.h"

/* Whether what stands at the cursor can stand as it is, `shift` bytes further. */
static bool fits(const struct cursor *cursor, uint64_t shift)
{
	return cursor_whole(cursor) && level_aligned(cursor->address + shift, cursor->level);
}

/*
 * Every table of the source that is gone through, and every marker that does not fit, reaches into
 * at most two tables of its level at the destination; the path to these is bounded by the levels.
 */
unsigned table_move_cost(struct page_tables *tables, uint64_t from, uint64_t to, uint64_t length)
{
	struct cursor cursor;
	unsigned met = 0;

	for (bool more = cursor_begin(&cursor, tables, from, from + length, NULL); more;
	     more = cursor_next(&cursor)) {
		while (entry_is_table(cursor_entry(&cursor), cursor.level) &&
		       !fits(&cursor, to - from)) {
			cursor_descend(&cursor);
			met++;
		}
		if (!fits(&cursor, to - from) && !entry_is_absent(cursor_entry(&cursor)))
			met += cursor.level;
	}
	return 2 * (met + ARCH_LEVELS - 1);
}

/* Puts `entry` at `address`; the source's cursor is paused. */
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

void table_move(struct page_tables *tables, uint64_t from, uint64_t to, uint64_t length,
		struct table_reserve *reserve, struct gather *gather)
{
	struct cursor cursor;

	for (bool more = cursor_begin(&cursor, tables, from, from + length, gather); more;
	     more = cursor_next(&cursor)) {
		uint64_t address;
		entry_t entry;

		while (entry_is_table(cursor_entry(&cursor), cursor.level) &&
		       !fits(&cursor, to - from))
			cursor_descend(&cursor);
		if (entry_is_absent(cursor_entry(&cursor)))
			continue;
		quire_assert(cursor_whole(&cursor));
		entry = cursor_exchange(&cursor, ENTRY_ABSENT);
		if (!entry_is_marker(entry))
			gather_span(gather, cursor.address, cursor_reach(&cursor));
		address = cursor.address + (to - from);
		cursor_pause(&cursor);
		if (level_aligned(address, cursor.level))
			put(tables, address, cursor.level, entry, reserve);
		else
			table_mark(tables, address, address + level_span(cursor.level),
				   entry_marks(entry), reserve);
		cursor_resume(&cursor);
	}
}
