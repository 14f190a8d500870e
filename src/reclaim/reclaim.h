/* SPDX-License-Identifier: MIT */
/*
 * Taking pages out of memory.  No lock is held by the callers of anything here.
 */
#ifndef QUIRE_RECLAIM_RECLAIM_H
#define QUIRE_RECLAIM_RECLAIM_H

#include "space/rmap.h"
#include <quire/swap.h>

/*
 * Some pages that go together: of one object, or of one family of anonymous memory, so that one walk
 * visits the entries of all.  Few enough that a set of them is a word, and a space is not held for
 * long.
 */
struct batch {
	struct quire_machine *machine;
	struct folio **folios; /* with a reference of the caller's to each */
	unsigned count;
	struct rmap_owner
		owner; /* of the first one and, at another index, of the others; or none */
};

#define BATCH_PAGES RECLAIM_PAGES

/*
 * Splits off the frames at the start of [frames, frames + count) that have one owner, moving them
 * there; *batch then holds that.  batch_end() lets go of it.
 */
void batch_begin(struct batch *batch, struct quire_machine *machine, struct folio **folios,
		 unsigned count);
void batch_end(struct batch *batch);
/* Walks the entries of the batch's pages; `write`: with the spaces' locks for writing. */
void batch_walk(struct batch *batch, bool write, rmap_visit *visit, void *context);
/* Whether the page has a place in the piece that a walk visits: *address. */
bool batch_place(const struct folio *folio, const struct vma *vma, uint64_t start, uint64_t stop,
		 uint64_t *address);

/* --- evict.c --- */

/* Takes the pages out of memory, as far as it can; how many went.  The references stay. */
unsigned evict(struct batch *batch);

#endif
