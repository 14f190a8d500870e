/* SPDX-License-Identifier: MIT */
/*
 * Brackets: what notifiers (<quire/notifier.h>) are told of a change.
 *
 * A bracket is the gather's, as the flush is: it opens before the first leaf changes and ends behind the
 * flush, and the gather's end sees to both.  How far it must reach nobody knows who has not looked: so an
 * operation on a range says beforehand which leaves it will change (gather_announce), and a walk that only
 * looks finds the first and the last.  Nothing changes meanwhile but by the hardware, or, of a page, by its
 * other owners; so each leaf is checked again as it changes (cursor_announce), and one that is not inside the
 * bracket gets one of its own.  That is all that operations on one leaf do.
 *
 *	leaves       a  b  -  c  d
 *	will change     x     x
 *	bracket         [       )
 *
 * Faults hold the space's lock for reading, and may be several: `notifying` keeps their brackets
 * apart, and each is over before its table is unlocked.
 */
#include "table/cursor.h"

/* What is said; what is true is in the gather. */
static uint64_t said_end(const struct gather *gather)
{
	return gather->told_end - QUIRE_MISTAKE(NOTIFIER_RANGE_SMALL) * PAGE_SIZE;
}

void gather_close_bracket(struct gather *gather)
{
	struct page_tables *tables = gather->tables;

	if (gather->told_start == gather->told_end)
		return;
	gather_flush(gather);
	if (!QUIRE_MISTAKE(NOTIFIER_WITHOUT_END))
		for (struct quire_notifier *each = tables->notifiers; each; each = each->next)
			each->operations->end(each->context, gather->told_start, said_end(gather),
					      gather->why);
	gather->told_start = gather->told_end = 0;
	if (!tables->written)
		machine_unlock(tables->machine, &tables->notifying);
}

static void open_bracket(struct gather *gather, uint64_t start, uint64_t end)
{
	struct page_tables *tables = gather->tables;

	gather_close_bracket(gather);
	if (!tables->written)
		machine_lock(tables->machine, &tables->notifying);
	gather->told_start = start;
	gather->told_end = end;
	for (struct quire_notifier *each = tables->notifiers; each; each = each->next)
		each->operations->begin(each->context, start, said_end(gather), gather->why);
}

void gather_announce_leaves(struct gather *gather, uint64_t start, uint64_t end,
			    enum announced what, leaf_changes *changes, const void *context)
{
	uint64_t first = UINT64_MAX, last = 0;
	struct cursor cursor;

	for (bool more = cursor_begin(&cursor, gather->tables, start, end, NULL); more;
	     more = cursor_next(&cursor)) {
		entry_t entry = cursor_bottom(&cursor);

		if (!entry_is_leaf(entry, cursor.level) ||
		    !changes(gather->tables, entry, cursor.level, context))
			continue;
		first = min_u64(first,
				what == ANNOUNCE_WHOLE ? cursor_start(&cursor) : cursor.address);
		last = what == ANNOUNCE_WHOLE ? cursor_stop(&cursor) : cursor_reach(&cursor);
	}
	if (first < last)
		open_bracket(gather, first, last);
}

void cursor_announce_leaf(const struct cursor *cursor, struct gather *gather)
{
	uint64_t start = cursor_start(cursor), end = cursor_stop(cursor);

	if (start < gather->told_start || end > gather->told_end)
		open_bracket(gather, start, end);
}
