/* SPDX-License-Identifier: MIT */
/*
 * Zap: every entry of a range becomes absent.
 */
#include "table/cursor.h"

void table_zap(struct page_tables *tables, uint64_t start, uint64_t end, struct gather *gather)
{
	struct cursor cursor;
	int64_t anon = 0;

	for (bool more = cursor_begin(&cursor, tables, start, end, gather); more;
	     more = cursor_next(&cursor)) {
		entry_t entry = cursor_bottom(&cursor);

		if (entry_is_absent(entry))
			continue;
		quire_assert(cursor_whole(&cursor));
		entry = cursor_exchange(&cursor, ENTRY_ABSENT);
		if (!entry_is_leaf(entry, cursor.level))
			continue;
		if (!QUIRE_MISTAKE(ZAP_WITHOUT_FLUSH))
			gather_span(gather, cursor.address, cursor_reach(&cursor));
		if (entry_special(entry))
			continue;
		gather_frame(gather, leaf_frame(tables, entry));
		anon++;
	}
	tables_resident(tables, RESIDENT_ANON, -anon);
}
