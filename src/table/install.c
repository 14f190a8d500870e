/* SPDX-License-Identifier: MIT */
/*
 * What faults do to one page, and to the neighbours that they map along with it.
 *
 * A fault looks (table_probe), prepares what it needs with no table locked, and then puts its leaf
 * in place if nothing has changed since it looked. If something has, another fault was quicker, and
 * the access is simply made again.
 */
#include "table/cursor.h"

/* The entry, which is not in the middle of a change. */
static entry_t settled(struct page_tables *tables, struct frame *table, _Atomic entry_t *slot)
{
	entry_t entry = slot_load(slot);

	if (entry == ENTRY_BUSY) {
		machine_lock(tables->machine, &table->lock);
		entry = slot_load(slot);
		machine_unlock(tables->machine, &table->lock);
	}
	return entry;
}

void table_probe(struct page_tables *tables, uint64_t page, struct table_snapshot *snapshot)
{
	struct frame *table = tables->root;
	unsigned level = ARCH_LEVELS - 1;
	entry_t entry = settled(tables, table,
				table_slot(tables->machine, table, level_index(page, level)));

	while (entry_is_table(entry, level)) {
		table = table_below(tables, entry);
		level--;
		entry = settled(tables, table,
				table_slot(tables->machine, table, level_index(page, level)));
	}
	*snapshot = (struct table_snapshot){
		.entry = entry,
		.kind = TABLE_ABSENT,
		.level = level,
	};
	if (entry_is_marker(entry)) {
		snapshot->marks = entry_marks(entry) & ~(unsigned)MARK_EVICTED;
		if (snapshot->marks)
			snapshot->kind = TABLE_MARKER;
	} else if (entry_is_swap(entry)) {
		snapshot->kind = TABLE_SWAP;
		snapshot->slot = entry_slot(entry);
		snapshot->exclusive = entry_exclusive(entry);
		snapshot->uffd_wp = entry_uffd_wp(entry);
	} else if (entry_is_leaf(entry, level)) {
		snapshot->kind = TABLE_LEAF;
		snapshot->accessible = entry_accessible(entry);
		snapshot->writable = leaf_written(entry, level);
		snapshot->executable = entry_executable(entry);
		snapshot->exclusive = entry_exclusive(entry);
		snapshot->uffd_wp = entry_uffd_wp(entry);
		snapshot->migrating = entry_migrating(entry);
		snapshot->folio = leaf_folio(tables, entry);
		snapshot->page = leaf_page(entry, level, page);
		snapshot->zero = leaf_zero(tables, entry);
	}
}

static entry_t make_leaf(struct page_tables *tables, const struct table_leaf *leaf)
{
	struct quire_machine *machine = tables->machine;
	uint64_t number = leaf->folio	 ? folio_number(machine, leaf->folio)
			  : leaf->device ? leaf->page.number
					 : frame_number(machine, machine->zero_page);
	entry_t entry = entry_make_leaf(number, leaf->level);

	entry = entry_set_exclusive(entry, leaf->exclusive);
	entry = entry_set_dirty(entry, leaf->dirty);
	entry = entry_set_uffd_wp(entry, leaf->uffd_wp);
	entry = leaf_permit(entry, leaf->allow, leaf->allow.write);
	return entry_set_young(entry, !leaf->old);
}

/* A leaf goes: no CPU may read the old page when the first one can write to the new. */
static void retire(struct cursor *cursor, struct gather *gather)
{
	bool leaf = entry_is_leaf(cursor_entry(cursor), cursor->level);
	entry_t entry;
	struct folio *folio;

	if (leaf && !QUIRE_MISTAKE(NOTIFIER_BEGINS_LATE))
		cursor_announce(cursor, gather);
	entry = cursor_exchange(cursor, QUIRE_MISTAKE(COPY_LEAVES_GAP) ? ENTRY_ABSENT : ENTRY_BUSY);
	if (leaf && QUIRE_MISTAKE(NOTIFIER_BEGINS_LATE))
		cursor_announce(cursor, gather);
	if (entry_is_swap(entry))
		tables_resident(cursor->tables, RESIDENT_SWAP, -1);
	if (!leaf)
		return;
	if (!QUIRE_MISTAKE(COPY_WITHOUT_FLUSH))
		gather_leaf(gather, cursor);
	gather_flush(gather);
	folio = leaf_folio(cursor->tables, entry);
	if (!folio)
		return;
	keep_dirty(folio, entry);
	tables_resident(cursor->tables, folio_resident(folio), -level_pages(cursor->level));
	gather_folio(gather, folio);
}

/* Whether what was seen still stands at the cursor; nothing stands there at whatever level. */
static bool stands(const struct cursor *cursor, const struct table_snapshot *snapshot)
{
	entry_t entry = cursor_entry(cursor);

	return entry_same(entry, snapshot->entry) &&
	       (cursor->level == snapshot->level || entry_is_absent(entry));
}

bool table_hold_slot(struct page_tables *tables, uint64_t page,
		     const struct table_snapshot *snapshot)
{
	struct cursor cursor;
	bool same;

	cursor_begin(&cursor, tables, page, page + PAGE_SIZE, NULL);
	same = stands(&cursor, snapshot);
	if (same)
		swap_hold(tables->machine, snapshot->slot);
	cursor_end(&cursor);
	return same;
}

/* Whether the page has been taken from its object: the fault must ask again what stands there. */
static bool gone(const struct folio *folio)
{
	return folio && folio_of_object(folio) && !folio_owner(folio);
}

bool table_install(struct page_tables *tables, uint64_t page, const struct table_snapshot *snapshot,
		   const struct table_leaf *leaf, struct table_reserve *reserve,
		   struct gather *gather)
{
	uint64_t span = level_span(leaf->level), start = page & ~(span - 1);
	struct cursor cursor;
	bool same;

	cursor_begin(&cursor, tables, start, start + span, NULL);
	same = stands(&cursor, snapshot) && !gone(leaf->folio) &&
	       (!leaf->publish || leaf->publish(leaf->context));
	while (same && cursor.level > leaf->level)
		cursor_push_down(&cursor, reserve);
	if (same) {
		if (!entry_is_absent(snapshot->entry))
			retire(&cursor, gather);
		cursor_exchange(&cursor, make_leaf(tables, leaf));
		/* From here on the page may change. */
		if (snapshot->kind == TABLE_SWAP)
			swap_leave(tables->machine, snapshot->slot,
				   leaf->exclusive ? leaf->folio : NULL);
		if (leaf->folio)
			tables_resident(tables, folio_resident(leaf->folio),
					level_pages(leaf->level));
		gather_close_bracket(gather);
	}
	cursor_end(&cursor);
	return same;
}

void table_install_around(struct page_tables *tables, uint64_t page, unsigned count,
			  struct folio **folios, struct table_leaf leaf,
			  struct table_reserve *reserve)
{
	int64_t resident[RESIDENT_KINDS] = {0};
	struct cursor cursor;
	bool more = cursor_begin(&cursor, tables, page, page + count * PAGE_SIZE, NULL);

	cursor_bottom(&cursor);
	while (cursor.level > 0 && entry_is_absent(cursor_entry(&cursor)))
		cursor_push_down(&cursor, reserve);
	for (; more; more = cursor_next(&cursor)) {
		entry_t entry = cursor_bottom(&cursor);
		struct folio **folio = &folios[(cursor.address - page) >> PAGE_SHIFT];

		if (!entry_is_absent(entry) || !*folio || gone(*folio))
			continue;
		leaf.folio = *folio;
		folio_exchange(*folio, FRAME_ONE_REFERENCE, FRAME_ONE_MAPPING);
		cursor_put(&cursor, ENTRY_ABSENT, make_leaf(tables, &leaf));
		resident[folio_resident(*folio)]++;
		*folio = NULL;
	}
	tables_resident_all(tables, resident);
}

static void take_over(struct cursor *cursor, entry_t was, bool write,
		      struct table_permissions allow)
{
	entry_t is;

	do {
		is = entry_set_exclusive(was, true);
		if (write) {
			is = entry_set_young(entry_set_dirty(is, true), true);
			allow.execute = entry_executable(is);
			is = leaf_permit(is, allow, true);
		}
	} while (!cursor_update(cursor, &was, is));
}

enum table_reuse table_reuse(struct page_tables *tables, uint64_t page,
			     const struct table_snapshot *snapshot, bool write,
			     struct table_permissions allow)
{
	enum table_reuse answer = TABLE_CHANGED;
	struct cursor cursor;
	entry_t entry;

	cursor_begin(&cursor, tables, page, page + PAGE_SIZE, NULL);
	entry = cursor_entry(&cursor);
	if (stands(&cursor, snapshot)) {
		if (entry_exclusive(entry) || folio_held_by(snapshot->folio, 1)) {
			take_over(&cursor, entry, write, allow);
			answer = TABLE_REUSED;
		} else {
			folio_hold(snapshot->folio, FRAME_ONE_REFERENCE);
			answer = TABLE_MUST_COPY;
		}
	}
	cursor_end(&cursor);
	return answer;
}

/* A leaf of a shared mapping can be written to from now on. */
void table_write_shared(struct page_tables *tables, uint64_t page,
			const struct table_snapshot *snapshot)
{
	struct cursor cursor;
	entry_t was, is;

	cursor_begin(&cursor, tables, page, page + PAGE_SIZE, NULL);
	was = cursor_entry(&cursor);
	do {
		if (!entry_same(was, snapshot->entry) || cursor.level != snapshot->level)
			break;
		is = entry_set_permissions(was, true, true, entry_executable(was));
		is = entry_set_young(entry_set_dirty(is, true), true);
	} while (!cursor_update(&cursor, &was, is));
	cursor_end(&cursor);
}

void table_use_page(struct page_tables *tables, uint64_t page,
		    const struct table_snapshot *snapshot, bool write)
{
	struct cursor cursor;
	entry_t was, is;

	cursor_begin(&cursor, tables, page, page + PAGE_SIZE, NULL);
	was = cursor_entry(&cursor);
	do {
		if (!entry_same(was, snapshot->entry) || cursor.level != snapshot->level)
			break;
		is = entry_set_young(write ? entry_set_dirty(was, true) : was, true);
	} while (!cursor_update(&cursor, &was, is));
	cursor_end(&cursor);
}

static bool fit_for(const struct cursor *cursor, entry_t entry, enum table_use use)
{
	const struct folio *folio;

	if (!entry_is_leaf(entry, cursor->level) || !entry_accessible(entry))
		return false;
	if (use == TABLE_WRITE || use == TABLE_WRITABLE)
		return entry_writable(entry);
	folio = leaf_folio(cursor->tables, entry);
	return use == TABLE_READ || entry_exclusive(entry) || !folio || folio_of_object(folio);
}

bool table_hold_page(struct page_tables *tables, uint64_t page, enum table_use use, uint64_t what,
		     struct table_held *held)
{
	struct cursor cursor;
	entry_t was, is;
	bool fit;

	cursor_begin(&cursor, tables, page, page + PAGE_SIZE, NULL);
	was = cursor_entry(&cursor);
	fit = fit_for(&cursor, was, use);
	if (fit) {
		do
			is = use == TABLE_WRITE ? entry_set_dirty(was, true) : was;
		while (is != was && !cursor_update(&cursor, &was, is));
		held->folio = leaf_folio(tables, was);
		held->page = leaf_page(was, cursor.level, page);
		held->end = cursor_stop(&cursor);
		if (held->folio) {
			if (is != was)
				folio_mark(held->folio, FRAME_DIRTY);
			folio_hold(held->folio, what);
		}
	}
	cursor_end(&cursor);
	return fit;
}
