/* SPDX-License-Identifier: MIT */
/*
 * The walk of PAGEMAP_SCAN.
 *
 * One pass of one cursor looks and protects, so that there is nothing between the two.  The
 * hardware goes on setting accessed and dirty meanwhile; neither is a trait, and what it writes to
 * a page before the flush it has written to a page that is being reported.
 *
 * Entries are offered at the level where they stand.  One that must change but reaches beyond the
 * range is pushed down first; if then nothing is taken, the cursor unlinks the tables again.
 *
 *	range            [         ...          )
 *	level 2     |  absent  |  absent  |  absent  |
 *	offered          [ ][ ][  absent  ][ ]		the outer ones as entries of level 1
 */
#include "table/scan.h"
#include "table/cursor.h"

/* All but TRAIT_FILE, which is the frame's. */
static unsigned traits_of(const struct table_scan *scan, uint64_t address, entry_t entry,
			  unsigned level)
{
	unsigned traits = 0;

	if (entry_marks_nothing(entry))
		return !entry_is_absent(entry) && scan->swapped(scan->context, address)
			       ? TRAIT_MARKER
			       : 0;
	if (entry_is_leaf(entry, level)) {
		traits = TRAIT_LEAF;
		traits |= entry_uffd_wp(entry) ? TRAIT_PROTECTED : 0;
		traits |= leaf_zero(scan->tables, entry) ? TRAIT_ZERO : 0;
		traits |= level > 0 ? TRAIT_HUGE : 0;
	} else if (entry_is_swap(entry)) {
		traits = TRAIT_MARKER | (entry_uffd_wp(entry) ? TRAIT_PROTECTED : 0);
	} else if (entry_is_marker(entry)) {
		traits = TRAIT_MARKER;
		traits |= entry_marks(entry) & MARK_UFFD_WP ? TRAIT_PROTECTED : 0;
		traits |= entry_marks(entry) & MARK_GUARD ? TRAIT_GUARD : 0;
	}
	return traits;
}

/* Whether an entry with these traits is wanted: by what is known before its frame, and then. */
static bool may_want(const struct table_scan *scan, unsigned traits)
{
	return (scan->wanted[0] | scan->wanted[1]) >> traits & 1;
}
static bool wants(const struct table_scan *scan, entry_t entry, unsigned *traits)
{
	const struct folio *folio =
		scan->files && (*traits & TRAIT_LEAF) ? leaf_folio(scan->tables, entry) : NULL;

	if (folio && folio_of_object(folio))
		*traits |= TRAIT_FILE;
	return scan->wanted[*traits / TRAIT_FILE] >> *traits % TRAIT_FILE & 1;
}

unsigned table_scan_cost(struct page_tables *tables, uint64_t start, uint64_t end, bool anywhere)
{
	return table_edges_cost(tables, start, end, EDGES_FILL) + (anywhere ? ARCH_LEVELS - 1 : 0);
}

static void protect(struct cursor *cursor, entry_t entry, struct gather *gather)
{
	unsigned marks = entry_is_marker(entry) ? entry_marks(entry) : 0;

	if (entry_is_leaf(entry, cursor->level))
		cursor_protect_leaf(cursor, entry, gather);
	else if (entry_is_swap(entry))
		cursor_exchange(cursor, entry_set_uffd_wp(entry, true));
	else
		cursor_exchange(cursor, entry_make_marker(marks | MARK_UFFD_WP));
}

/* The part that was taken of what one entry speaks for. */
static void protect_part(const struct table_scan *scan, uint64_t start, uint64_t end)
{
	struct cursor cursor;

	for (bool more = cursor_begin(&cursor, scan->tables, start, end, scan->gather); more;
	     more = cursor_next(&cursor)) {
		cursor_fit(&cursor, scan->reserve);
		protect(&cursor, cursor_entry(&cursor), scan->gather);
	}
}

/* Down to a leaf all of which will be taken. */
static void cut(struct cursor *cursor, const struct table_scan *scan)
{
	cursor_fit(cursor, scan->reserve);
	while (cursor->level > 0 && scan->room && *scan->room &&
	       (uint64_t)level_pages(cursor->level) > *scan->room)
		cursor_push_down(cursor, scan->reserve);
}

static uint64_t walk(const struct table_scan *scan)
{
	struct cursor cursor;

	for (bool more = cursor_begin(&cursor, scan->tables, scan->start, scan->end, scan->gather);
	     more; more = cursor_next(&cursor)) {
		entry_t entry = cursor_bottom(&cursor);
		uint64_t start = cursor.address, reach, taken;
		unsigned traits;
		bool change;

		traits = traits_of(scan, start, entry, cursor.level);
		if (!may_want(scan, traits)) {
			if (!entry_is_marker(entry))
				cursor_pass_alike(&cursor, entry);
			continue;
		}
		if (!wants(scan, entry, &traits))
			continue;
		change = (scan->gather || scan->cuts) && !(traits & TRAIT_PROTECTED);
		if (QUIRE_MISTAKE(SCAN_SKIPS_HOLES) && cursor.level > 0 && !traits)
			continue;
		if (change && entry_is_leaf(entry, cursor.level)) {
			cut(&cursor, scan);
			traits = traits_of(scan, start, cursor_entry(&cursor), cursor.level);
			if (!wants(scan, cursor_entry(&cursor), &traits))
				continue;
		} else if (change && scan->gather) {
			cursor_fit(&cursor, scan->reserve);
		}
		reach = cursor_reach(&cursor);
		taken = scan->take(scan->context, traits, start, reach);
		if (taken < reach) {
			cursor_end(&cursor);
			if (change && scan->gather && start < taken)
				protect_part(scan, start,
					     QUIRE_MISTAKE(SCAN_PROTECTS_BEYOND) ? reach : taken);
			return taken;
		}
		if (change && scan->gather)
			protect(&cursor, cursor_entry(&cursor), scan->gather);
	}
	return scan->end;
}

static uint64_t take_all(void *context, unsigned traits, uint64_t start, uint64_t end)
{
	(void)context, (void)traits, (void)start;
	return end;
}

static bool loses_write(struct page_tables *tables, entry_t leaf, unsigned level,
			const void *context)
{
	const struct table_scan *scan = context;
	unsigned traits = traits_of(scan, 0, leaf, level);

	(void)tables;
	return entry_writable(leaf) && !(traits & TRAIT_PROTECTED) && wants(scan, leaf, &traits);
}

/* Where notifiers are to be told what will change, all is taken first, and then protected: nobody but the
 * hardware comes in between, and what it sets is no trait. */
static uint64_t scan_in_two(const struct table_scan *scan)
{
	struct table_scan look = *scan, protecting = *scan;

	look.gather = NULL;
	look.cuts = true;
	protecting.room = NULL;
	protecting.take = take_all;
	protecting.end = walk(&look);
	if (protecting.start == protecting.end)
		return protecting.end;
	gather_announce(scan->gather, scan->start, protecting.end, ANNOUNCE_PART, loses_write,
			scan);
	return walk(&protecting);
}

uint64_t table_scan(const struct table_scan *scan)
{
	return scan->gather && scan->tables->notifiers ? scan_in_two(scan) : walk(scan);
}
