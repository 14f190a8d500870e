/* SPDX-License-Identifier: MIT */
/*
 * Merging and splitting.
 *
 * Two neighbours become one VMA when nothing tells them apart: they touch, have the same flags,
 * their pages are numbered on from one to the other (`index`), and their anonymous pages have
 * compatible identities.
 *
 * The index of a page is its place in the object that is mapped; that of anonymous memory is its
 * address when it was first mapped.  mremap takes it along once there
 * are anonymous pages, so a VMA that has been moved merges only with what it was split from.
 *
 * The identity (`anon`) says whose pages a VMA holds; it is what a page would find its way back by.
 * The first page written to, and the first guard marker, give the VMA its identity:
 *
 *	rw  |rwx |r        a neighbour's, where both could be one VMA but for their permissions,
 *	 A  | A  |         so that they may become one again (the next one is asked before the
 *	                   previous one); else a new one
 *
 * and then
 *
 *	none, none         merge
 *	A, A               merge
 *	A, none            merge, unless A is inherited: after fork a child's VMA has pages of its
 *	                   own and pages of its forebears, which a VMA that gets its first page now
 *	                   could not know
 *	A, B               stay apart
 *
 * VMA_GUARD does not tell VMAs apart: what two have become has it if one of them had.
 */
#include "space/rmap.h"
#include "space/vma.h"

static uint64_t identity(const struct vma *vma)
{
	return atomic_load_explicit(&vma->anon, memory_order_acquire);
}

/*
 * Whether `next` goes on where `vma` ends, with the same flags but those in `whatever`; whoever
 * they are registered with.
 */
static bool goes_on(const struct vma *vma, const struct vma *next, uint64_t whatever)
{
	return vma->end == next->start && vma->object == next->object &&
	       vma->index + vma_pages(vma) == next->index &&
	       ((vma->flags ^ next->flags) & ~(whatever | VMA_GUARD | VMA_UFFD_FEATURES)) == 0;
}

static bool continues(const struct vma *vma, const struct vma *next)
{
	return vma->userfault == next->userfault && goes_on(vma, next, 0);
}

static bool identities_compatible(const struct vma *a, const struct vma *b)
{
	if (identity(a) == identity(b))
		return true;
	if (identity(a))
		return !identity(b) && !a->inherited;
	return !b->inherited;
}

/* What a driver has laid out is left as it is. */
static bool mergeable(const struct vma *vma, const struct vma *next)
{
	return continues(vma, next) && identities_compatible(vma, next) &&
	       !(vma->flags & VMA_PFNMAP);
}

/* The same pages as `other`; `vma` is not in the family's list yet. */
static void take_identity(struct quire_space *space, struct vma *vma, const struct vma *other)
{
	vma->inherited = other->inherited;
	vma->family = other->family;
	if (vma->family)
		family_get(space->machine, vma->family);
	atomic_store_explicit(&vma->anon, identity(other), memory_order_release);
}

/* `vma` gets pages of `other`, with which it is compatible. */
static void mix_in(struct quire_space *space, struct vma *vma, const struct vma *other)
{
	vma_set_flags(space, vma, vma->flags | (other->flags & VMA_GUARD));
	if (identity(vma))
		return;
	take_identity(space, vma, other);
	if (vma->family)
		vma_join_family(space, vma, vma->family);
}

/* Makes `vma` and the next VMA, with which it is compatible, one. */
static void absorb_next(struct quire_space *space, struct vma *vma)
{
	struct vma *next = vma_next(vma);
	uint64_t end = next->end;

	mix_in(space, vma, next);
	vma_remove(space, next);
	vma_resize(space, vma, vma->start, end);
	rmap_takes_over(space, vma, next);
	rmap_unlink_vma(space, next);
	vma_free(space, next);
}

/*
 * Of the neighbours, leaves those that would merge with `vma`: where both would, but not with each
 * other, the previous one.
 */
static void keep_mergeable(const struct vma *vma, struct vma **previous, struct vma **next)
{
	if (*previous && !mergeable(*previous, vma))
		*previous = NULL;
	if (*next && !mergeable(vma, *next))
		*next = NULL;
	if (*previous && *next && !identities_compatible(*previous, *next))
		*next = NULL;
}

struct vma *vma_merge(struct quire_space *space, struct vma *vma)
{
	struct vma *previous = vma_previous(vma), *next = vma_next(vma);

	keep_mergeable(vma, &previous, &next);
	if (next)
		absorb_next(space, vma);
	if (previous) {
		absorb_next(space, previous);
		vma = previous;
	}
	return vma;
}

/* Growing is not held up by inherited pages: it is this VMA that goes on. */
void vma_grow(struct quire_space *space, struct vma *vma, uint64_t end)
{
	struct vma *next = vma_next(vma);

	vma_resize(space, vma, vma->start, end);
	if (next && continues(vma, next) && (!identity(next) || identities_compatible(vma, next)))
		absorb_next(space, vma);
}

/* Copies what both parts of a split VMA have. */
static void take_after(struct quire_space *space, struct vma *fresh, const struct vma *vma)
{
	fresh->flags = vma->flags;
	fresh->userfault = vma->userfault;
	vma_set_object(fresh, vma->object);
	take_identity(space, fresh, vma);
}

void vma_split_front(struct quire_space *space, struct vma *vma, uint64_t address,
		     struct vma *fresh)
{
	take_after(space, fresh, vma);
	fresh->start = vma->start;
	fresh->end = address;
	fresh->index = vma->index;
	rmap_link_vma(space, fresh);
	rmap_takes_over(space, fresh, vma);
	vma_resize(space, vma, address, vma->end);
	vma_insert(space, fresh);
}

void vma_split_back(struct quire_space *space, struct vma *vma, uint64_t address, struct vma *fresh)
{
	take_after(space, fresh, vma);
	fresh->start = address;
	fresh->end = vma->end;
	fresh->index = vma->index + ((address - vma->start) >> PAGE_SHIFT);
	rmap_link_vma(space, fresh);
	rmap_takes_over(space, fresh, vma);
	vma_resize(space, vma, vma->start, address);
	vma_insert(space, fresh);
}

/* Which neighbours take in the piece, when it has its new flags. */
static void find_takers(struct vma_change *change)
{
	const struct vma *vma = change->vma;
	const struct vma piece = {
		.start = change->start,
		.end = change->end,
		.index = vma_index(vma, change->start),
		.flags = change->flags,
		.userfault = change->userfault,
		.object = vma->object,
		.anon = identity(vma),
		.inherited = vma->inherited,
	};

	change->previous = vma_previous(vma);
	change->next = vma_next(vma);
	keep_mergeable(&piece, &change->previous, &change->next);
}

static int reserve_splits(struct quire_space *space, struct vma_change *change, bool front,
			  bool back)
{
	if (space->vma_count + front + back > space->machine->max_maps)
		return -QUIRE_ENOMEM;
	if (front)
		change->front = vma_new(space);
	if (back)
		change->back = vma_new(space);
	return (front && !change->front) || (back && !change->back) ? -NO_FRAMES : 0;
}

int vma_change_prepare(struct quire_space *space, struct vma_change *change)
{
	unsigned cuts = table_edges_cost(&space->tables, change->start, change->end, EDGES_CUT);
	int error;

	assert_written(space);
	if (!change->registers)
		change->userfault = change->vma->userfault;
	find_takers(change);
	if ((!vma_may_split(change->vma, change->start) ||
	     !vma_may_split(change->vma, change->end)) &&
	    !(QUIRE_MISTAKE(NEIGHBOUR_TAKES_PART) && change->previous))
		return -QUIRE_EINVAL;
	error = reserve_splits(space, change, change->start > change->vma->start && !change->next,
			       change->end < change->vma->end && !change->previous);
	if (!error)
		error = table_reserve(space->machine, &change->tables, cuts);
	if (error)
		vma_change_abandon(space, change);
	return error;
}

void vma_change_abandon(struct quire_space *space, struct vma_change *change)
{
	if (change->front)
		vma_free(space, change->front);
	if (change->back)
		vma_free(space, change->back);
	table_unreserve(space->machine, &change->tables);
	change->front = change->back = NULL;
}

/* The piece at the start of a VMA goes over to the previous one. */
static struct vma *give_to_previous(struct quire_space *space, struct vma_change *change)
{
	mix_in(space, change->previous, change->vma);
	vma_resize(space, change->previous, change->previous->start, change->end);
	rmap_takes_over(space, change->previous, change->vma);
	vma_resize(space, change->vma, change->end, change->vma->end);
	return change->previous;
}

static struct vma *give_to_next(struct quire_space *space, struct vma_change *change)
{
	mix_in(space, change->next, change->vma);
	vma_resize(space, change->next, change->start, change->next->end);
	rmap_takes_over(space, change->next, change->vma);
	vma_resize(space, change->vma, change->vma->start, change->start);
	return change->next;
}

struct vma *vma_change_commit(struct quire_space *space, struct vma_change *change)
{
	struct vma *vma = change->vma;

	table_cut_edges(&space->tables, change->start, change->end, &change->tables);
	table_unreserve(space->machine, &change->tables);
	if (change->previous && change->end < vma->end)
		return give_to_previous(space, change);
	if (change->next && change->start > vma->start)
		return give_to_next(space, change);
	if (change->front)
		vma_split_front(space, vma, change->start, change->front);
	if (change->back)
		vma_split_back(space, vma, change->end, change->back);
	vma_set_flags(space, vma, change->flags);
	vma->userfault = change->userfault;
	return vma_merge(space, vma);
}

static bool lends_identity(const struct vma *neighbour, bool touches)
{
	return touches && identity(neighbour) && !neighbour->inherited;
}

/* The neighbour that `vma` would share its identity with, or NULL. */
static const struct vma *lender(const struct vma *vma)
{
	const struct vma *next = vma_next(vma), *previous = vma_previous(vma);

	if (next && lends_identity(next, goes_on(vma, next, VMA_ACCESS)))
		return next;
	if (previous && lends_identity(previous, goes_on(previous, vma, VMA_ACCESS)))
		return previous;
	return NULL;
}

/* Faults run side by side: the first one decides. */
int vma_prepare_anon(struct quire_space *space, struct vma *vma)
{
	struct quire_machine *machine = space->machine;
	struct family *family;
	const struct vma *like;

	if (identity(vma))
		return 0;
	family = family_new(machine);
	if (!family)
		return -NO_FRAMES;
	machine_lock(machine, &space->anon_lock);
	like = lender(vma);
	if (identity(vma)) {
		like = NULL;
	} else if (like) {
		vma->family = like->family;
		family_get(machine, vma->family);
		vma_join_family(space, vma, vma->family);
		atomic_store_explicit(&vma->anon, identity(like), memory_order_release);
	} else {
		vma_join_family(space, vma, family);
		family = NULL;
		atomic_store_explicit(&vma->anon, ++space->last_anon, memory_order_release);
	}
	machine_unlock(machine, &space->anon_lock);
	if (family)
		family_put(machine, family);
	return 0;
}

void vma_inherit_anon(struct quire_space *child, struct vma *vma, const struct vma *parent)
{
	if (!identity(parent))
		return;
	take_identity(child, vma, parent);
	atomic_store_explicit(&vma->anon, ++child->last_anon, memory_order_relaxed);
	vma->inherited = true;
}

void vma_take_anon(struct quire_space *space, struct vma *vma, const struct vma *like)
{
	take_identity(space, vma, like);
}

void vma_lose_anon(struct quire_space *space, struct vma *vma)
{
	vma_leave_family(space, vma);
	atomic_store_explicit(&vma->anon, 0, memory_order_relaxed);
	vma->inherited = false;
}
