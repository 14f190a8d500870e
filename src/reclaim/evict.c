/* SPDX-License-Identifier: MIT */
/*
 * One page leaves memory.
 *
 * An anonymous page first gets a swap slot and stands in its cache: from then on whoever looks for it
 * in the slot finds the frame.  Then its entries become swap entries, one by one, and when the last
 * CPU has forgotten them the content can't change any more and is written.  If nobody has come back
 * for the page until then, the frame goes.
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
	struct quire_machine *machine;
	struct frame *frame;
	struct rmap_owner owner;
	uint64_t slot; /* with a count of ours */
	bool young;    /* used_lately() */
};

/* --- age --- */

static void visit_age(struct quire_space *space, struct vma *vma, uint64_t start, uint64_t stop,
		      void *context)
{
	struct eviction *eviction = context;
	struct gather gather;

	(void)vma;
	(void)stop;
	gather_begin(&gather, &space->tables);
	if (!table_old(&space->tables, start, eviction->frame, &gather))
		eviction->young = true;
	gather_end(&gather);
}

bool used_lately(struct quire_machine *machine, struct frame *frame)
{
	struct eviction eviction = {.machine = machine, .frame = frame};

	if (!frame_mappings(frame) || !rmap_hold_owner(machine, frame, &eviction.owner))
		return false;
	rmap_walk_page(machine, &eviction.owner, visit_age, &eviction);
	rmap_drop_owner(machine, &eviction.owner);
	return eviction.young;
}

/* --- anonymous pages --- */

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

static void visit_drop_clean(struct quire_space *space, struct vma *vma, uint64_t start,
			     uint64_t stop, void *context)
{
	struct eviction *eviction = context;
	struct gather gather;

	(void)stop;
	if (vma->flags & VMA_LOCKED)
		return;
	gather_begin(&gather, &space->tables);
	table_drop_clean(&space->tables, start, eviction->frame, &gather);
	gather_end(&gather);
}

static void visit_swap_out(struct quire_space *space, struct vma *vma, uint64_t start,
			   uint64_t stop, void *context)
{
	struct eviction *eviction = context;
	struct gather gather;

	(void)stop;
	if (vma->flags & VMA_LOCKED)
		return;
	gather_begin(&gather, &space->tables);
	table_swap_out(&space->tables, start, eviction->frame, eviction->slot, &gather);
	gather_end(&gather);
}

/* The slot that the page is in the cache of, or a new one, with a count of ours. */
static uint64_t take_slot(struct eviction *eviction)
{
	uint64_t slot = swap_hold_of(eviction->machine, eviction->frame);

	if (slot)
		return slot;
	slot = swap_alloc(eviction->machine);
	if (!slot || swap_cache(eviction->machine, slot, eviction->frame))
		return slot;
	/* Another thread evicts it too, and was quicker. */
	swap_drop(eviction->machine, slot);
	return swap_hold_of(eviction->machine, eviction->frame);
}

static bool write_slot(struct eviction *eviction)
{
	struct quire_machine *machine = eviction->machine;

	return swap_write_slot(machine, eviction->slot, frame_memory(machine, eviction->frame)) ==
	       0;
}

/*
 * A page whose content need not be kept, unless it was written to since, or others want it from its
 * slot: then this time it stays, as any other page from now on.  Whether it is gone.
 */
static bool drop_lazily_freed(struct eviction *eviction)
{
	struct frame *frame = eviction->frame;

	if (!frame_has(frame, FRAME_DIRTY) && !frame_has(frame, FRAME_KEEP) && eviction->owner.rmap)
		rmap_walk_page(eviction->machine, &eviction->owner, visit_drop_clean, eviction);
	if (!frame_mappings(frame) && !frame_slot(frame))
		return true;
	frame_unmark(frame, FRAME_LAZYFREE);
	return false;
}

static bool evict_anonymous(struct eviction *eviction)
{
	struct frame *frame = eviction->frame;
	bool gone = false;

	if (frame_has(frame, FRAME_LAZYFREE))
		return drop_lazily_freed(eviction);
	eviction->slot = take_slot(eviction);
	if (!eviction->slot)
		return false;
	if (eviction->owner.rmap)
		rmap_walk_page(eviction->machine, &eviction->owner, visit_swap_out, eviction);
	if (!frame_mappings(frame) && !busy(frame) && write_slot(eviction))
		gone = swap_uncache(eviction->machine, eviction->slot, frame);
	swap_drop(eviction->machine, eviction->slot);
	return gone;
}

/* --- pages of objects --- */

static void visit_unmap(struct quire_space *space, struct vma *vma, uint64_t start, uint64_t stop,
			void *context)
{
	const struct eviction *eviction = context;
	struct gather gather;

	(void)stop;
	if (vma->flags & VMA_LOCKED)
		return;
	gather_begin(&gather, &space->tables);
	table_unmap(&space->tables, start, eviction->frame,
		    eviction->machine->report_swapped ? MARK_EVICTED : 0, vma->flags & VMA_UFFD_WP,
		    &gather);
	gather_end(&gather);
}

/* Keeps the content; *entry: what the cache is to have then.  false: it cannot be kept. */
static bool write_page(struct eviction *eviction, bool dirty, cache_entry *entry)
{
	const struct quire_object *object = eviction->owner.object;
	const struct quire_object_operations *operations = object->operations;

	*entry = 0;
	/* It can be read again, or it is a page of zeros that nobody has written to. */
	if (!dirty)
		return true;
	if (operations->write_page)
		return operations->write_page(object->context, eviction->owner.index,
					      frame_memory(eviction->machine, eviction->frame)) ==
		       0;
	eviction->slot = swap_alloc(eviction->machine);
	if (!eviction->slot)
		return false;
	*entry = cache_entry_of_slot(eviction->slot);
	return write_slot(eviction);
}

static bool evict_cached(struct eviction *eviction)
{
	struct frame *frame = eviction->frame;
	cache_entry entry;
	bool gone = false, dirty;

	if (frame_mappings(frame))
		rmap_walk_page(eviction->machine, &eviction->owner, visit_unmap, eviction);
	dirty = frame_has(frame, FRAME_DIRTY);
	frame_unmark(frame, FRAME_DIRTY);
	if (!frame_mappings(frame) && !busy(frame) && write_page(eviction, dirty, &entry))
		gone = object_replace_page(eviction->owner.object, eviction->owner.index, frame,
					   entry);
	if (!gone && dirty)
		frame_mark(frame, FRAME_DIRTY);
	if (!gone && eviction->slot)
		swap_drop(eviction->machine, eviction->slot);
	return gone;
}

bool evict(struct quire_machine *machine, struct frame *frame)
{
	struct eviction eviction = {.machine = machine, .frame = frame};
	bool owned = rmap_hold_owner(machine, frame, &eviction.owner), gone = false;

	/* A page of an object that is pinned leaves the tables, and stays in the cache. */
	if (eviction.owner.object && !referenced(frame))
		gone = evict_cached(&eviction);
	else if (frame->kind == FRAME_ANON && !busy(frame) && (owned || frame_slot(frame)))
		gone = evict_anonymous(&eviction);
	rmap_drop_owner(machine, &eviction.owner);
	return gone;
}
