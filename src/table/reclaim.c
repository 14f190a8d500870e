/* SPDX-License-Identifier: MIT */
/*
 * Reclaim's work on the entry of one page.  The space's lock is held for writing, by ageing for reading.
 */
#include "table/cursor.h"

bool cursor_begin_leaf(struct cursor *cursor, struct page_tables *tables, uint64_t page,
		       const struct folio *folio, struct gather *gather)
{
	entry_t entry;

	cursor_begin(cursor, tables, page, page + PAGE_SIZE, gather);
	entry = cursor_entry(cursor);
	if (cursor->level == 0 && entry_is_leaf(entry, 0) && leaf_folio(tables, entry) == folio)
		return true;
	cursor_end(cursor);
	return false;
}

bool table_old(struct page_tables *tables, uint64_t page, const struct folio *folio)
{
	struct cursor cursor;
	entry_t was, is;
	bool old;

	if (!cursor_begin_leaf(&cursor, tables, page, folio, NULL))
		return true;
	was = cursor_entry(&cursor);
	do {
		old = !entry_young(was);
		is = entry_set_young(was, false);
	} while (was != is && !cursor_update(&cursor, &was, is));
	cursor_end(&cursor);
	return old;
}

/* The leaf `was` of `frame` has gone from the cursor's entry. */
static void let_go(struct cursor *cursor, struct folio *folio, entry_t was)
{
	gather_leaf(cursor->gather, cursor);
	keep_dirty(folio, was);
	tables_resident(cursor->tables, folio_resident(folio), -level_pages(cursor->level));
	gather_folio(cursor->gather, folio);
}

/*
 * Pins are taken under the space's lock for reading: none comes from here on.  A page on its way to
 * another frame must not come back through a slot, or go, meanwhile.
 */
static bool stays(const struct cursor *cursor, const struct folio *folio)
{
	return folio_pins(folio) || entry_migrating(cursor_entry(cursor));
}

void table_swap_out(struct page_tables *tables, uint64_t page, struct folio *folio, uint64_t slot,
		    struct gather *gather)
{
	struct cursor cursor;
	entry_t leaf, entry;

	if (!cursor_begin_leaf(&cursor, tables, page, folio, gather))
		return;
	if (stays(&cursor, folio)) {
		cursor_end(&cursor);
		return;
	}
	leaf = cursor_entry(&cursor);
	entry = entry_set_uffd_wp(entry_make_swap(slot),
				  entry_uffd_wp(leaf) && !QUIRE_MISTAKE(SWAP_LOSES_PROTECTION));
	entry = entry_set_exclusive(entry, entry_exclusive(leaf));
	swap_hold(tables->machine, slot);
	tables_resident(tables, RESIDENT_SWAP, 1);
	cursor_announce(&cursor, gather);
	let_go(&cursor, folio, cursor_exchange(&cursor, entry));
	cursor_end(&cursor);
}

void table_unmap(struct page_tables *tables, uint64_t page, struct folio *folio, unsigned marks,
		 bool protects, struct gather *gather)
{
	struct cursor cursor;

	if (!cursor_begin_leaf(&cursor, tables, page, folio, gather))
		return;
	if (protects && entry_uffd_wp(cursor_entry(&cursor)) && !QUIRE_MISTAKE(EVICT_LOSES_MARKER))
		marks |= MARK_UFFD_WP;
	cursor_announce(&cursor, gather);
	let_go(&cursor, folio,
	       cursor_exchange(&cursor, marks ? entry_make_marker(marks) : ENTRY_ABSENT));
	cursor_end(&cursor);
}

void table_drop_clean(struct page_tables *tables, uint64_t page, struct folio *folio,
		      struct gather *gather)
{
	struct cursor cursor;
	entry_t entry;

	if (!cursor_begin_leaf(&cursor, tables, page, folio, gather))
		return;
	if (stays(&cursor, folio) || entry_dirty(cursor_entry(&cursor))) {
		cursor_end(&cursor);
		return;
	}
	cursor_announce(&cursor, gather);
	/* A store may come until the entry is gone; then it must stand there again. */
	entry = cursor_exchange(&cursor, ENTRY_ABSENT);
	if (entry_dirty(entry))
		cursor_exchange(&cursor, entry);
	else
		let_go(&cursor, folio, entry);
	cursor_end(&cursor);
}

unsigned table_collect(struct page_tables *tables, uint64_t *start, uint64_t end, bool alone,
		       struct folio **folios, unsigned room)
{
	struct cursor cursor;
	unsigned count = 0;

	for (bool more = cursor_begin(&cursor, tables, *start, end, NULL); more;
	     more = cursor_next(&cursor)) {
		entry_t entry = cursor_bottom(&cursor);
		struct folio *folio;

		folio = entry_is_leaf(entry, cursor.level) ? leaf_folio(tables, entry) : NULL;
		if (!folio || (alone && !folio_mapped_by(folio, 1)))
			continue;
		folio_hold(folio, FRAME_ONE_REFERENCE);
		folios[count++] = folio;
		if (count == room) {
			*start = cursor_reach(&cursor);
			cursor_end(&cursor);
			return count;
		}
	}
	*start = end;
	return count;
}
