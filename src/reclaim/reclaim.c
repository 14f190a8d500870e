/* SPDX-License-Identifier: MIT */
/*
 * Which pages leave memory.
 *
 * A clock with two hands, which go round over all frames, one a quarter ahead of the other.  The first
 * makes pages old; the second evicts those that are still old, and makes the others old again.  So a
 * page that is in use has the time of a quarter round to show it.  Faults have nothing to do for it,
 * and no list has to be kept; the price is that the hands also pass over frames that hold something
 * else.  They take pages by the batch, so that what is done to entries is done once for each space.
 *
 * Where there is no swap, or none is free, most pages cannot go, which their descriptors tell without
 * a lock.  When a round has met none that could, machine->evictable says so, and no fault that finds
 * no frame makes another round until there is one (machine_note_evictable()).
 *
 * Making a page old flushes nothing: a CPU that has the entry in its TLB uses the page unseen until
 * it forgets that.
 */
#include "reclaim/reclaim.h"

/* A reference to the frame, if it is a page that somebody holds. */
static bool hold_page(struct folio *folio)
{
	uint64_t holders = atomic_load_explicit(&folio->head.holders, memory_order_relaxed);

	do {
		if (!holders)
			return false;
	} while (!atomic_compare_exchange_weak_explicit(
		&folio->head.holders, &holders, holders + FRAME_ONE_REFERENCE, memory_order_acquire,
		memory_order_relaxed));
	return true;
}

/* Whether the frame, which is held, is a page that may go; without room in swap that is one which
 * need not be written there. */
static bool may_go(const struct folio *folio, bool room)
{
	switch (folio->head.kind) {
	case FRAME_ANON:
		return room || folio_slot(folio) || folio_has(folio, FRAME_LAZYFREE);
	case FRAME_SHMEM:
		return room || !folio_has(folio, FRAME_DIRTY);
	case FRAME_FILE:
		return true;
	default:
		return false;
	}
}

struct aging {
	const struct batch *batch;
	uint32_t young; /* a set of the batch's pages */
};

static void visit_age(struct quire_space *space, struct vma *vma, uint64_t start, uint64_t stop,
		      void *context)
{
	struct aging *aging = context;
	uint64_t page;

	for (unsigned i = 0; i < aging->batch->count; i++) {
		struct folio *folio = aging->batch->folios[i];

		if (batch_place(folio, vma, start, stop, &page) &&
		    !table_old(&space->tables, page, folio))
			aging->young |= (uint32_t)1 << i;
	}
}

/* Leaves the pages that have not been used since they were asked last. */
static void keep_old(struct batch *batch)
{
	struct aging aging = {.batch = batch};
	unsigned old = 0;

	batch_walk(batch, false, visit_age, &aging);
	for (unsigned i = 0; i < batch->count; i++) {
		struct folio *folio = batch->folios[i];

		if (aging.young >> i & 1)
			continue;
		batch->folios[i] = batch->folios[old];
		batch->folios[old++] = folio;
	}
	batch->count = old;
}

/* Batch by batch; uses up the references.  How many went. */
static uint64_t work_off(struct quire_machine *machine, struct folio **folios, unsigned count,
			 bool ages, bool evicts)
{
	uint64_t gone = 0;
	struct batch batch;

	for (unsigned done = 0, size; done < count; done += size) {
		batch_begin(&batch, machine, folios + done, count - done);
		size = batch.count;
		if (ages)
			keep_old(&batch);
		if (evicts && batch.count)
			gone += evict(&batch);
		batch_end(&batch);
	}
	for (unsigned i = 0; i < count; i++)
		folio_put(machine, folios[i]);
	return gone;
}

/* What one hand does as it passes the frames from `position` on. */
struct stretch {
	struct quire_machine *machine;
	uint64_t position;
	uint64_t wanted; /* how many pages to evict; 0: they are made old, no more */
	bool room;	 /* in swap */
	bool met;	 /* a page that may go */
};

static uint64_t pass(struct stretch *stretch)
{
	struct quire_machine *machine = stretch->machine;
	uint64_t most = stretch->wanted ? stretch->wanted : BATCH_PAGES;
	struct folio *folios[BATCH_PAGES];
	unsigned count = 0;

	for (unsigned i = 0; i < BATCH_PAGES && count < most; i++) {
		uint64_t position = (stretch->position + i) % machine->frames.count;
		struct folio *folio = frame_folio(&machine->frames.descriptors[position]);

		/* What it is can be asked only of one that is held. */
		if (!hold_page(folio))
			continue;
		if (may_go(folio, stretch->room))
			folios[count++] = folio;
		else
			folio_put(machine, folio);
	}
	stretch->met |= count != 0;
	return work_off(machine, folios, count, true, stretch->wanted);
}

uint64_t reclaim_frames(struct quire_machine *machine, uint64_t folios)
{
	uint64_t gone = 0, count = machine->frames.count;
	struct stretch stretch = {.machine = machine, .room = swap_has_room(machine)};

	if (!stretch.room &&
	    !atomic_exchange_explicit(&machine->evictable, false, memory_order_acq_rel))
		return 0;
	/* Twice round: what was young the first time is old the second. */
	for (uint64_t i = 0; i < 2 * count && gone < folios; i += BATCH_PAGES) {
		uint64_t hand = atomic_fetch_add_explicit(&machine->hand, BATCH_PAGES,
							  memory_order_relaxed);

		stretch.position = hand + count / 4;
		stretch.wanted = 0;
		pass(&stretch);
		stretch.position = hand;
		stretch.wanted = folios - gone;
		gone += pass(&stretch);
	}
	if (!stretch.room && stretch.met)
		machine_note_evictable(machine);
	return gone;
}

unsigned reclaim_pages(struct quire_machine *machine, struct folio **folios, unsigned count)
{
	return (unsigned)work_off(machine, folios, count, false, true);
}

uint64_t quire_reclaim(struct quire_machine *machine, uint64_t folios)
{
	return reclaim_frames(machine, folios);
}
