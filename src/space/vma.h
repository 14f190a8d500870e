/* SPDX-License-Identifier: MIT */
/*
 * What the calls on VMAs (map.c, unmap.c, protect.c, remap.c, advise.c, lock.c) are made of.
 *
 * Every change of an address space is a unit of work in two parts.  *_prepare() looks at what
 * stands there, refuses what Linux refuses, and takes the VMAs and tables that the change needs; it
 * may fail, and then has taken nothing.  *_commit() cannot fail.  Both run under one holding of the
 * space's lock for writing.  A unit that meets -NO_FRAMES is made again from the start, after the
 * lock was released and the host has reclaimed.
 */
#ifndef QUIRE_SPACE_VMA_H
#define QUIRE_SPACE_VMA_H

#include "space/hooks.h"

/* --- vma.c --- */

/* Takes a VMA out of the tree, which does not free it. */
void vma_unlink(struct quire_space *space, struct vma *vma);
/*
 * vma_link() and vma_unlink() without the rmaps.  Where pages go over from one VMA to another, the
 * taker is in the rmap's list, with its new bounds, before the giver is not: a walk of the list
 * finds them at any moment.
 */
void vma_insert(struct quire_space *space, struct vma *vma);
void vma_remove(struct quire_space *space, struct vma *vma);
/* Moves a VMA's bounds, over addresses where nothing is mapped; its pages keep their index. */
void vma_resize(struct quire_space *space, struct vma *vma, uint64_t start, uint64_t end);
void vma_set_flags(struct quire_space *space, struct vma *vma, uint64_t flags);
/* What a VMA that is not linked yet maps, or NULL; it is one more user of it. */
static inline void vma_set_object(struct vma *vma, struct quire_object *object)
{
	vma->object = object;
	if (object)
		quire_object_get(object);
}

static inline uint64_t vma_pages(const struct vma *vma)
{
	return (vma->end - vma->start) >> PAGE_SHIFT;
}

/* --- gap.c --- */

/* Brings the gaps in front of a VMA and of the next one up to date; `vma` may be NULL. */
void gap_changed(struct quire_space *space, struct vma *vma);
/* The tree's summary. */
void gap_summarize(struct tree_node *node);
/*
 * The highest, or the lowest, address at which `length` bytes lie free inside [low, high).  Whether
 * there is one.  O(log n).
 */
bool gap_find_highest(const struct quire_space *space, uint64_t low, uint64_t high, uint64_t length,
		      uint64_t *address);
bool gap_find_lowest(const struct quire_space *space, uint64_t low, uint64_t high, uint64_t length,
		     uint64_t *address);

/* --- place.c --- */

/*
 * Where a mapping of `length` bytes, whole pages, of `object` (or NULL) from page `index` on goes by
 * mmap's rules for `address` and the QUIRE_MAP_* flags.
 *   -EINVAL  a fixed address is not page aligned
 *   -ENOMEM  it leaves the address space; or no hole is large enough
 *   -EPERM   it is below space->lowest
 *   -EEXIST  FIXED_NOREPLACE, and something is mapped there
 */
int place_mapping(const struct quire_space *space, uint64_t address, uint64_t length, int flags,
		  const struct quire_object *object, uint64_t index, uint64_t *result);
/* Whether nothing is mapped in [start, end). */
bool place_free(const struct quire_space *space, uint64_t start, uint64_t end);

/* --- merge.c --- */

/* Makes one VMA of `vma` and its neighbours, as far as they may merge; the VMA that is left. */
struct vma *vma_merge(struct quire_space *space, struct vma *vma);
/* Lets a VMA grow to `end`, over addresses where nothing is mapped, and merge with what follows. */
void vma_grow(struct quire_space *space, struct vma *vma, uint64_t end);
/*
 * Splits `vma` at `address`: `fresh`, from vma_new(), becomes the part in front of it, or behind.
 */
void vma_split_front(struct quire_space *space, struct vma *vma, uint64_t address,
		     struct vma *fresh);
void vma_split_back(struct quire_space *space, struct vma *vma, uint64_t address,
		    struct vma *fresh);

/*
 * A change of flags for a piece of a VMA.
 *
 *	AAAAAAAAA     a piece at an edge of its VMA goes to the neighbour that it now equals; else
 *	AABBBAAAA     the VMA is split, for which the new ones are prepared
 */
struct vma_change {
	struct vma *vma; /* in: holds the piece */
	uint64_t start, end, flags;
	bool registers; /* `userfault` is new too; else it stays */
	struct quire_userfault *userfault;
	struct vma *previous, *next; /* take the piece in, or NULL */
	struct vma *front, *back;    /* for what stays in front of and behind the piece, or NULL */
	struct table_reserve tables; /* for the cuts, and what else the caller adds */
};
/* 0, -NO_FRAMES, -QUIRE_ENOMEM: the space would have too many VMAs; -QUIRE_EINVAL: vma_may_split(). */
int vma_change_prepare(struct quire_space *space, struct vma_change *change);
void vma_change_abandon(struct quire_space *space, struct vma_change *change);
/* Returns the VMA that holds the piece now. */
struct vma *vma_change_commit(struct quire_space *space, struct vma_change *change);

/* The same identity as `like` for a VMA that is not linked yet; none any more for one that is. */
void vma_take_anon(struct quire_space *space, struct vma *vma, const struct vma *like);
void vma_lose_anon(struct quire_space *space, struct vma *vma);

/* --- unmap.c --- */

/* Taking everything out of [start, end). */
struct removal {
	uint64_t start, end;
	struct vma *spare; /* when a VMA is left on both sides */
	struct table_reserve tables;
};
/* As vma_change_prepare(). */
int removal_prepare(struct quire_space *space, struct removal *removal);
void removal_abandon(struct quire_space *space, struct removal *removal);
/* Takes the entries and the VMAs out. */
void removal_commit(struct quire_space *space, struct removal *removal, struct gather *gather);
/* The same in two steps, for mremap: cuts the entries at the edges; takes the VMAs out, when there
 * are no entries any more. */
void removal_cut(struct quire_space *space, struct removal *removal);
void removal_detach(struct quire_space *space, struct removal *removal);
/* All in one: as removal_prepare().  Who must hear of it comes into the chain. */
int unmap_range(struct quire_space *space, uint64_t start, uint64_t end,
		struct event_chain *events);

/* --- lock.c --- */

/*
 * After a call that is done whatever comes of it, and returns `value`: faults in [start, end) as far
 * as memory lasts and the VMAs there allow, writing where they are writable, else reading.  No lock
 * held.  0, or -QUIRE_EINPROGRESS: then `call` is made again (hooks.h).
 */
int populate_further(struct quire_space *space, const struct quire_call *call, uint64_t start,
		     uint64_t end, uint64_t value);

/* --- advise_pages.c --- */

/*
 * The advice that is about pages and not about flags, for the piece [start, end) of `vma`.  0,
 * -NO_FRAMES, or what madvise answers.
 */
int advise_pages(struct quire_space *space, struct vma *vma, uint64_t start, uint64_t end,
		 int advice, struct gather *gather);
/* Whether userfaultfd must first hear that the pages of [start, end) go: the thread waits then. */
static inline bool advise_must_wait(struct quire_space *space, const struct vma *vma,
				    uint64_t start, uint64_t end)
{
	return space_hooks(space) && space_hooks(space)->remove(space->machine, vma, start, end);
}

/* --- limits --- */

/*
 * What a private writable mapping may have is refused by its size alone, and so is each step by
 * which it grows: Linux's heuristic overcommit.
 */
static inline bool commit_refused(const struct quire_space *space, uint64_t pages)
{
	return pages > space->machine->commit_limit;
}

/* An internal error as the caller of Quire sees it. */
static inline int public_error(int error)
{
	return error == -NO_FRAMES ? -QUIRE_ENOMEM : error;
}

#endif
