/* SPDX-License-Identifier: MIT */
/*
 * Reverse mapping: see rmap.c.
 */
#ifndef QUIRE_SPACE_RMAP_H
#define QUIRE_SPACE_RMAP_H

#include "space/vma.h"

/* The VMAs that may have an anonymous page, what Linux has an anon_vma for: see rmap.c. */
struct family {
	struct rmap rmap;
	uint64_t users; /* machine->rmap_lock: references, of its VMAs and of walks */
};

/* One user, the caller; NULL: no frames. */
struct family *family_new(struct quire_machine *machine);
void family_get(struct quire_machine *machine, struct family *family);
void family_put(struct quire_machine *machine, struct family *family);
/* Links the VMA, which is in its space's tree, into the family, and takes over the caller's reference;
 * or takes it out. */
void vma_join_family(struct quire_space *space, struct vma *vma, struct family *family);
void vma_leave_family(struct quire_space *space, struct vma *vma);

/* The VMA begins or ends to map what it maps, as it enters and leaves the tree. */
void rmap_link_vma(struct quire_space *space, struct vma *vma);
void rmap_unlink_vma(struct quire_space *space, struct vma *vma);
/* Moves the bounds of a VMA in the tree; its pages keep their index. */
void rmap_resize_vma(struct quire_space *space, struct vma *vma, uint64_t start, uint64_t end);
/*
 * `taker` is to have entries that `giver` has, of the same space or, by a fork, of the parent's; both
 * are linked, and have their place in their bounds.  A walk that has yet to visit the giver will visit
 * the taker.  The locks of both spaces are held for writing until the entries are where they belong.
 */
void rmap_takes_over(struct quire_space *space, struct vma *taker, struct vma *giver);

/* What leads to a frame's entries. */
struct rmap_owner {
	struct quire_object *object; /* or */
	struct family *family;
	struct rmap *rmap; /* of either */
	uint64_t index;
};
/*
 * Finds the owner of a frame that the caller holds, and takes a reference to it.  false: the page is
 * mapped nowhere and in no cache.
 */
bool rmap_hold_owner(struct quire_machine *machine, struct folio *folio, struct rmap_owner *owner);
void rmap_drop_owner(struct quire_machine *machine, struct rmap_owner *owner);

/*
 * Calls `visit` for each piece of a VMA that has pages [first, end) of the rmap, with its space's
 * lock held (`write`: for writing); several of one space may be visited under one holding.  No lock is held
 * between.  Each entry that stood when the walk began is visited, wherever it has gone, or a copy of it
 * (rmap.c).  The caller has a reference to what the rmap belongs to.
 */
typedef void rmap_visit(struct quire_space *space, struct vma *vma, uint64_t start, uint64_t stop,
			void *context);
void rmap_walk_with(struct quire_machine *machine, struct rmap *rmap, uint64_t first, uint64_t end,
		    bool write, rmap_visit *visit, void *context);
static inline void rmap_walk(struct quire_machine *machine, struct rmap *rmap, uint64_t first,
			     uint64_t end, rmap_visit *visit, void *context)
{
	rmap_walk_with(machine, rmap, first, end, true, visit, context);
}
/* The same for the page that the owner is of. */
static inline void rmap_walk_page(struct quire_machine *machine, const struct rmap_owner *owner,
				  rmap_visit *visit, void *context)
{
	rmap_walk(machine, owner->rmap, owner->index, owner->index + 1, visit, context);
}

/* An anonymous page that nobody else knows yet, or whose entry is locked, is now a page of `vma` at
 * `address`. */
static inline void rmap_set_owner(struct folio *folio, const struct vma *vma, uint64_t address)
{
	folio_set_owner(folio, vma->family, vma_index(vma, address));
}

/* --- truncate.c, revoke.c --- */

/* What mappings keep when pages of an object are cut off, and when a hole is punched. */
#define TRUNCATE_KEEPS (ZAP_KEEP_PROTECTION | ZAP_KEEP_GUARDS)
#define PUNCH_KEEPS    (TRUNCATE_KEEPS | ZAP_KEEP_POISON | ZAP_KEEP_PRIVATE)
/* Takes pages [first, end) out of every mapping of the object. */
void rmap_zap(struct quire_object *object, uint64_t first, uint64_t end, unsigned keep);
/* quire_object_truncate() and _punch(), of [start, end), for FSDAX. */
int device_truncate(struct quire_object *object, uint64_t size);
int device_punch(struct quire_object *object, uint64_t start, uint64_t end);

#endif
