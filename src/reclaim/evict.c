/* SPDX-License-Identifier: MIT */
/*
 * Pages leave memory, a batch at a time.
 *
 * An anonymous page first gets a swap slot and stands in the swap cache: from then on whoever looks
 * for it in the slot finds the frame.  Then its entries become swap entries, those of one space under
 * one holding of its lock, and when the last CPU has forgotten them the content can't change any more
 * and is written.  If nobody has come back for the page until then, the frame goes.
 *
 *	leaf ──▶ frame          swap entry ──▶ slot ──▶ frame        swap entry ──▶ slot
 *
 * A page of an object leaves the tables in the same way, but its entries become absent, or marks
 * where they were protected: the object's cache leads to it.  The page is written, to swap or by the
 * object; then the cache has the slot, or nothing.  FRAME_DIRTY, cleared before the page is written,
 * tells whether it was written to meanwhile, in which case it stays.
 *
 * What fails is given up halfway: the page is in memory, and whoever needs it finds it.
 */
#include "reclaim/reclaim.h"

struct eviction {
	struct batch *batch;
	uint32_t slots[BATCH_PAGES]; /* with a count of ours; SWAP_UNWANTED: the page is dropped */
};

/* Whether others than the caller and a cache are at work on the page. */
static bool referenced(const struct frame *frame)
{
	return frame_references(frame) >
	       1 + (uint32_t)(frame_slot(frame) || frame_of_object(frame));
}

static bool busy(const struct frame *frame)
{
	return frame_pins(frame) || referenced(frame);
}

/* --- anonymous pages --- */

/* A fault that made the page its own meanwhile has taken it out: nothing would find it there. */
static bool in_its_slot(const struct frame *frame, uint32_t slot)
{
	return frame_slot(frame) == slot || QUIRE_MISTAKE(EVICT_TRUSTS_SLOT);
}

static void visit_anonymous(struct quire_space *space, struct vma *vma, uint64_t start,
			    uint64_t stop, void *context)
{
	struct eviction *eviction = context;
	struct batch *batch = eviction->batch;
	struct gather gather;
	uint64_t page;

	if (vma->flags & VMA_LOCKED)
		return;
	gather_begin(&gather, &space->tables);
	for (unsigned i = 0; i < batch->count; i++) {
		struct frame *frame = batch->frames[i];

		if (!batch_place(frame, vma, start, stop, &page))
			continue;
		if (eviction->slots[i] == SWAP_UNWANTED)
			table_drop_clean(&space->tables, page, frame, &gather);
		else if (in_its_slot(frame, eviction->slots[i]))
			table_swap_out(&space->tables, page, frame, eviction->slots[i], &gather);
	}
	gather_end(&gather);
}

/*
 * A page whose content need not be kept, unless it was written to since, or counts for others: then
 * this time it stays, as any other page from now on.
 */
static bool may_be_dropped(struct frame *frame)
{
	if (!frame_has(frame, FRAME_DIRTY) && !frame_has(frame, FRAME_KEEP))
		return true;
	frame_unmark(frame, FRAME_LAZYFREE);
	return false;
}

static void take_out(struct batch *batch, unsigned i)
{
	struct frame *frame = batch->frames[i];

	batch->frames[i] = batch->frames[--batch->count];
	batch->frames[batch->count] = frame;
}

/* Leaves the pages that may go, each with a slot, or to be dropped. */
static void choose(struct eviction *eviction)
{
	struct batch *batch = eviction->batch;
	uint32_t *slots = eviction->slots;

	for (unsigned i = 0; i < batch->count;) {
		struct frame *frame = batch->frames[i];
		bool lazy = frame_has(frame, FRAME_LAZYFREE);

		slots[i] = lazy ? SWAP_UNWANTED : 0;
		if (busy(frame) || (!batch->owner.rmap && !frame_slot(frame)) ||
		    (lazy && !may_be_dropped(frame)))
			take_out(batch, i);
		else
			i++;
	}
	swap_take_slots(batch->machine, batch->frames, slots, batch->count);
	for (unsigned i = 0; i < batch->count;) {
		if (slots[i]) {
			i++;
			continue;
		}
		take_out(batch, i); /* swap is full */
		slots[i] = slots[batch->count];
	}
}

static void write_pages(struct eviction *eviction)
{
	const struct batch *batch = eviction->batch;

	for (unsigned i = 0; i < batch->count; i++) {
		struct frame *frame = batch->frames[i];

		/* Else somebody has come back for it, or it could not be taken from everybody. */
		if (eviction->slots[i] != SWAP_UNWANTED && !frame_mappings(frame) && !busy(frame))
			swap_write_slot(batch->machine, eviction->slots[i],
					frame_memory(batch->machine, frame));
	}
}

/* Those that were to be dropped: how many went. */
static unsigned count_dropped(const struct eviction *eviction)
{
	const struct batch *batch = eviction->batch;
	unsigned gone = 0;

	for (unsigned i = 0; i < batch->count; i++) {
		struct frame *frame = batch->frames[i];

		if (eviction->slots[i] != SWAP_UNWANTED)
			continue;
		if (!frame_mappings(frame) && !frame_slot(frame))
			gone++;
		else
			frame_unmark(frame, FRAME_LAZYFREE);
	}
	return gone;
}

static unsigned evict_anonymous(struct batch *batch)
{
	struct eviction eviction = {.batch = batch};

	choose(&eviction);
	if (!batch->count)
		return 0;
	batch_walk(batch, true, visit_anonymous, &eviction);
	write_pages(&eviction);
	return count_dropped(&eviction) +
	       swap_drop_slots(batch->machine, batch->frames, eviction.slots, batch->count);
}

/* --- pages of objects --- */

static void visit_unmap(struct quire_space *space, struct vma *vma, uint64_t start, uint64_t stop,
			void *context)
{
	const struct batch *batch = context;
	unsigned marks = batch->machine->report_swapped ? MARK_EVICTED : 0;
	struct gather gather;
	uint64_t page;

	if (vma->flags & VMA_LOCKED)
		return;
	gather_begin(&gather, &space->tables);
	for (unsigned i = 0; i < batch->count; i++)
		if (batch_place(batch->frames[i], vma, start, stop, &page))
			table_unmap(&space->tables, page, batch->frames[i], marks,
				    vma->flags & VMA_UFFD_WP, &gather);
	gather_end(&gather);
}

/* Keeps the content; *slot: what the cache is to have then, or 0.  false: it cannot be kept. */
static bool write_page(const struct batch *batch, struct frame *frame, uint64_t *slot)
{
	struct quire_machine *machine = batch->machine;
	const struct quire_object *object = batch->owner.object;
	const struct quire_object_operations *operations = object->operations;
	const void *memory = frame_memory(machine, frame);

	if (operations->write_page)
		return operations->write_page(object->context, frame_index(frame), memory) == 0;
	*slot = swap_alloc(machine);
	return *slot && swap_write_slot(machine, *slot, memory) == 0;
}

/* The page has left the tables, or will be left in peace. */
static bool replace(const struct batch *batch, struct frame *frame)
{
	bool dirty = frame_has(frame, FRAME_DIRTY), gone = false;
	uint64_t slot = 0;

	if (dirty)
		frame_unmark(frame, FRAME_DIRTY);
	/* If it is clean it can be read again, or it is a page of zeros that nobody has written to. */
	if (!frame_mappings(frame) && !busy(frame) && (!dirty || write_page(batch, frame, &slot)))
		gone = object_replace_page(batch->owner.object, frame_index(frame), frame,
					   slot ? cache_entry_of_slot(slot) : 0);
	if (!gone && dirty)
		frame_mark(frame, FRAME_DIRTY);
	if (!gone && slot)
		swap_drop(batch->machine, slot);
	return gone;
}

/* A page that is pinned leaves the tables, and stays in the cache. */
static unsigned evict_cached(struct batch *batch)
{
	unsigned gone = 0, mapped = 0;

	for (unsigned i = 0; i < batch->count;) {
		if (referenced(batch->frames[i]))
			take_out(batch, i);
		else
			mapped += frame_mappings(batch->frames[i++]) != 0;
	}
	if (mapped)
		batch_walk(batch, true, visit_unmap, batch);
	for (unsigned i = 0; i < batch->count; i++)
		gone += replace(batch, batch->frames[i]);
	return gone;
}

unsigned evict(struct batch *batch)
{
	if (batch->owner.object)
		return evict_cached(batch);
	return batch->frames[0]->kind == FRAME_ANON ? evict_anonymous(batch) : 0;
}
