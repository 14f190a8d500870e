/* SPDX-License-Identifier: MIT */
#include "table/cursor.h"

static void table_lock(struct page_tables *tables, struct frame *table)
{
	machine_lock(tables->machine, &table->lock);
	quire_assert(!table->table.locked);
	table->table.locked = true;
}

static void table_unlock(struct page_tables *tables, struct frame *table)
{
	table->table.locked = false;
	machine_unlock(tables->machine, &table->lock);
}

/* Points at the entry for cursor->address in `table`. */
static void stand_in(struct cursor *cursor, struct frame *table, unsigned level)
{
	cursor->table = table;
	cursor->level = level;
	cursor->path[level] = table;
	cursor->slot =
		table_slot(cursor->tables->machine, table, level_index(cursor->address, level));
}

/* Whether the walk goes through the entry: a table that reaches beyond the range. */
static bool leads_on(struct cursor *cursor, entry_t entry)
{
	return entry_is_table(entry, cursor->level) && !cursor_whole(cursor);
}

/*
 * From a table that is not locked down to where the walk stops.  Nothing on the way can be
 * unlinked; only the entry stopped at can change until its table is locked, and then at most into a
 * table that leads on.
 */
static void walk_down(struct cursor *cursor)
{
	for (;;) {
		entry_t entry = cursor_entry(cursor);

		if (!leads_on(cursor, entry)) {
			table_lock(cursor->tables, cursor->table);
			entry = cursor_entry(cursor);
			if (!leads_on(cursor, entry))
				return;
			table_unlock(cursor->tables, cursor->table);
		}
		stand_in(cursor, table_below(cursor->tables, entry), cursor->level - 1);
	}
}

bool cursor_begin(struct cursor *cursor, struct page_tables *tables, uint64_t start, uint64_t end,
		  struct gather *gather)
{
	quire_assert(page_aligned(start) && page_aligned(end) && start < end);
	quire_assert(!gather || tables->written);
	cursor->tables = tables;
	cursor->address = start;
	cursor->end = end;
	cursor->gather = gather;
	stand_in(cursor, tables->root, ARCH_LEVELS - 1);
	walk_down(cursor);
	return true;
}

void cursor_descend(struct cursor *cursor)
{
	entry_t entry = cursor_entry(cursor);

	quire_assert(entry_is_table(entry, cursor->level));
	table_unlock(cursor->tables, cursor->table);
	stand_in(cursor, table_below(cursor->tables, entry), cursor->level - 1);
	walk_down(cursor);
}

/* After a step within a table: a table that leads on is not stopped at. */
void cursor_settle(struct cursor *cursor)
{
	if (leads_on(cursor, cursor_entry(cursor)))
		cursor_descend(cursor);
}

/* The table left behind is empty: takes it out of the one above, which is locked and stood in. */
static void unlink_table(struct cursor *cursor, struct frame *table)
{
	struct page_tables *tables = cursor->tables;
	uint64_t start = cursor->address & ~(level_span(cursor->level) - 1);

	cursor_exchange(cursor, ENTRY_ABSENT);
	gather_table(cursor->gather, table, start, cursor->level);
	atomic_fetch_sub_explicit(&tables->frames, (uint64_t)1 << table->order,
				  memory_order_relaxed);
}

/* Up to the entry of the table stood in. */
static void ascend(struct cursor *cursor)
{
	struct frame *table = cursor->table;
	unsigned level = cursor->level + 1;

	table_unlock(cursor->tables, table);
	table_lock(cursor->tables, cursor->path[level]);
	stand_in(cursor, cursor->path[level], level);
	if (cursor->gather && table->table.live == 0)
		unlink_table(cursor, table);
}

void cursor_end(struct cursor *cursor)
{
	while (cursor->gather && cursor->level < ARCH_LEVELS - 1 && cursor->table->table.live == 0)
		ascend(cursor);
	table_unlock(cursor->tables, cursor->table);
}

/* The slow half of cursor_next(): `next` lies behind the table stood in, or behind the range. */
bool cursor_next_table(struct cursor *cursor, uint64_t next)
{
	if (next >= cursor->end) {
		cursor_end(cursor);
		return false;
	}
	do
		ascend(cursor);
	while (level_index(next, cursor->level) == 0);
	cursor->address = next;
	cursor->slot++;
	cursor_settle(cursor);
	return true;
}

/* Makes a frame, whatever it holds, a table whose entries are of `level`. */
static void begin_table(struct page_tables *tables, struct frame *table, unsigned level)
{
	frame_set_kind(tables->machine, table, FRAME_TABLE);
	table->lock = (struct quire_lock){0};
	table->table.level = level;
	table->table.locked = false;
}

/* Its entries say what `entry` of the level above says. */
static void fill_table(struct page_tables *tables, struct frame *table, entry_t entry)
{
	const unsigned level = table->table.level;
	bool leaf = entry_is_leaf(entry, level + 1);
	bool empty = entry_is_absent(entry) || (QUIRE_MISTAKE(SPLIT_LOSES_MARKER) && !leaf);
	unsigned count = empty ? 0 : arch_entries(level);

	if (leaf && QUIRE_MISTAKE(CUT_LOSES_DIRTY))
		entry = entry_set_dirty(entry, false);
	table->table.live = count;
	table->table.marks = entry_is_marker(entry) ? count : 0;
	if (empty)
		memset(frame_memory(tables->machine, table), 0, PAGE_SIZE);
	for (unsigned i = 0; i < count; i++)
		atomic_store_explicit(table_slot(tables->machine, table, i),
				      leaf ? entry_child(entry, level + 1, i) : entry,
				      memory_order_relaxed);
}

/* A leaf gives way to leaves of the level below, each of which is a mapping of what it maps. */
static void hold_parts(struct page_tables *tables, entry_t leaf, unsigned level)
{
	struct folio *folio = leaf_folio(tables, leaf);

	atomic_fetch_add_explicit(&tables->machine->cut_leaves[level], 1, memory_order_relaxed);
	if (folio)
		folio_hold(folio, (uint64_t)(arch_entries(level - 1) - 1) * FRAME_ONE_MAPPING);
}

void cursor_push_down(struct cursor *cursor, struct table_reserve *reserve)
{
	struct page_tables *tables = cursor->tables;
	struct frame *table = reserve->chain, *parent = cursor->table;
	entry_t entry = cursor_entry(cursor), link;

	quire_assert(cursor->level > 0 && table);
	quire_assert(!entry_is_table(entry, cursor->level));
	reserve->chain = table->next;
	reserve->count--;
	link = entry_make_table(frame_number(tables->machine, table));
	begin_table(tables, table, cursor->level - 1);
	if (entry_is_leaf(entry, cursor->level))
		hold_parts(tables, entry, cursor->level);
	atomic_fetch_add_explicit(&tables->frames, (uint64_t)1 << table->order,
				  memory_order_relaxed);
	/* Locked before anyone can find it, so that what was seen of the entry still holds below. */
	table_lock(tables, table);
	/* What the hardware sets in a leaf meanwhile, its parts have too. */
	do
		fill_table(tables, table, entry);
	while (!QUIRE_MISTAKE(CUT_OVERWRITES) && !cursor_update(cursor, &entry, link));
	if (QUIRE_MISTAKE(CUT_OVERWRITES))
		atomic_store_explicit(cursor->slot, link, memory_order_release);
	cursor_recount(cursor, entry, link);
	table_unlock(tables, parent);
	stand_in(cursor, table, cursor->level - 1);
}

void cursor_fit(struct cursor *cursor, struct table_reserve *reserve)
{
	while (!cursor_whole(cursor))
		cursor_push_down(cursor, reserve);
}

void cursor_pause(struct cursor *cursor)
{
	quire_assert(cursor->tables->written);
	table_unlock(cursor->tables, cursor->table);
}

void cursor_resume(struct cursor *cursor)
{
	table_lock(cursor->tables, cursor->table);
}
