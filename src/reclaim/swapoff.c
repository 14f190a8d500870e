/* SPDX-License-Identifier: MIT */
/*
 * swapoff: everything that is in swap comes back.
 *
 * No slot is given out any more.  Then each address space is searched for swap entries, which are
 * faulted in, and each object for pages that it has in swap, until no slot is in use.
 */
#include "reclaim/reclaim.h"

/* The first swap entry of `vma` from *address on. */
static bool find_in_vma(struct quire_space *space, const struct vma *vma, uint64_t *address)
{
	struct table_run run;

	*address = max_u64(*address, vma->start);
	for (; *address < vma->end; *address = run.end) {
		table_run(&space->tables, *address, vma->end, false, &run);
		if (run.kind == QUIRE_ENTRY_SWAP)
			return true;
	}
	return false;
}

static bool find_swap_entry(struct quire_space *space, uint64_t *address)
{
	bool found = false;

	space_read_lock(space);
	for (struct vma *vma = vma_find(space, *address); vma && !found; vma = vma_next(vma))
		found = find_in_vma(space, vma, address);
	space_read_unlock(space);
	return found;
}

static int empty_space(struct quire_space *space)
{
	uint64_t address = 0;
	int error = 0;

	while (!error && find_swap_entry(space, &address))
		error = space_swap_in(space, address);
	return error;
}

static int empty_object(struct quire_object *object)
{
	uint64_t index = 0, slot;
	int error = 0;

	while (!error && object_hold_slots(object, &index, UINT64_MAX, &slot, 1)) {
		struct folio *folio;

		swap_drop(object->machine, slot);
		error = object_make_page(object, index - 1, MAKE_BEYOND | MAKE_SWAPPED, &folio);
		if (folio)
			folio_put(object->machine, folio);
		if (error && error != -NO_FRAMES)
			error = -QUIRE_EIO;
	}
	return error;
}

static struct quire_object *next_object(struct quire_machine *machine, struct quire_object *object)
{
	struct list_link *link;
	struct quire_object *next = NULL;

	machine_lock(machine, &machine->objects_lock);
	link = object ? object->link.next : machine->objects.next;
	/* One without users is about to leave the list. */
	for (; !next && link != &machine->objects; link = link->next)
		if (object_try_get(container_of(link, struct quire_object, link)))
			next = container_of(link, struct quire_object, link);
	machine_unlock(machine, &machine->objects_lock);
	if (object)
		quire_object_put(object);
	return next;
}

static int empty_all(struct quire_machine *machine)
{
	struct quire_object *object = NULL;
	struct quire_space *space = NULL;
	int error = 0;

	while (!error && (space = space_next(machine, space)))
		error = empty_space(space);
	if (error && space)
		space_put(space);
	while (!error && (object = next_object(machine, object)))
		error = empty_object(object);
	if (error && object)
		quire_object_put(object);
	return error;
}

/* What has come back is in memory alone. */
static void forget_caches(struct quire_machine *machine)
{
	for (uint64_t i = 0; i < machine->frames.count; i++) {
		struct folio *folio = frame_folio(&machine->frames.descriptors[i]);

		if (!folio_has(folio, FRAME_WAS_CACHED))
			continue;
		folio_unmark(folio, FRAME_WAS_CACHED);
		folio_mark(folio, FRAME_DIRTY);
	}
}

/* How many slots are in use; no more are given out from now on if `closing`.  -1: no swap. */
static int64_t close_swap(struct quire_machine *machine, bool closing)
{
	struct swap *swap = &machine->swap;
	int64_t used;

	machine_lock(machine, &swap->lock);
	swap->closing = closing;
	used = swap->block ? (int64_t)swap->used : -1;
	machine_unlock(machine, &swap->lock);
	return used;
}

int quire_swapoff(struct quire_machine *machine)
{
	unsigned tries = 0;
	int64_t used;
	int error = 0;

	/*
	 * Whoever works on a page meanwhile may still bring an entry to a place that was searched; and
	 * another swapoff may end this swap, and a swapon begin the next.
	 */
	do {
		while (!error && (used = close_swap(machine, true)) > 0) {
			error = empty_all(machine);
			if (error == -NO_FRAMES && machine_reclaim(machine, &tries))
				error = 0;
		}
		if (error) {
			close_swap(machine, false);
			return error == -NO_FRAMES ? -QUIRE_ENOMEM : error;
		}
		if (used < 0)
			return -QUIRE_EINVAL;
		forget_caches(machine);
	} while (!swap_end_unused(machine));
	return 0;
}
