/* SPDX-License-Identifier: MIT */
/*
 * Copy: fork's work on the tables of one VMA.
 *
 * In a private one every page becomes shared by two entries, so neither may stay writable or
 * exclusive; the next write to either copies.  The child's entry starts old, keeps dirty (the content differs from what
 * any backing store has), and repeats everything else.
 *
 *	parent   W X D A   ──▶   - - D A
 *	child    absent    ──▶   - - D -
 *
 * A page that is pinned stays the parent's: whoever has the pin goes on to see what the parent
 * writes, and the parent what comes through the pin.  The child gets a copy at once.
 *
 * In a shared one the entries are alike, but for what the child has not done yet.  A marker is
 * repeated, but for the write protection of a guard page or of poison.
 */
#include "table/cursor.h"

/* Takes write permission and exclusivity from the parent's leaf; what it was made from. */
static entry_t share(struct cursor *parent)
{
	entry_t was = cursor_entry(parent), is;

	if (leaf_written(was, parent->level))
		cursor_announce(parent, parent->gather);
	do
		is = entry_set_exclusive(entry_forbid_write(was),
					 QUIRE_MISTAKE(FORK_LEAVES_EXCLUSIVE) &&
						 entry_exclusive(was));
	while (was != is && !cursor_update(parent, &was, is));
	if (leaf_written(was, parent->level) && !QUIRE_MISTAKE(FORK_WITHOUT_FLUSH))
		gather_leaf_write(parent->gather, parent);
	return is;
}

/* The child's leaf.  Nothing but the leaf says that a device's page was written to. */
static entry_t copied(struct cursor *parent, bool shared)
{
	bool stays = QUIRE_MISTAKE(FORK_KEEPS_WRITE) &&
		     leaf_device(parent->tables, cursor_entry(parent));
	entry_t leaf = shared || stays ? cursor_entry(parent) : share(parent);

	if (shared && !leaf_device(parent->tables, leaf))
		leaf = entry_set_dirty(leaf, false);
	return entry_set_young(leaf, false);
}

static bool pinned(struct page_tables *tables, entry_t leaf)
{
	const struct folio *folio = leaf_folio(tables, leaf);

	return folio && folio_pins(folio) && !folio_of_object(folio) &&
	       !QUIRE_MISTAKE(FORK_SHARES_PINNED);
}

static bool loses_write(struct page_tables *tables, entry_t leaf, unsigned level,
			const void *context)
{
	(void)context;
	return leaf_written(leaf, level) && !pinned(tables, leaf);
}

/* The child's own copy of the parent's page, as one that was just written to. */
static entry_t copied_page(struct cursor *parent, struct table_reserve *reserve)
{
	struct quire_machine *machine = parent->tables->machine;
	entry_t leaf = entry_end_migration(cursor_entry(parent));
	struct folio *source = leaf_folio(parent->tables, leaf), *page;

	quire_assert(parent->level == 0 && reserve->chain);
	page = frame_folio(reserve->chain);
	reserve->chain = page->head.next;
	reserve->count--;
	memcpy(folio_memory(machine, page), folio_memory(machine, source), PAGE_SIZE);
	folio_make_anon(machine, page);
	folio_set_owner(page, (const void *)folio_owner(source), folio_index(source));
	leaf = entry_set_frame(leaf, folio_number(machine, page));
	return entry_set_young(entry_set_dirty(leaf, true), true);
}

unsigned table_count_pinned(struct page_tables *tables, uint64_t start, uint64_t end)
{
	struct cursor cursor;
	unsigned count = 0;

	for (bool more = cursor_begin(&cursor, tables, start, end, NULL); more;
	     more = cursor_next(&cursor)) {
		entry_t entry = cursor_bottom(&cursor);

		count += entry_is_leaf(entry, cursor.level) && pinned(tables, entry);
	}
	return count;
}

/* The child's swap entry: one more for the slot, which is nobody's own any more. */
static entry_t share_swap(struct cursor *parent)
{
	entry_t entry = entry_set_exclusive(cursor_entry(parent), false);

	cursor_exchange(parent, QUIRE_MISTAKE(FORK_CLEARS_PARENT) ? entry_set_uffd_wp(entry, false)
								  : entry);
	swap_hold(parent->tables->machine, entry_slot(entry));
	if (QUIRE_MISTAKE(FORK_LOSES_SWAP_ENTRY))
		entry = entry_set_uffd_wp(entry, false);
	return entry;
}

/* Moves the child's cursor to the entry for `address` at `level`, building the tables on the way.
 */
static void follow(struct cursor *child, struct page_tables *tables, uint64_t address,
		   unsigned level, struct table_reserve *reserve)
{
	if (child->table && child->level == level &&
	    (child->address ^ address) >> arch_shift(level + 1) == 0) {
		child->slot += (int64_t)level_index(address, level) -
			       (int64_t)level_index(child->address, level);
		child->address = address;
		return;
	}
	if (child->table)
		cursor_end(child);
	cursor_begin(child, tables, address, address + level_span(level), NULL);
	while (child->level > level)
		cursor_push_down(child, reserve);
}

void table_copy(struct page_tables *parent, struct page_tables *child, uint64_t start, uint64_t end,
		bool shared, struct table_reserve *reserve, struct gather *gather)
{
	const unsigned unprotected = MARK_GUARD | MARK_POISON;
	struct cursor from, to = {.table = NULL};
	int64_t resident[RESIDENT_KINDS] = {0};

	if (!shared)
		gather_announce(gather, start, end, ANNOUNCE_PART, loses_write, NULL);
	for (bool more = cursor_begin(&from, parent, start, end, gather); more;
	     more = cursor_next(&from)) {
		entry_t entry = cursor_bottom(&from);

		if (entry_is_absent(entry))
			continue;
		if (QUIRE_MISTAKE(FORK_LOSES_MARKER) && entry_is_marker(entry))
			continue;
		quire_assert(cursor_whole(&from));
		if (entry_is_leaf(entry, from.level) && !shared && pinned(parent, entry)) {
			entry = copied_page(&from, reserve);
			resident[RESIDENT_ANON]++;
		} else if (entry_is_leaf(entry, from.level)) {
			struct folio *folio = leaf_folio(parent, entry);

			entry = copied(&from, shared);
			if (QUIRE_MISTAKE(FORK_LOSES_LEAF))
				entry = entry_set_uffd_wp(entry, false);
			if (folio) {
				folio_hold(folio, FRAME_ONE_MAPPING);
				resident[folio_resident(folio)] += level_pages(from.level);
			}
		}
		if (entry_is_swap(entry)) {
			entry = share_swap(&from);
			resident[RESIDENT_SWAP]++;
		}
		if (entry_is_marker(entry) && (entry_marks(entry) & unprotected))
			entry = entry_make_marker(entry_marks(entry) & unprotected);
		follow(&to, child, from.address, from.level, reserve);
		cursor_exchange(&to, entry);
	}
	if (to.table)
		cursor_end(&to);
	tables_resident_all(child, resident);
}
