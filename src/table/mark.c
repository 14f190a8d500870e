/* SPDX-License-Identifier: MIT */
/*
 * Markers, and the guard regions made of them.  They stand at the highest entries that fit: a
 * guarded terabyte takes a handful of tables.
 */
#include "table/cursor.h"

unsigned table_mark_cost(uint64_t start, uint64_t end)
{
	return levels_misaligned(start, ARCH_LEVELS - 1) + levels_misaligned(end, ARCH_LEVELS - 1);
}

void table_mark(struct page_tables *tables, uint64_t start, uint64_t end, unsigned marks,
		struct table_reserve *reserve)
{
	struct cursor cursor;

	for (bool more = cursor_begin(&cursor, tables, start, end, NULL); more;
	     more = cursor_next(&cursor)) {
		quire_assert(entry_marks_nothing(cursor_bottom(&cursor)));
		cursor_fit(&cursor, reserve);
		cursor_exchange(&cursor, entry_make_marker(marks));
	}
}

void table_unguard(struct page_tables *tables, uint64_t start, uint64_t end, struct gather *gather)
{
	struct cursor cursor;

	for (bool more = cursor_begin(&cursor, tables, start, end, gather); more;
	     more = cursor_next(&cursor)) {
		entry_t entry = cursor_bottom(&cursor);

		if (!entry_is_marker(entry) || !(entry_marks(entry) & MARK_GUARD))
			continue;
		quire_assert(cursor_whole(&cursor));
		cursor_exchange(&cursor, ENTRY_ABSENT);
	}
}
