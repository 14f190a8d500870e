/* SPDX-License-Identifier: MIT */
/*
 * Migration entries: what stands for a page while it changes its frame.
 *
 *	leaf ──▶ frame     migration entry ──▶ frame     leaf ──▶ target
 *
 * The entry keeps every bit, and goes on to be a mapping of the frame, so that all that is done to
 * entries meanwhile (zap, protect, fork, move) is done to it as to the leaf that it will be again.
 */
#include "table/cursor.h"

bool table_migrate_begin(struct page_tables *tables, uint64_t page, const struct folio *folio,
			 struct gather *gather)
{
	struct cursor cursor;
	entry_t was;

	if (!cursor_begin_leaf(&cursor, tables, page, folio, gather))
		return false;
	was = cursor_entry(&cursor);
	if (!entry_migrating(was))
		cursor_announce(&cursor, gather);
	while (!cursor_update(&cursor, &was, entry_begin_migration(was)))
		;
	if (entry_accessible(was) && !QUIRE_MISTAKE(MIGRATION_WITHOUT_FLUSH))
		gather_leaf(gather, &cursor);
	cursor_end(&cursor);
	return true;
}

void table_migrate_end(struct page_tables *tables, uint64_t page, struct folio *folio,
		       struct folio *target, struct gather *gather)
{
	struct cursor cursor;
	entry_t leaf;

	if (!cursor_begin_leaf(&cursor, tables, page, folio, gather))
		return;
	leaf = cursor_entry(&cursor);
	if (!entry_migrating(leaf)) {
		/* A second visit; or it has come back from its swap slot's cache, to be read only. */
		if (target == folio) {
			cursor_end(&cursor);
			return;
		}
		quire_assert(!folio_of_object(folio) && !entry_writable(leaf));
		cursor_announce(&cursor, gather);
		gather_leaf(gather, &cursor);
		leaf = entry_begin_migration(leaf);
	}
	leaf = entry_set_frame(entry_end_migration(leaf), folio_number(tables->machine, target));
	if (QUIRE_MISTAKE(MIGRATION_LOSES_PROTECTION))
		leaf = entry_set_uffd_wp(leaf, false);
	if (QUIRE_MISTAKE(MIGRATION_LOSES_DIRTY))
		leaf = entry_set_dirty(leaf, false);
	if (target != folio)
		folio_hold(target, FRAME_ONE_MAPPING);
	cursor_exchange(&cursor, leaf);
	if (target != folio)
		gather_folio(gather, folio);
	cursor_end(&cursor);
}
