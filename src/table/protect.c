/* SPDX-License-Identifier: MIT */
/*
 * Protect: the leaves of a range get the permissions of their VMA.
 *
 * A leaf becomes writable at once only where a write fault would have had nothing to do: its page
 * is this entry's own (exclusive) or a shared mapping's (of a device's file, if it was written to before:
 * the device was asked then), and not write-protected by userfaultfd.  The hardware may set
 * accessed and dirty while the entry changes; a changed entry is put in its place only if it was
 * made from what stands there, so neither bit is lost.
 */
#include "table/cursor.h"

static void gather_tightened(struct gather *gather, const struct cursor *cursor, entry_t was,
			     entry_t is)
{
	if ((entry_readable(was) && !entry_readable(is)) ||
	    (entry_executable(was) && !entry_executable(is)))
		gather_leaf(gather, cursor);
	else if (leaf_written(was, cursor->level) && !leaf_written(is, cursor->level))
		gather_leaf_write(gather, cursor);
}

static entry_t permitted(entry_t leaf, struct table_permissions allow)
{
	bool own = allow.shared || (allow.dirty && entry_dirty(leaf)) || entry_exclusive(leaf);
	bool write = allow.write && own && !entry_uffd_wp(leaf);

	if (QUIRE_MISTAKE(MPROTECT_OPENS_PROTECTED))
		write = allow.write && entry_exclusive(leaf);
	return leaf_permit(leaf, allow, write);
}

static bool changes(struct page_tables *tables, entry_t leaf, unsigned level, const void *context)
{
	const struct table_permissions *allow = context;

	(void)tables, (void)level;
	return permitted(leaf, *allow) != leaf;
}

void table_protect(struct page_tables *tables, uint64_t start, uint64_t end,
		   struct table_permissions allow, struct gather *gather)
{
	uint64_t changed[QUIRE_LEAF_LEVELS] = {0};
	struct cursor cursor;

	gather_announce(gather, start, end, ANNOUNCE_PART, changes, &allow);
	for (bool more = cursor_begin(&cursor, tables, start, end, gather); more;
	     more = cursor_next(&cursor)) {
		entry_t was = cursor_bottom(&cursor), is;

		if (!entry_is_leaf(was, cursor.level))
			continue;
		quire_assert(cursor_whole(&cursor));
		is = permitted(was, allow);
		if (is != was)
			cursor_announce(&cursor, gather);
		while (is != was && !cursor_update(&cursor, &was, is))
			is = permitted(was, allow);
		changed[cursor.level] += was != is;
		if (!QUIRE_MISTAKE(MPROTECT_WITHOUT_FLUSH))
			gather_tightened(gather, &cursor, was, is);
	}
	for (unsigned level = 0; level < QUIRE_LEAF_LEVELS; level++)
		if (changed[level])
			atomic_fetch_add_explicit(&tables->machine->protected_leaves[level],
						  changed[level], memory_order_relaxed);
}
