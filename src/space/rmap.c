/* SPDX-License-Identifier: MIT */
/*
 * Reverse mapping: from a page to the entries that map it.
 *
 * A page of an object is found through the VMAs that map the object, an anonymous page through the
 * VMAs of its *family*: the VMA that it was made in, what that was split into and merged with, and
 * what forks have made of these.  Both are a list, an rmap, under a short lock; in each of its VMAs
 * the page can only stand where its index says.
 *
 * A walk goes through the list with a bookmark in it: for each VMA it notes the place, lets go of the
 * list, takes the lock of the VMA's space, and looks there again for what belongs to the rmap at that
 * place.  So a walk takes the locks in the same order as everyone else.
 *
 *	list   A  B  |  C  D        A and B have been visited
 *
 * What changes behind the walk's back goes to the end of the list, where it is met again: a new VMA,
 * the halves of one that was split, one that has grown, what was moved.  And a place is never out of
 * the list: what is to have it is linked, or grows, before what had it goes.  Whoever makes a page
 * unreachable first (takes it out of the cache, under the object's lock) and walks then, leaves no
 * entry of it behind.
 *
 * machine->rmap_lock is for those who know no more than a frame: its owner stays as long as they have
 * the lock, and they become a user of it.
 */
#include "space/rmap.h"

static void append(struct quire_machine *machine, struct rmap *rmap, struct rmap_link *link)
{
	machine_lock(machine, &rmap->lock);
	list_insert_after(rmap->vmas.previous, &link->link);
	machine_unlock(machine, &rmap->lock);
}

static void take_out(struct quire_machine *machine, struct rmap *rmap, struct rmap_link *link)
{
	machine_lock(machine, &rmap->lock);
	list_remove(&link->link);
	machine_unlock(machine, &rmap->lock);
}

static void join(struct rmap *rmap, struct rmap_link *link, struct quire_space *space,
		 struct vma *vma)
{
	link->space = space;
	link->vma = vma;
	append(space->machine, rmap, link);
}

void rmap_link_vma(struct quire_space *space, struct vma *vma)
{
	if (vma->object)
		join(&vma->object->rmap, &vma->mapping, space, vma);
	if (vma->family)
		join(&vma->family->rmap, &vma->kinship, space, vma);
}

void rmap_unlink_vma(struct quire_space *space, struct vma *vma)
{
	if (vma->object)
		take_out(space->machine, &vma->object->rmap, &vma->mapping);
	if (vma->family)
		take_out(space->machine, &vma->family->rmap, &vma->kinship);
}

static void lock_both(struct quire_space *space, struct vma *vma)
{
	if (vma->object)
		machine_lock(space->machine, &vma->object->rmap.lock);
	if (vma->family)
		machine_lock(space->machine, &vma->family->rmap.lock);
}

static void unlock_both(struct quire_space *space, struct vma *vma)
{
	if (vma->family)
		machine_unlock(space->machine, &vma->family->rmap.lock);
	if (vma->object)
		machine_unlock(space->machine, &vma->object->rmap.lock);
}

static void to_the_end(struct rmap *rmap, struct rmap_link *link)
{
	list_remove(&link->link);
	list_insert_after(rmap->vmas.previous, &link->link);
}

void rmap_resize_vma(struct quire_space *space, struct vma *vma, uint64_t start, uint64_t end)
{
	bool grows = start < vma->start || end > vma->end;

	lock_both(space, vma);
	if (grows && vma->object)
		to_the_end(&vma->object->rmap, &vma->mapping);
	if (grows && vma->family)
		to_the_end(&vma->family->rmap, &vma->kinship);
	vma->index += (start >> PAGE_SHIFT) - (vma->start >> PAGE_SHIFT);
	vma->start = start;
	vma->end = end;
	unlock_both(space, vma);
}

/* --- families --- */

struct family *family_new(struct quire_machine *machine)
{
	struct family *family = slab_alloc(machine, sizeof(*family));

	if (family) {
		list_init(&family->rmap.vmas);
		family->users = 1;
	}
	return family;
}

void family_put(struct quire_machine *machine, struct family *family)
{
	bool last;

	machine_lock(machine, &machine->rmap_lock);
	last = --family->users == 0;
	machine_unlock(machine, &machine->rmap_lock);
	if (last)
		slab_free(machine, family);
}

void family_get(struct quire_machine *machine, struct family *family)
{
	machine_lock(machine, &machine->rmap_lock);
	family->users++;
	machine_unlock(machine, &machine->rmap_lock);
}

void vma_join_family(struct quire_space *space, struct vma *vma, struct family *family)
{
	vma->family = family;
	join(&family->rmap, &vma->kinship, space, vma);
}

void vma_leave_family(struct quire_space *space, struct vma *vma)
{
	if (!vma->family)
		return;
	take_out(space->machine, &vma->family->rmap, &vma->kinship);
	family_put(space->machine, vma->family);
	vma->family = NULL;
}

/* --- owners --- */

bool rmap_hold_owner(struct quire_machine *machine, struct frame *frame, struct rmap_owner *owner)
{
	*owner = (struct rmap_owner){0};
	machine_lock(machine, &machine->rmap_lock);
	if (frame_of_object(frame)) {
		struct quire_object *object = (struct quire_object *)atomic_load_explicit(
			&frame->folio.owner, memory_order_acquire);

		if (object && object_try_get(object))
			owner->object = object;
	} else if (frame->kind == FRAME_ANON && frame_mappings(frame)) {
		/* NULL: it is about to be mapped for the first time. */
		owner->family = (struct family *)atomic_load_explicit(&frame->folio.owner,
								      memory_order_acquire);
		if (owner->family)
			owner->family->users++;
	}
	owner->index = frame_index(frame);
	machine_unlock(machine, &machine->rmap_lock);
	if (owner->object)
		owner->rmap = &owner->object->rmap;
	else if (owner->family)
		owner->rmap = &owner->family->rmap;
	return owner->rmap;
}

void rmap_drop_owner(struct quire_machine *machine, struct rmap_owner *owner)
{
	if (owner->object)
		quire_object_put(owner->object);
	if (owner->family)
		family_put(machine, owner->family);
	*owner = (struct rmap_owner){0};
}

/* --- walks --- */

/* A stretch of a space where pages of the rmap may stand. */
struct place {
	struct quire_space *space;
	uint64_t start, end;
	uint64_t index; /* of the page at `start` */
};

/* Where `vma` has pages [first, end), if it does; the rmap's lock is held. */
static bool find_place(const struct rmap_link *link, uint64_t first, uint64_t end,
		       struct place *place)
{
	const struct vma *vma = link->vma;
	uint64_t past = vma->index + ((vma->end - vma->start) >> PAGE_SHIFT);
	uint64_t from = max_u64(first, vma->index), to = min_u64(end, past);

	if (from >= to)
		return false;
	*place = (struct place){
		.space = link->space,
		.start = vma->start + ((from - vma->index) << PAGE_SHIFT),
		.end = vma->start + ((to - vma->index) << PAGE_SHIFT),
		.index = from,
	};
	space_get(place->space);
	return true;
}

/* Moves the bookmark past the next VMA that has any of the pages; false: there is none left. */
static bool next_place(struct quire_machine *machine, struct rmap *rmap, struct rmap_link *mark,
		       uint64_t first, uint64_t end, struct place *place)
{
	bool found = false;

	machine_lock(machine, &rmap->lock);
	while (!found && mark->link.next != &rmap->vmas) {
		struct rmap_link *next = container_of(mark->link.next, struct rmap_link, link);

		list_remove(&mark->link);
		list_insert_after(&next->link, &mark->link);
		found = next->vma && find_place(next, first, end, place);
	}
	if (!found)
		list_remove(&mark->link);
	machine_unlock(machine, &rmap->lock);
	return found;
}

static bool belongs(const struct vma *vma, const struct rmap *rmap)
{
	return (vma->object && &vma->object->rmap == rmap) ||
	       (vma->family && &vma->family->rmap == rmap);
}

static void visit_place(const struct place *place, const struct rmap *rmap, rmap_visit *visit,
			void *context)
{
	for (struct vma *vma = vma_find(place->space, place->start); vma && vma->start < place->end;
	     vma = vma_next(vma)) {
		uint64_t start = max_u64(vma->start, place->start);

		if (belongs(vma, rmap) &&
		    vma_index(vma, start) - place->index == (start - place->start) >> PAGE_SHIFT)
			visit(place->space, vma, start, min_u64(vma->end, place->end), context);
	}
}

void rmap_walk(struct quire_machine *machine, struct rmap *rmap, uint64_t first, uint64_t end,
	       rmap_visit *visit, void *context)
{
	struct rmap_link mark = {.vma = NULL};
	struct place place;

	machine_lock(machine, &rmap->lock);
	list_insert_after(&rmap->vmas, &mark.link);
	machine_unlock(machine, &rmap->lock);
	while (next_place(machine, rmap, &mark, first, end, &place)) {
		space_write_lock(place.space);
		visit_place(&place, rmap, visit, context);
		space_write_unlock(place.space);
		space_put(place.space);
	}
}
