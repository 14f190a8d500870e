/* SPDX-License-Identifier: MIT */
/*
 * Ageing: what MADV_COLD and MADV_FREE do to leaves.
 *
 * A page whose content was freed lazily stays mapped, clean, until it is reclaimed; a store in
 * between makes it dirty again, and it is kept.  So the entries' dirty bits and the frame's
 * FRAME_LAZYFREE say it together.
 */
#include "table/cursor.h"

/* Whether one entry is all that leads to the page: also none in swap, whose slot's cache would have a
 * reference.  One word says it, for others may be mapping the page. */
static bool sole(const struct folio *folio)
{
	uint64_t holders = atomic_load_explicit(&folio->head.holders, memory_order_acquire);

	return holders - folio_pins(folio) * FRAME_ONE_PIN == FRAME_ONE_MAPPING;
}

/*
 * Content that no entry's dirty bit stands for counts for every process that has the page; only who
 * has it alone is free of it.  Where one entry is dirty the others are, or were: it was before they
 * came to be.
 */
static bool counts_for_all(const struct folio *folio, entry_t entry)
{
	bool counts = folio_has(folio, FRAME_KEEP) && !entry_dirty(entry) &&
		      !QUIRE_MISTAKE(FREE_DROPS_OTHERS_PAGE);

	return folio_has(folio, FRAME_DIRTY) || counts;
}

static bool lazily_freed(struct quire_machine *machine, struct folio *folio, entry_t entry)
{
	if (counts_for_all(folio, entry)) {
		if (!sole(folio))
			return false;
		folio_unmark(folio, FRAME_DIRTY);
	}
	if (folio_has(folio, FRAME_KEEP))
		folio_unmark(folio, FRAME_KEEP);
	folio_mark(folio, FRAME_LAZYFREE);
	machine_note_evictable(machine);
	return true;
}

static entry_t aged(entry_t leaf, enum table_aging aging)
{
	leaf = entry_set_young(leaf, false);
	return aging == TABLE_LAZYFREE ? entry_set_dirty(leaf, false) : leaf;
}

static void make_old(struct cursor *cursor, entry_t was, enum table_aging aging)
{
	entry_t is = aged(was, aging);

	if (is != was)
		cursor_announce(cursor, cursor->gather);
	while (is != was && !cursor_update(cursor, &was, is))
		is = aged(was, aging);
	if (was != is)
		gather_leaf(cursor->gather, cursor);
}

/* Poison counts as content that may be dropped, and there is nothing to wait for. */
static void drop_poison(struct cursor *cursor, entry_t entry)
{
	if (!entry_is_marker(entry) || !(entry_marks(entry) & MARK_POISON))
		return;
	quire_assert(cursor_whole(cursor));
	cursor_exchange(cursor, ENTRY_ABSENT);
}

/* What is in swap may be dropped at once. */
static void drop_swap(struct cursor *cursor)
{
	entry_t entry = cursor_exchange(cursor, ENTRY_ABSENT);

	swap_drop(cursor->tables->machine, entry_slot(entry));
	tables_resident(cursor->tables, RESIDENT_SWAP, -1);
}

/* Whether the advice is for this page.  What others use, too, is not cold. */
static bool concerns(const struct folio *folio, entry_t leaf, enum table_aging aging)
{
	return aging == TABLE_COLD ? folio_mapped_by(folio, 1)
				   : !counts_for_all(folio, leaf) || sole(folio);
}

static bool ages(struct page_tables *tables, entry_t leaf, unsigned level, const void *context)
{
	const enum table_aging *aging = context;
	const struct folio *folio = leaf_folio(tables, leaf);

	(void)level;
	return folio && aged(leaf, *aging) != leaf && concerns(folio, leaf, *aging);
}

void table_age(struct page_tables *tables, uint64_t start, uint64_t end, enum table_aging aging,
	       struct gather *gather)
{
	struct cursor cursor;

	gather_announce(gather, start, end, ANNOUNCE_PART, ages, &aging);
	for (bool more = cursor_begin(&cursor, tables, start, end, gather); more;
	     more = cursor_next(&cursor)) {
		entry_t entry = cursor_bottom(&cursor);
		struct folio *folio;

		if (aging == TABLE_LAZYFREE && entry_is_swap(entry))
			drop_swap(&cursor);
		if (aging == TABLE_LAZYFREE)
			drop_poison(&cursor, entry);
		folio = entry_is_leaf(entry, cursor.level) ? leaf_folio(tables, entry) : NULL;
		if (!folio)
			continue;
		quire_assert(cursor_whole(&cursor));
		if (aging == TABLE_LAZYFREE && !lazily_freed(tables->machine, folio, entry))
			continue;
		/* What others use, too, is not cold. */
		if (aging == TABLE_COLD && !folio_mapped_by(folio, 1))
			continue;
		make_old(&cursor, entry, aging);
	}
}
