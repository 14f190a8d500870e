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
static bool referenced(const struct folio *folio)
{
	return folio_references(folio) >
	       1 + (uint32_t)(folio_slot(folio) || folio_of_object(folio));
}

static bool busy(const struct folio *folio)
{
	return folio_pins(folio) || referenced(folio);
}

/* --- anonymous pages --- */

/* A fault that made the page its own meanwhile has taken it out: nothing would find it there. */
static bool in_its_slot(const struct folio *folio, uint32_t slot)
{
	return folio_slot(folio) == slot || QUIRE_MISTAKE(EVICT_TRUSTS_SLOT);
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
	gather_begin(&gather, &space->tables, QUIRE_NOTIFIER_CLEAR);
	for (unsigned i = 0; i < batch->count; i++) {
		struct folio *folio = batch->folios[i];

		if (!batch_place(folio, vma, start, stop, &page))
			continue;
		if (eviction->slots[i] == SWAP_UNWANTED)
			table_drop_clean(&space->tables, page, folio, &gather);
		else if (in_its_slot(folio, eviction->slots[i]))
			table_swap_out(&space->tables, page, folio, eviction->slots[i], &gather);
	}
	gather_end(&gather);
}

/*
 * A page whose content need not be kept, unless it was written to since, or counts for others: then
 * this time it stays, as any other page from now on.
 */
static bool may_be_dropped(struct folio *folio)
{
	if (!folio_has(folio, FRAME_DIRTY) && !folio_has(folio, FRAME_KEEP))
		return true;
	folio_unmark(folio, FRAME_LAZYFREE);
	return false;
}

static void take_out(struct batch *batch, unsigned i)
{
	struct folio *folio = batch->folios[i];

	batch->folios[i] = batch->folios[--batch->count];
	batch->folios[batch->count] = folio;
}

/* Leaves the pages that may go, each with a slot, or to be dropped. */
static void choose(struct eviction *eviction)
{
	struct batch *batch = eviction->batch;
	uint32_t *slots = eviction->slots;

	for (unsigned i = 0; i < batch->count;) {
		struct folio *folio = batch->folios[i];
		bool lazy = folio_has(folio, FRAME_LAZYFREE);

		slots[i] = lazy ? SWAP_UNWANTED : 0;
		if (busy(folio) || (!batch->owner.rmap && !folio_slot(folio)) ||
		    (lazy && !may_be_dropped(folio)))
			take_out(batch, i);
		else
			i++;
	}
	swap_take_slots(batch->machine, batch->folios, slots, batch->count);
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
		struct folio *folio = batch->folios[i];

		/* Else somebody has come back for it, or it could not be taken from everybody. */
		if (eviction->slots[i] != SWAP_UNWANTED && !folio_mappings(folio) && !busy(folio))
			swap_write_slot(batch->machine, eviction->slots[i],
					folio_memory(batch->machine, folio));
	}
}

/* Those that were to be dropped: how many went. */
static unsigned count_dropped(const struct eviction *eviction)
{
	const struct batch *batch = eviction->batch;
	unsigned gone = 0;

	for (unsigned i = 0; i < batch->count; i++) {
		struct folio *folio = batch->folios[i];

		if (eviction->slots[i] != SWAP_UNWANTED)
			continue;
		if (!folio_mappings(folio) && !folio_slot(folio))
			gone++;
		else
			folio_unmark(folio, FRAME_LAZYFREE);
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
	       swap_drop_slots(batch->machine, batch->folios, eviction.slots, batch->count);
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
	gather_begin(&gather, &space->tables, QUIRE_NOTIFIER_CLEAR);
	for (unsigned i = 0; i < batch->count; i++)
		if (batch_place(batch->folios[i], vma, start, stop, &page))
			table_unmap(&space->tables, page, batch->folios[i], marks,
				    vma->flags & VMA_UFFD_WP, &gather);
	gather_end(&gather);
}

/* Keeps the content; *slot: what the cache is to have then, or 0.  false: it cannot be kept. */
static bool write_page(const struct batch *batch, struct folio *folio, uint64_t *slot)
{
	struct quire_machine *machine = batch->machine;
	const struct quire_object *object = batch->owner.object;
	const struct quire_object_operations *operations = object->operations;
	const void *memory = folio_memory(machine, folio);

	if (operations->write_page)
		return operations->write_page(object->context, folio_index(folio),
					      (uint64_t)1 << folio->head.order, memory) == 0;
	*slot = swap_alloc(machine);
	return *slot && swap_write_slot(machine, *slot, memory) == 0;
}

/* The page has left the tables, or will be left in peace. */
static bool replace(const struct batch *batch, struct folio *folio)
{
	bool dirty = folio_has(folio, FRAME_DIRTY), gone = false;
	uint64_t slot = 0;

	if (dirty)
		folio_unmark(folio, FRAME_DIRTY);
	/* If it is clean it can be read again, or it is a page of zeros that nobody has written to. */
	if (!folio_mappings(folio) && !busy(folio) && (!dirty || write_page(batch, folio, &slot)))
		gone = object_replace_page(batch->owner.object, folio_index(folio), folio,
					   slot ? cache_entry_of_slot(slot) : 0);
	if (!gone && dirty)
		folio_mark(folio, FRAME_DIRTY);
	if (!gone && slot)
		swap_drop(batch->machine, slot);
	return gone;
}

/* A page that is pinned leaves the tables, and stays in the cache. */
static unsigned evict_cached(struct batch *batch)
{
	unsigned gone = 0, mapped = 0;

	for (unsigned i = 0; i < batch->count;) {
		if (referenced(batch->folios[i]))
			take_out(batch, i);
		else
			mapped += folio_mappings(batch->folios[i++]) != 0;
	}
	if (mapped)
		batch_walk(batch, true, visit_unmap, batch);
	for (unsigned i = 0; i < batch->count; i++)
		gone += replace(batch, batch->folios[i]);
	return gone;
}

unsigned evict(struct batch *batch)
{
	if (batch->owner.object)
		return evict_cached(batch);
	return batch->folios[0]->head.kind == FRAME_ANON ? evict_anonymous(batch) : 0;
}
