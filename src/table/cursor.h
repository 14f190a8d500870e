/* SPDX-License-Identifier: MIT */
/*
 * The cursor: the only way to an entry.
 *
 * A cursor walks a range of addresses and stops at entries, with the lock of the table that holds
 * the entry taken.  It stops at the highest entry that lies wholly inside the range.  A table that
 * does is stopped at too; the operation handles it whole (moves it, say) or descends.  An absent
 * entry, or one that is only read, may reach beyond the range.
 *
 *	range              [          ............          )
 *	level 2   |     table     |     absent     |     table     |
 *	level 1   ....|absent|leaf|                |leaf|absent|....
 *	stops at       1     2          3           4     5
 *
 *	for (bool more = cursor_begin(&cursor, ...); more; more = cursor_next(&cursor)) {
 *		entry_t entry = cursor_bottom(&cursor);
 *		...
 *	}
 *
 * With a gather the cursor edits: on its way up it unlinks tables that have become empty, for which
 * the space's lock must be held for writing.  Without one it may still fill absent entries (faults
 * do, with the lock held for reading).
 *
 * Tables are linked with their contents complete, by one store, under the lock of the table above.
 * They are unlinked under the space's lock for writing only, so that a descent by a reader needs no
 * locks on its way.
 */
#ifndef QUIRE_TABLE_CURSOR_H
#define QUIRE_TABLE_CURSOR_H

#include "arch_entry.h"
#include "table/table.h"

/*
 * What stands there while one leaf gives way to another, with the table locked: it lets no access
 * through, and is no state of the page.  Whoever looks without the lock waits for that.
 */
#define ENTRY_BUSY entry_make_marker(0)

struct cursor {
	struct page_tables *tables;
	uint64_t end;			 /* of the range */
	uint64_t address;		 /* where the entry begins, or the range inside it */
	unsigned level;			 /* of the entry */
	struct frame *table;		 /* that holds the entry; locked */
	_Atomic entry_t *slot;		 /* the entry */
	struct frame *path[ARCH_LEVELS]; /* tables above and including `table`, by level */
	struct gather *gather;		 /* NULL: unlinks nothing */
};

static inline uint64_t level_span(unsigned level)
{
	return (uint64_t)1 << arch_shift(level);
}
static inline unsigned level_index(uint64_t address, unsigned level)
{
	return (unsigned)(address >> arch_shift(level)) & (arch_entries(level) - 1);
}
static inline bool level_aligned(uint64_t address, unsigned level)
{
	return (address & (level_span(level) - 1)) == 0;
}

/* How many of the levels 1 to `level` have entries that `address` cuts in two. */
static inline unsigned levels_misaligned(uint64_t address, unsigned level)
{
	unsigned count = 0;

	for (; level > 0; level--)
		count += !level_aligned(address, level);
	return count;
}

static inline _Atomic entry_t *table_slot(struct quire_machine *machine, struct frame *table,
					  unsigned index)
{
	return (_Atomic entry_t *)frame_memory(machine, table) + index;
}
static inline entry_t slot_load(_Atomic entry_t *slot)
{
	return atomic_load_explicit(slot, memory_order_acquire);
}

/* Stops at the first entry of [start, end), which is not empty; always true. */
bool cursor_begin(struct cursor *cursor, struct page_tables *tables, uint64_t start, uint64_t end,
		  struct gather *gather);
/* Leaves the entry: down into the table that stands there. */
void cursor_descend(struct cursor *cursor);
/*
 * Puts a table from the reserve in the place of an entry, and descends to its entry for
 * cursor->address.  The table's entries say what the entry said: they repeat nothing or a marker, and
 * each maps its part of what a leaf maps, with every bit of it.  The new table is locked before the old
 * one is let go of, so nobody comes in between.
 */
void cursor_push_down(struct cursor *cursor, struct table_reserve *reserve);
/* The same until the entry lies in the range: one that is to be changed. */
void cursor_fit(struct cursor *cursor, struct table_reserve *reserve);
/* Ends the walk before its range is done. */
void cursor_end(struct cursor *cursor);
/* Lets go of the lock and takes it again; the entry may be touched by no one else meanwhile (the
 * space's lock is held for writing). */
void cursor_pause(struct cursor *cursor);
void cursor_resume(struct cursor *cursor);

bool cursor_next_table(struct cursor *cursor, uint64_t next);
void cursor_settle(struct cursor *cursor);

/* Goes on behind the entry; false when the range is done, and then the cursor holds nothing any
 * more. */
static inline bool cursor_next(struct cursor *cursor)
{
	uint64_t span = level_span(cursor->level);
	uint64_t next = (cursor->address & ~(span - 1)) + span;

	if (next >= cursor->end || level_index(next, cursor->level) == 0)
		return cursor_next_table(cursor, next);
	cursor->address = next;
	cursor->slot++;
	if (cursor->end - next < span)
		cursor_settle(cursor);
	return true;
}

/*
 * Passes over the entries that follow in the table, lie wholly in the range, and are as `entry`, which
 * the cursor stands at: stops at the last of them.  entry_alike() says what that is, so `entry` is no
 * marker.
 */
static inline void cursor_pass_alike(struct cursor *cursor, entry_t entry)
{
	unsigned index = level_index(cursor->address, cursor->level);
	uint64_t begin = cursor->address & ~(level_span(cursor->level) - 1);
	uint64_t whole = (cursor->end - begin) >> arch_shift(cursor->level);
	_Atomic entry_t *slot = cursor->slot;
	_Atomic entry_t *end = slot - index + min_u64(index + whole, arch_entries(cursor->level));

	while (slot + 1 < end && entry_alike(slot_load(slot + 1), entry))
		slot++;
	if (slot == cursor->slot)
		return;
	cursor->address = begin + ((uint64_t)(slot - cursor->slot) << arch_shift(cursor->level));
	cursor->slot = slot;
}

static inline entry_t cursor_entry(const struct cursor *cursor)
{
	return slot_load(cursor->slot);
}
/* Descends as long as a table stands there; the entry below. */
static inline entry_t cursor_bottom(struct cursor *cursor)
{
	entry_t entry = cursor_entry(cursor);

	while (entry_is_table(entry, cursor->level)) {
		cursor_descend(cursor);
		entry = cursor_entry(cursor);
	}
	return entry;
}
/* Whether it is absent, or as good as that. */
static inline bool entry_marks_nothing(entry_t entry)
{
	return entry_is_absent(entry) || entry == entry_make_marker(MARK_EVICTED);
}
/* The entry's whole span; where it ends inside the range. */
static inline uint64_t cursor_start(const struct cursor *cursor)
{
	return cursor->address & ~(level_span(cursor->level) - 1);
}
static inline uint64_t cursor_stop(const struct cursor *cursor)
{
	return cursor_start(cursor) + level_span(cursor->level);
}
static inline uint64_t cursor_reach(const struct cursor *cursor)
{
	return min_u64(cursor_stop(cursor), cursor->end);
}
/* The leaf with the permissions; whether somebody may write to it. */
static inline entry_t leaf_permit(entry_t leaf, struct table_permissions allow, bool write)
{
	leaf = entry_set_permissions(leaf, allow.read, write && !allow.shadow_stack, allow.execute);
	return write && allow.shadow_stack ? entry_make_shadow_stack(leaf) : leaf;
}
static inline bool leaf_written(entry_t leaf, unsigned level)
{
	return entry_writable(leaf) || entry_shadow_stack(leaf, level);
}
/* Whether the entry's whole span lies in the range. */
static inline bool cursor_whole(const struct cursor *cursor)
{
	return cursor_reach(cursor) - cursor->address == level_span(cursor->level);
}

/* Keeps the table's counters when `was` gives way to `is`. */
static inline void cursor_recount(struct cursor *cursor, entry_t was, entry_t is)
{
	struct frame *table = cursor->table;

	quire_assert(table->table.locked);
	table->table.live += (uint32_t)!entry_is_absent(is) - (uint32_t)!entry_is_absent(was);
	table->table.marks += (uint32_t)entry_is_marker(is) - (uint32_t)entry_is_marker(was);
}
/* Replaces the entry whatever the hardware does to it meanwhile; what stood there. */
static inline entry_t cursor_exchange(struct cursor *cursor, entry_t entry)
{
	entry_t was = atomic_exchange_explicit(cursor->slot, entry, memory_order_acq_rel);

	cursor_recount(cursor, was, entry);
	return was;
}
/* Replaces `was`, which stands there and lets no access through: the hardware leaves it alone. */
static inline void cursor_put(struct cursor *cursor, entry_t was, entry_t entry)
{
	atomic_store_explicit(cursor->slot, entry, memory_order_release);
	cursor_recount(cursor, was, entry);
}
/* Replaces a leaf by a changed one, if the hardware has not touched it since `*was` was read; else
 * *was is what stands there. */
static inline bool cursor_update(struct cursor *cursor, entry_t *was, entry_t leaf)
{
	quire_assert(cursor->table->table.locked);
	return atomic_compare_exchange_strong_explicit(cursor->slot, was, leaf,
						       memory_order_acq_rel, memory_order_acquire);
}

/*
 * What notifiers are told (notify.c).
 *
 * gather_announce(): an operation is about to change those leaves of [start, end) for which `changes`
 * holds, if there are any; none has changed yet.  Of one that reaches over an edge it will change the part
 * that is inside, having cut it, or the whole.
 * cursor_announce(): the leaf at the cursor changes now.  Before that, whether it was foreseen or not.
 * gather_close_bracket(): what was announced has been done.  Flushes.
 */
enum announced { ANNOUNCE_PART, ANNOUNCE_WHOLE };
typedef bool leaf_changes(struct page_tables *tables, entry_t leaf, unsigned level,
			  const void *context);
void gather_announce_leaves(struct gather *gather, uint64_t start, uint64_t end,
			    enum announced what, leaf_changes *changes, const void *context);
void cursor_announce_leaf(const struct cursor *cursor, struct gather *gather);
void gather_close_bracket(struct gather *gather);

static inline void gather_announce(struct gather *gather, uint64_t start, uint64_t end,
				   enum announced what, leaf_changes *changes, const void *context)
{
	if (gather->tables->notifiers)
		gather_announce_leaves(gather, start, end, what, changes, context);
}
static inline void cursor_announce(const struct cursor *cursor, struct gather *gather)
{
	if (cursor->tables->notifiers)
		cursor_announce_leaf(cursor, gather);
}

/* The leaf at the cursor has changed: it translates otherwise, or not at all; or it has lost permission
 * to write, or the dirty bit, and nothing else. */
static inline void gather_leaf(struct gather *gather, const struct cursor *cursor)
{
	gather_span(gather, cursor_start(cursor), cursor_stop(cursor), cursor->level, false);
}
static inline void gather_leaf_write(struct gather *gather, const struct cursor *cursor)
{
	gather_span(gather, cursor_start(cursor), cursor_stop(cursor), cursor->level, true);
}

/* Stops at the leaf that maps `folio` at `page`; false: there is none, and the cursor holds nothing
 * (reclaim.c). */
bool cursor_begin_leaf(struct cursor *cursor, struct page_tables *tables, uint64_t page,
		       const struct folio *folio, struct gather *gather);
/* Write-protects the leaf at the cursor, which was `was` when last read (wp.c). */
void cursor_protect_leaf(struct cursor *cursor, entry_t was, struct gather *gather);

/* The table that an entry leads to. */
static inline struct frame *table_below(struct page_tables *tables, entry_t entry)
{
	return frame_at(tables->machine, entry_frame(entry));
}
/* What a leaf maps: a page of the machine's memory, of which one is the zero page, or a device's. */
static inline bool leaf_zero(struct page_tables *tables, entry_t leaf)
{
	return entry_frame(leaf) == frame_number(tables->machine, tables->machine->zero_page);
}
static inline bool leaf_device(struct page_tables *tables, entry_t leaf)
{
	return !frame_exists(tables->machine, entry_frame(leaf));
}
/* Who is held by it, one mapping for the leaf; NULL: nobody, for the zero page and devices are not
 * counted. */
static inline struct folio *leaf_folio(struct page_tables *tables, entry_t leaf)
{
	if (leaf_device(tables, leaf) || leaf_zero(tables, leaf))
		return NULL;
	return folio_at(tables->machine, entry_frame(leaf));
}
/* Where the bytes of the page at `address` are. */
static inline struct page leaf_page(entry_t leaf, unsigned level, uint64_t address)
{
	return (struct page){entry_frame(leaf) +
			     ((address & (level_span(level) - 1)) >> PAGE_SHIFT)};
}
/* Pages that an entry of `level` stands for. */
static inline int64_t level_pages(unsigned level)
{
	return (int64_t)1 << (arch_shift(level) - PAGE_SHIFT);
}
/* As what a mapped folio counts. */
static inline enum table_resident folio_resident(const struct folio *folio)
{
	switch (folio->head.kind) {
	case FRAME_SHMEM:
		return RESIDENT_SHMEM;
	case FRAME_FILE:
		return RESIDENT_FILE;
	default:
		return RESIDENT_ANON;
	}
}
/* `pages` more (or, negative, fewer) pages of `kind` are mapped. */
static inline void tables_resident(struct page_tables *tables, enum table_resident kind,
				   int64_t pages)
{
	if (pages)
		atomic_fetch_add_explicit(&tables->resident[kind], (uint64_t)pages,
					  memory_order_relaxed);
}
/* The same for what an operation has counted by kind. */
static inline void tables_resident_all(struct page_tables *tables,
				       const int64_t pages[RESIDENT_KINDS])
{
	for (unsigned kind = 0; kind < RESIDENT_KINDS; kind++)
		tables_resident(tables, kind, pages[kind]);
}
/* A leaf of `frame` has gone from its entry: a page of an object remembers that it was written to. */
static inline void keep_dirty(struct folio *folio, entry_t leaf)
{
	if (entry_dirty(leaf) && folio_of_object(folio))
		folio_mark(folio, FRAME_DIRTY);
}

#endif
