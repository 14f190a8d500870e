/* SPDX-License-Identifier: MIT */
/*
 * Small objects on frames: VMAs, address spaces, anon roots.
 *
 * Sizes are rounded up to a power of two from 32 to 2048 bytes; each such class keeps the frames
 * that have a free object.  A frame whose objects are all free goes back to the frame allocator at
 * once, so that nothing is left when all is given back.
 */
#ifndef QUIRE_FRAME_SLAB_H
#define QUIRE_FRAME_SLAB_H

#include "frame/frame.h"

#define SLAB_CLASSES 7 /* 32, 64, ... 2048 */

struct slabs {
	struct quire_lock lock;			/* before frames.lock in the order */
	struct list_link partial[SLAB_CLASSES]; /* lock: frames with at least one free object */
};

struct quire_machine;

void slabs_init(struct quire_machine *machine);
/*
 * `size` bytes, 1 to 2048, zeroed, aligned to 16; NULL when no frame is free.  Counts as one
 * allocation for fail_nth.
 */
void *slab_alloc(struct quire_machine *machine, size_t size);
/* Gives back what slab_alloc() gave; NULL is fine. */
void slab_free(struct quire_machine *machine, void *object);

/*
 * Whether the frames with a free object are in order.  For tests and the checker; takes slabs.lock.
 */
bool slabs_valid(struct quire_machine *machine);

#endif
