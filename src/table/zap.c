/* SPDX-License-Identifier: MIT */
/*
 * Zap: the entries of a range become absent, or markers where their protection is to outlive them.
 */
#include "table/cursor.h"

/* What is left of an entry. */
static entry_t remains(entry_t entry, unsigned level, unsigned what)
{
	bool leaf = entry_is_leaf(entry, level);
	bool protected = leaf ? entry_uffd_wp(entry) : (entry_marks(entry) & MARK_UFFD_WP) != 0;

	if (!leaf && (what & ZAP_KEEP_MARKS))
		return entry;
	return protected && (what & ZAP_KEEP_PROTECTION) ? entry_make_marker(MARK_UFFD_WP)
							 : ENTRY_ABSENT;
}

/* A private page that is to stay. */
static bool spared(struct page_tables *tables, entry_t entry, unsigned level, unsigned what)
{
	return (what & ZAP_FILE) && entry_is_leaf(entry, level) &&
	       (entry_special(entry) || !frame_of_object(leaf_frame(tables, entry)));
}

void table_zap(struct page_tables *tables, uint64_t start, uint64_t end, unsigned what,
	       struct gather *gather)
{
	int64_t resident[RESIDENT_KINDS] = {0};
	struct cursor cursor;

	for (bool more = cursor_begin(&cursor, tables, start, end, gather); more;
	     more = cursor_next(&cursor)) {
		entry_t entry = cursor_bottom(&cursor);
		struct frame *frame;

		if (entry_is_absent(entry) || spared(tables, entry, cursor.level, what))
			continue;
		quire_assert(cursor_whole(&cursor));
		entry = cursor_exchange(&cursor, remains(entry, cursor.level, what));
		if (!entry_is_leaf(entry, cursor.level))
			continue;
		gather_span(gather, cursor.address, cursor_reach(&cursor));
		if (entry_special(entry))
			continue;
		frame = leaf_frame(tables, entry);
		keep_dirty(frame, entry);
		resident[frame_resident(frame)]--;
		gather_frame(gather, frame);
	}
	tables_resident_all(tables, resident);
}
