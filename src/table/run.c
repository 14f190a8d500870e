/* SPDX-License-Identifier: MIT */
/*
 * Reading tables: as runs of equal entries, as counts, and with suspicion.
 */
#include "table/cursor.h"

static void describe(struct page_tables *tables, const struct cursor *cursor, entry_t entry,
		     struct table_run *run)
{
	*run = (struct table_run){
		.start = cursor->address,
		.end = cursor_reach(cursor),
		.level = cursor->level,
		.kind = QUIRE_ENTRY_ABSENT,
	};
	if (entry_marks_nothing(entry)) {
		run->evicted = !entry_is_absent(entry);
	} else if (entry_is_marker(entry)) {
		unsigned marks = entry_marks(entry);

		run->kind = marks & MARK_GUARD	  ? QUIRE_ENTRY_GUARD
			    : marks & MARK_POISON ? QUIRE_ENTRY_POISON
						  : QUIRE_ENTRY_MARKER;
		run->uffd_wp = (marks & MARK_UFFD_WP) != 0;
	} else if (entry_is_swap(entry)) {
		run->kind = QUIRE_ENTRY_SWAP;
		run->uffd_wp = entry_uffd_wp(entry);
		run->exclusive = entry_exclusive(entry);
		run->number = entry_slot(entry);
	} else if (entry_is_leaf(entry, cursor->level)) {
		run->kind = entry_migrating(entry) ? QUIRE_ENTRY_MIGRATION : QUIRE_ENTRY_LEAF;
		run->user = entry_accessible(entry);
		run->readable = entry_readable(entry);
		run->writable = entry_writable(entry);
		run->shadow_stack = entry_shadow_stack(entry, cursor->level);
		run->exec = entry_executable(entry);
		run->dirty = entry_dirty(entry);
		run->young = entry_young(entry);
		run->uffd_wp = entry_uffd_wp(entry);
		run->soft_dirty = entry_soft_dirty(entry);
		run->exclusive = entry_exclusive(entry);
		run->number = leaf_page(entry, cursor->level, cursor->address).number;
		run->counted = leaf_folio(tables, entry);
		run->special = !run->counted;
		run->device = leaf_device(tables, entry);
	}
}

/* The entry that would continue a run: equal, and for pages other than the zero page of the frame that
 * follows. */
static entry_t successor(struct page_tables *tables, entry_t entry, unsigned level)
{
	if (!entry_is_swap(entry) && (!entry_is_leaf(entry, level) || leaf_zero(tables, entry)))
		return entry;
	return entry_next_frame(entry, level);
}

/* Whether pages of one kind follow: some are counted, and of those some are an object's. */
static bool same_kind(struct page_tables *tables, const struct table_run *run, entry_t entry)
{
	const struct folio *first = run_folio(tables->machine, run, 0), *next;

	if (!run_maps(run))
		return true;
	next = leaf_folio(tables, entry);
	return first && next ? first->head.kind == next->head.kind : !first && !next;
}

void table_run(struct page_tables *tables, uint64_t start, uint64_t end, bool single,
	       struct table_run *run)
{
	struct cursor cursor;
	entry_t entry, expected;
	unsigned level;
	bool more = cursor_begin(&cursor, tables, start, end, NULL);

	entry = cursor_bottom(&cursor);
	level = cursor.level;
	describe(tables, &cursor, entry, run);
	while (!single && (more = cursor_next(&cursor))) {
		expected = successor(tables, entry, level);
		entry = cursor_bottom(&cursor);
		if (entry != expected || cursor.level != level || !same_kind(tables, run, entry))
			break;
		run->end = cursor_reach(&cursor);
	}
	if (more)
		cursor_end(&cursor);
}

uint64_t table_span(unsigned level)
{
	return level_span(level);
}

void table_count(struct page_tables *tables, struct quire_tables_report *report)
{
	struct cursor cursor;

	_Static_assert(ARCH_LEVELS <= QUIRE_LEVELS_MAX, "the report has room for every level");
	*report = (struct quire_tables_report){.levels = ARCH_LEVELS};
	report->bytes = atomic_load_explicit(&tables->frames, memory_order_relaxed) * PAGE_SIZE;
	report->level[ARCH_LEVELS - 1].tables = 1;
	for (bool more = cursor_begin(&cursor, tables, 0, table_address_end(), NULL); more;
	     more = cursor_next(&cursor)) {
		while (entry_is_table(cursor_entry(&cursor), cursor.level)) {
			cursor_descend(&cursor);
			report->level[cursor.level].tables++;
		}
		report->level[cursor.level].marks += entry_is_marker(cursor_entry(&cursor));
		report->level[cursor.level].leaves +=
			entry_is_leaf(cursor_entry(&cursor), cursor.level);
	}
}

static void check_table(struct page_tables *tables, struct frame *table, uint64_t address,
			table_violation *violation, void *context)
{
	unsigned level = table->table.level;
	unsigned live = 0, marks = 0;
	uint64_t here = address & ~(level_span(level + 1) - 1);

	for (unsigned i = 0; i < arch_entries(level); i++, here += level_span(level)) {
		entry_t entry = slot_load(table_slot(tables->machine, table, i));

		live += !entry_is_absent(entry);
		marks += entry_is_marker(entry);
		if (!entry_is_absent(entry) && !entry_is_marker(entry) && !entry_is_swap(entry) &&
		    !page_exists(tables->machine, leaf_page(entry, level, here)))
			violation(context, "entry names a frame outside the machine", here);
		if (entry == ENTRY_BUSY)
			violation(context, "entry is left in the middle of a change", here);
		if (entry_is_marker(entry) && (entry_marks(entry) & MARK_POISON) && level > 0)
			violation(context, "poison stands above level 0", here);
	}
	if (table->kind != FRAME_TABLE)
		violation(context, "a linked table's frame is not a table", address);
	if (table == tables->root)
		return;
	if (live != table->table.live || marks != table->table.marks)
		violation(context, "table's counters differ from its entries", address);
	if (live == 0)
		violation(context, "an empty table is linked", address);
}

void table_check(struct page_tables *tables, uint64_t start, uint64_t end,
		 table_violation *violation, void *context)
{
	struct cursor cursor;
	uint64_t linked = 0;

	bool more = cursor_begin(&cursor, tables, start, end, NULL);

	for (unsigned level = cursor.level; level < ARCH_LEVELS; level++)
		check_table(tables, cursor.path[level], start, violation, context);
	for (; more; more = cursor_next(&cursor)) {
		for (entry_t entry = cursor_entry(&cursor);
		     entry_is_table(entry, cursor.level) &&
		     frame_exists(tables->machine, entry_frame(entry));
		     entry = cursor_entry(&cursor)) {
			cursor_descend(&cursor);
			linked++;
			check_table(tables, cursor.table, cursor.address, violation, context);
		}
	}
	if (start == 0 && end == table_address_end() &&
	    linked + ((uint64_t)1 << tables->root->order) != tables->frames)
		violation(context, "the count of tables differs from the tables linked", 0);
}
