/* SPDX-License-Identifier: MIT */
/*
 * Spare frames: what a thread that reclaims may still have when there are no others.
 *
 * An object's write_page may allocate: the page may be kept in another object.  If memory is full of
 * pages that only go that way, none would ever go; so some frames are kept back as soon as there is
 * an object of such a kind.  What goes then fills them up again before anyone else is served.
 */
#include "frame/machine.h"

#define SPARE_FRAMES 16

static bool reclaims(struct quire_machine *machine)
{
	return atomic_load_explicit(machine_reclaiming(machine), memory_order_relaxed);
}

void spare_keep(struct quire_machine *machine)
{
	atomic_store_explicit(&machine->spare.kept, true, memory_order_relaxed);
	spare_fill(machine);
}

void spare_fill(struct quire_machine *machine)
{
	struct spare *spare = &machine->spare;
	struct frame *frame;

	/* One who reclaims would be given them. */
	if (!atomic_load_explicit(&spare->kept, memory_order_relaxed) || reclaims(machine))
		return;
	while (atomic_load_explicit(&spare->count, memory_order_relaxed) < SPARE_FRAMES &&
	       (frame = frame_alloc_uncounted(machine))) {
		frame_set_kind(machine, frame, FRAME_RESERVED);
		machine_lock(machine, &spare->lock);
		frame->next = spare->chain;
		spare->chain = frame;
		atomic_fetch_add_explicit(&spare->count, 1, memory_order_relaxed);
		machine_unlock(machine, &spare->lock);
	}
}

struct frame *spare_take(struct quire_machine *machine)
{
	struct spare *spare = &machine->spare;
	struct frame *frame;

	if (!reclaims(machine) || QUIRE_MISTAKE(SPARE_FOR_NOBODY))
		return NULL;
	machine_lock(machine, &spare->lock);
	frame = spare->chain;
	if (frame) {
		spare->chain = frame->next;
		atomic_fetch_sub_explicit(&spare->count, 1, memory_order_relaxed);
	}
	machine_unlock(machine, &spare->lock);
	if (frame) {
		frame_set_kind(machine, frame, FRAME_HELD); /* not the machine's own any more */
		frame->kind = FRAME_FREE;
	}
	return frame;
}
