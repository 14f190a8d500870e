/* SPDX-License-Identifier: MIT */
/*
 * Write protection by userfaultfd.
 *
 * A protected page has a leaf with a bit and without write permission.  Where no page is, a marker
 * says it instead, at the highest entry that the range covers: protecting an empty terabyte takes a
 * handful of entries.  Guard and poison markers say all there is to say about their span, and are
 * left alone.
 */
#include "table/cursor.h"

unsigned table_write_protect_cost(struct page_tables *tables, uint64_t start, uint64_t end,
				  bool unpopulated)
{
	return table_edges_cost(tables, start, end, unpopulated ? EDGES_FILL : EDGES_CUT);
}

void cursor_protect_leaf(struct cursor *cursor, entry_t was, struct gather *gather)
{
	entry_t is;

	quire_assert(cursor_whole(cursor));
	if (leaf_written(was, cursor->level))
		cursor_announce(cursor, gather);
	do
		is = entry_set_uffd_wp(entry_forbid_write(was), true);
	while (was != is && !QUIRE_MISTAKE(PROTECT_OVERWRITES) && !cursor_update(cursor, &was, is));
	if (QUIRE_MISTAKE(PROTECT_OVERWRITES))
		cursor_exchange(cursor, is);
	if (QUIRE_MISTAKE(PROTECT_LOSES_DIRTY))
		cursor_exchange(cursor, entry_set_dirty(is, false));
	if (leaf_written(was, cursor->level) && !QUIRE_MISTAKE(PROTECT_WITHOUT_FLUSH))
		gather_leaf_write(gather, cursor);
}

static bool loses_write(struct page_tables *tables, entry_t leaf, unsigned level,
			const void *context)
{
	(void)tables, (void)context;
	return leaf_written(leaf, level);
}

void table_write_protect(struct page_tables *tables, uint64_t start, uint64_t end, bool unpopulated,
			 struct table_reserve *reserve, struct gather *gather)
{
	struct cursor cursor;

	gather_announce(gather, start, end, ANNOUNCE_PART, loses_write, NULL);
	for (bool more = cursor_begin(&cursor, tables, start, end, gather); more;
	     more = cursor_next(&cursor)) {
		entry_t entry = cursor_bottom(&cursor);

		if (entry_is_leaf(entry, cursor.level)) {
			cursor_fit(&cursor, reserve);
			cursor_protect_leaf(&cursor, cursor_entry(&cursor), gather);
		} else if (entry_is_swap(entry)) {
			cursor_exchange(&cursor, entry_set_uffd_wp(entry, true));
		} else if (entry_marks_nothing(entry) && unpopulated) {
			if (!QUIRE_MISTAKE(PROTECT_COVERS_SPAN))
				cursor_fit(&cursor, reserve);
			cursor_exchange(&cursor,
					entry_make_marker(entry_marks(entry) | MARK_UFFD_WP));
		}
	}
}

/* Write permission returns where no fault would have anything to do: to the entry's own page, or one
 * of a shared mapping. */
static entry_t released(entry_t leaf, struct table_permissions allow)
{
	leaf = entry_set_uffd_wp(leaf, false);
	if (allow.write &&
	    (allow.shared || entry_exclusive(leaf) || QUIRE_MISTAKE(CLEAR_OPENS_SHARED)))
		leaf = leaf_permit(leaf, allow, true);
	return leaf;
}

static void release_leaf(struct cursor *cursor, entry_t was, struct table_permissions allow)
{
	while (!cursor_update(cursor, &was, released(was, allow)))
		;
}

/* A page of a shared mapping, writable because it was put there or written to, where the first write
 * is to be a fault: as Linux, which gives the leaf what the VMA's pages begin with. */
static bool needs_fault(entry_t leaf, struct table_permissions allow)
{
	return allow.write && !allow.shared && entry_writable(leaf) && !entry_exclusive(leaf);
}

static void forbid_write(struct cursor *cursor, entry_t was, struct gather *gather)
{
	while (!cursor_update(cursor, &was, entry_forbid_write(was)))
		;
	gather_leaf_write(gather, cursor);
}

void table_release_page(struct page_tables *tables, uint64_t page,
			const struct table_snapshot *snapshot, unsigned level,
			struct table_permissions allow, struct table_reserve *reserve)
{
	struct cursor cursor;
	entry_t entry;

	cursor_begin(&cursor, tables, page, page + PAGE_SIZE, NULL);
	entry = cursor_entry(&cursor);
	if (entry_same(entry, snapshot->entry) && cursor.level == snapshot->level) {
		while (cursor.level > level)
			cursor_push_down(&cursor, reserve);
		release_leaf(&cursor, cursor_entry(&cursor), allow);
	}
	if (QUIRE_MISTAKE(ASYNC_TAKES_PERMISSION) && needs_fault(entry, allow))
		cursor_update(&cursor, &entry, entry_forbid_write(entry));
	cursor_end(&cursor);
}

/* What a marker says without protection; nothing is absent. */
static entry_t unprotected(entry_t marker)
{
	unsigned marks = entry_marks(marker) & ~(unsigned)MARK_UFFD_WP;

	return marks ? entry_make_marker(marks) : ENTRY_ABSENT;
}

/* Whether a leaf that is released allows more or less from then on. */
static bool release_changes(struct page_tables *tables, entry_t leaf, unsigned level,
			    const void *context)
{
	const struct table_permissions *allow = context;

	(void)tables, (void)level;
	if (!entry_uffd_wp(leaf))
		return needs_fault(leaf, *allow);
	return entry_writable(leaf) != entry_writable(released(leaf, *allow));
}

/* `others`: from markers that say something else, too. */
static void release_range(struct page_tables *tables, uint64_t start, uint64_t end,
			  struct table_permissions allow, bool others, struct gather *gather)
{
	struct cursor cursor;

	quire_assert(gather);
	gather_announce(gather, start, end, ANNOUNCE_PART, release_changes, &allow);
	for (bool more = cursor_begin(&cursor, tables, start, end, gather); more;
	     more = cursor_next(&cursor)) {
		entry_t entry = cursor_bottom(&cursor);

		if (entry_is_leaf(entry, cursor.level)) {
			if (tables->notifiers &&
			    release_changes(tables, entry, cursor.level, &allow))
				cursor_announce(&cursor, gather);
			if (entry_uffd_wp(entry))
				release_leaf(&cursor, entry, allow);
			else if (needs_fault(entry, allow))
				forbid_write(&cursor, entry, gather);
		} else if (entry_is_swap(entry)) {
			cursor_exchange(&cursor, entry_set_uffd_wp(entry, false));
		} else if (entry_is_marker(entry) &&
			   (others ||
			    (entry_marks(entry) & ~(unsigned)MARK_EVICTED) == MARK_UFFD_WP)) {
			quire_assert(cursor_whole(&cursor));
			cursor_exchange(&cursor, unprotected(entry));
		}
	}
}

void table_write_release(struct page_tables *tables, uint64_t start, uint64_t end,
			 struct table_permissions allow, struct gather *gather)
{
	release_range(tables, start, end, allow, false, gather);
}

void table_write_forget(struct page_tables *tables, uint64_t start, uint64_t end,
			struct table_permissions allow, struct gather *gather)
{
	release_range(tables, start, end, allow, true, gather);
}

void table_forbid_write(struct page_tables *tables, uint64_t start, uint64_t end,
			struct gather *gather)
{
	struct cursor cursor;

	gather_announce(gather, start, end, ANNOUNCE_PART, loses_write, NULL);
	for (bool more = cursor_begin(&cursor, tables, start, end, gather); more;
	     more = cursor_next(&cursor)) {
		entry_t entry = cursor_bottom(&cursor);

		if (!entry_is_leaf(entry, cursor.level) || !leaf_written(entry, cursor.level))
			continue;
		cursor_announce(&cursor, gather);
		forbid_write(&cursor, entry, gather);
	}
}

static bool revives(struct page_tables *tables, entry_t leaf, unsigned level, const void *context)
{
	(void)tables, (void)level, (void)context;
	return entry_uffd_wp(leaf) && entry_writable(leaf);
}

void table_write_revive(struct page_tables *tables, uint64_t start, uint64_t end,
			struct gather *gather)
{
	struct cursor cursor;

	gather_announce(gather, start, end, ANNOUNCE_PART, revives, NULL);
	for (bool more = cursor_begin(&cursor, tables, start, end, gather); more;
	     more = cursor_next(&cursor)) {
		entry_t entry = cursor_bottom(&cursor);

		if (entry_is_leaf(entry, cursor.level) && entry_uffd_wp(entry))
			cursor_protect_leaf(&cursor, entry, gather);
	}
}
