/* SPDX-License-Identifier: MIT */
/*
 * Zap: the entries of a range become absent, or markers where their protection is to outlive them.
 */
#include "table/cursor.h"

/* What is left of an entry. */
static entry_t remains(entry_t entry, unsigned keep)
{
	unsigned marks = 0, kept = 0;

	if (entry_is_marker(entry))
		marks = entry_marks(entry);
	else if (entry_uffd_wp(entry) && !(keep & ZAP_FORGET_DORMANT))
		marks = MARK_UFFD_WP;
	kept |= keep & ZAP_KEEP_GUARDS ? MARK_GUARD : 0;
	kept |= keep & ZAP_KEEP_POISON ? MARK_POISON : 0;
	kept |= keep & ZAP_KEEP_PROTECTION ? MARK_UFFD_WP | MARK_EVICTED : 0;
	/* With poison that goes, protection that binds nobody goes too. */
	if ((keep & ZAP_FORGET_DORMANT) && (marks & ~kept & MARK_POISON))
		return ENTRY_ABSENT;
	/* A guard says all there is to say. */
	if (marks & kept & MARK_GUARD)
		return entry;
	return marks & kept ? entry_make_marker(marks & kept) : ENTRY_ABSENT;
}

/* A page that is to stay. */
static bool spared(struct page_tables *tables, entry_t entry, unsigned level, unsigned keep)
{
	const struct folio *folio;

	if (entry_is_swap(entry))
		return keep & ZAP_KEEP_PRIVATE;
	if (!(keep & (ZAP_KEEP_PRIVATE | ZAP_KEEP_CACHED)) || !entry_is_leaf(entry, level))
		return false;
	folio = leaf_folio(tables, entry);
	if (!folio)
		return false;
	if (!folio_of_object(folio))
		return keep & ZAP_KEEP_PRIVATE;
	return (keep & ZAP_KEEP_CACHED) && folio_owner(folio);
}

static bool goes(struct page_tables *tables, entry_t leaf, unsigned level, const void *keep)
{
	return !spared(tables, leaf, level, *(const unsigned *)keep);
}

void table_zap(struct page_tables *tables, uint64_t start, uint64_t end, unsigned keep,
	       struct gather *gather)
{
	int64_t resident[RESIDENT_KINDS] = {0};
	struct cursor cursor;

	gather_announce(gather, start, end, ANNOUNCE_WHOLE, goes, &keep);
	for (bool more = cursor_begin(&cursor, tables, start, end, gather); more;
	     more = cursor_next(&cursor)) {
		entry_t entry = cursor_bottom(&cursor), rest = remains(entry, keep);
		struct folio *folio;

		if ((entry == rest && !QUIRE_MISTAKE(TRUNCATE_TAKES_SPAN)) ||
		    entry_is_absent(entry) || spared(tables, entry, cursor.level, keep))
			continue;
		/* A device's leaf goes as a whole: what is not to go is mapped again when it is used. */
		quire_assert(cursor_whole(&cursor) ||
			     (entry_is_leaf(entry, cursor.level) && leaf_device(tables, entry)));
		if (entry_is_leaf(entry, cursor.level))
			cursor_announce(&cursor, gather);
		entry = cursor_exchange(&cursor, rest);
		if (entry_is_swap(entry)) {
			if (!QUIRE_MISTAKE(ZAP_FORGETS_SLOT))
				swap_drop(tables->machine, entry_slot(entry));
			resident[RESIDENT_SWAP]--;
		}
		if (!entry_is_leaf(entry, cursor.level))
			continue;
		if (entry_shadow_stack(entry, cursor.level) && tables->gone_shadow_stack)
			tables->gone_shadow_stack(tables, cursor_start(&cursor));
		if (!QUIRE_MISTAKE(ZAP_WITHOUT_FLUSH))
			gather_leaf(gather, &cursor);
		folio = leaf_folio(tables, entry);
		if (!folio)
			continue;
		keep_dirty(folio, entry);
		resident[folio_resident(folio)] -=
			QUIRE_MISTAKE(ZAP_COUNTS_LEAVES) ? 1 : level_pages(cursor.level);
		gather_folio(gather, folio);
	}
	tables_resident_all(tables, resident);
}
