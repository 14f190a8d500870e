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
		table = leaf_frame(tables, entry);
		level--;
		entry = settled(tables, table,
				table_slot(tables->machine, table, level_index(page, level)));
	}
	*snapshot = (struct table_snapshot){
		.entry = entry,
		.kind = TABLE_ABSENT,
		.missing = level,
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
		snapshot->writable = entry_writable(entry);
		snapshot->executable = entry_executable(entry);
		snapshot->exclusive = entry_exclusive(entry);
		snapshot->uffd_wp = entry_uffd_wp(entry);
		snapshot->migrating = entry_migrating(entry);
		if (!entry_special(entry))
			snapshot->frame = leaf_frame(tables, entry);
	}
}

static entry_t make_leaf(struct page_tables *tables, const struct table_leaf *leaf)
{
	struct frame *frame = leaf->frame ? leaf->frame : tables->machine->zero_page;
	entry_t entry = entry_make_leaf(frame_number(tables->machine, frame), 0);

	entry = entry_set_permissions(entry, leaf->allow.read, leaf->allow.write,
				      leaf->allow.execute);
	entry = entry_set_exclusive(entry, leaf->exclusive);
	entry = entry_set_dirty(entry, leaf->dirty);
	entry = entry_set_uffd_wp(entry, leaf->uffd_wp);
	return entry_set_young(leaf->frame ? entry : entry_set_special(entry), !leaf->old);
}

/* A leaf goes: no CPU may read the old page when the first one can write to the new. */
static void retire(struct cursor *cursor, struct gather *gather)
{
	entry_t entry =
		cursor_exchange(cursor, QUIRE_MISTAKE(COPY_LEAVES_GAP) ? ENTRY_ABSENT : ENTRY_BUSY);
	struct frame *frame;

	if (entry_is_swap(entry))
		tables_resident(cursor->tables, RESIDENT_SWAP, -1);
	if (!entry_is_leaf(entry, cursor->level))
		return;
	if (!QUIRE_MISTAKE(COPY_WITHOUT_FLUSH))
		gather_span(gather, cursor->address, cursor_reach(cursor));
	gather_flush(gather);
	if (entry_special(entry))
		return;
	frame = leaf_frame(cursor->tables, entry);
	keep_dirty(frame, entry);
	tables_resident(cursor->tables, frame_resident(frame), -1);
	gather_frame(gather, frame);
}

bool table_hold_slot(struct page_tables *tables, uint64_t page,
		     const struct table_snapshot *snapshot)
{
	struct cursor cursor;
	bool same;

	cursor_begin(&cursor, tables, page, page + PAGE_SIZE, NULL);
	same = entry_same(cursor_entry(&cursor), snapshot->entry);
	if (same)
		swap_hold(tables->machine, snapshot->slot);
	cursor_end(&cursor);
	return same;
}

/* Whether the page has been taken from its object: the fault must ask again what stands there. */
static bool gone(const struct frame *frame)
{
	return frame && frame_of_object(frame) && !frame_owner(frame);
}

bool table_install(struct page_tables *tables, uint64_t page, const struct table_snapshot *snapshot,
		   const struct table_leaf *leaf, struct table_reserve *reserve,
		   struct gather *gather)
{
	struct cursor cursor;
	bool same;

	cursor_begin(&cursor, tables, page, page + PAGE_SIZE, NULL);
	same = entry_same(cursor_entry(&cursor), snapshot->entry) && !gone(leaf->frame) &&
	       (!leaf->publish || leaf->publish(leaf->context));
	while (same && cursor.level > 0)
		cursor_push_down(&cursor, reserve);
	if (same) {
		if (!entry_is_absent(snapshot->entry))
			retire(&cursor, gather);
		cursor_exchange(&cursor, make_leaf(tables, leaf));
		/* From here on the page may change. */
		if (snapshot->kind == TABLE_SWAP)
			swap_leave(tables->machine, snapshot->slot,
				   leaf->exclusive ? leaf->frame : NULL);
		if (leaf->frame)
			tables_resident(tables, frame_resident(leaf->frame), 1);
	}
	cursor_end(&cursor);
	return same;
}

void table_install_around(struct page_tables *tables, uint64_t page, unsigned count,
			  struct frame **frames, struct table_leaf leaf,
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
		struct frame **frame = &frames[(cursor.address - page) >> PAGE_SHIFT];

		if (!entry_is_absent(entry) || !*frame || gone(*frame))
			continue;
		leaf.frame = *frame;
		frame_exchange(*frame, FRAME_ONE_REFERENCE, FRAME_ONE_MAPPING);
		cursor_put(&cursor, ENTRY_ABSENT, make_leaf(tables, &leaf));
		resident[frame_resident(*frame)]++;
		*frame = NULL;
	}
	tables_resident_all(tables, resident);
}

static void take_over(struct cursor *cursor, entry_t was, bool write)
{
	entry_t is;

	do {
		is = entry_set_exclusive(was, true);
		if (write) {
			is = entry_set_permissions(is, true, true, entry_executable(is));
			is = entry_set_young(entry_set_dirty(is, true), true);
		}
	} while (!cursor_update(cursor, &was, is));
}

static bool sole_holder(const struct frame *frame)
{
	return atomic_load_explicit(&frame->holders, memory_order_acquire) == FRAME_ONE_MAPPING;
}

enum table_reuse table_reuse(struct page_tables *tables, uint64_t page,
			     const struct table_snapshot *snapshot, bool write)
{
	enum table_reuse answer = TABLE_CHANGED;
	struct cursor cursor;
	entry_t entry;

	cursor_begin(&cursor, tables, page, page + PAGE_SIZE, NULL);
	entry = cursor_entry(&cursor);
	if (entry_same(entry, snapshot->entry)) {
		if (entry_exclusive(entry) || sole_holder(snapshot->frame)) {
			take_over(&cursor, entry, write);
			answer = TABLE_REUSED;
		} else {
			frame_hold(snapshot->frame, FRAME_ONE_REFERENCE);
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
		if (!entry_same(was, snapshot->entry))
			break;
		is = entry_set_permissions(was, true, true, entry_executable(was));
		is = entry_set_young(entry_set_dirty(is, true), true);
	} while (!cursor_update(&cursor, &was, is));
	cursor_end(&cursor);
}

static bool fit_for(const struct cursor *cursor, entry_t entry, enum table_use use)
{
	if (!entry_is_leaf(entry, cursor->level) || !entry_accessible(entry))
		return false;
	if (use == TABLE_WRITE || use == TABLE_WRITABLE)
		return entry_writable(entry);
	return use == TABLE_READ || entry_exclusive(entry) || entry_special(entry) ||
	       frame_of_object(leaf_frame(cursor->tables, entry));
}

struct frame *table_hold_page(struct page_tables *tables, uint64_t page, enum table_use use,
			      uint64_t what)
{
	struct frame *frame = NULL;
	struct cursor cursor;
	entry_t was, is;

	cursor_begin(&cursor, tables, page, page + PAGE_SIZE, NULL);
	was = cursor_entry(&cursor);
	if (fit_for(&cursor, was, use)) {
		do
			is = use == TABLE_WRITE ? entry_set_dirty(was, true) : was;
		while (is != was && !cursor_update(&cursor, &was, is));
		frame = leaf_frame(tables, was);
		if (is != was)
			frame_mark(frame, FRAME_DIRTY);
		if (!entry_special(was))
			frame_hold(frame, what);
	}
	cursor_end(&cursor);
	return frame;
}
