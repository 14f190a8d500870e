/* SPDX-License-Identifier: MIT */
/*
 * Reverse mapping: from an object to the entries that map its pages.
 *
 * An object has a list of the VMAs that map it, under a short lock.  A walk goes through the list
 * with a bookmark in it: for each VMA it notes the place, lets go of the list, takes the lock of the
 * VMA's space, and looks there again for what maps the object at that place.  So a walk takes the
 * locks in the same order as everyone else.
 *
 *	list   A  B  |  C  D        A and B have been visited
 *
 * What changes behind the walk's back goes to the end of the list, where it is met again: a new VMA,
 * the halves of one that was split, one that has grown, what was moved.  Whoever makes a page
 * unreachable first (takes it out of the cache, under the object's lock) and walks then, leaves no
 * entry of it behind.
 */
#include "space/space.h"

static void lock(struct quire_object *object)
{
	machine_lock(object->machine, &object->rmap.lock);
}

static void unlock(struct quire_object *object)
{
	machine_unlock(object->machine, &object->rmap.lock);
}

static void append(struct rmap *rmap, struct list_link *link)
{
	list_insert_after(rmap->vmas.previous, link);
}

void rmap_link_vma(struct quire_space *space, struct vma *vma)
{
	struct quire_object *object = vma->object;

	lock(object);
	vma->mapping.space = space;
	append(&object->rmap, &vma->mapping.link);
	unlock(object);
}

void rmap_unlink_vma(struct vma *vma)
{
	struct quire_object *object = vma->object;

	lock(object);
	list_remove(&vma->mapping.link);
	unlock(object);
}

void rmap_resize_vma(struct vma *vma, uint64_t start, uint64_t end)
{
	struct quire_object *object = vma->object;

	lock(object);
	if (start < vma->start || end > vma->end) {
		list_remove(&vma->mapping.link);
		append(&object->rmap, &vma->mapping.link);
	}
	vma->index += (start >> PAGE_SHIFT) - (vma->start >> PAGE_SHIFT);
	vma->start = start;
	vma->end = end;
	unlock(object);
}

/* A stretch of a space where pages of the object are mapped. */
struct place {
	struct quire_space *space;
	uint64_t start, end;
	uint64_t index; /* of the page at `start` */
};

/* Where `vma` maps pages of [first, end), if it does; rmap lock held. */
static bool find_place(const struct vma *vma, uint64_t first, uint64_t end, struct place *place)
{
	uint64_t past = vma->index + ((vma->end - vma->start) >> PAGE_SHIFT);
	uint64_t from = max_u64(first, vma->index), to = min_u64(end, past);

	if (from >= to)
		return false;
	*place = (struct place){
		.space = vma->mapping.space,
		.start = vma->start + ((from - vma->index) << PAGE_SHIFT),
		.end = vma->start + ((to - vma->index) << PAGE_SHIFT),
		.index = from,
	};
	atomic_fetch_add_explicit(&place->space->users, 1, memory_order_relaxed);
	return true;
}

/* Moves the bookmark past the next VMA that maps any of the pages; false: there is none left. */
static bool next_place(struct quire_object *object, struct rmap_link *mark, uint64_t first,
		       uint64_t end, struct place *place)
{
	bool found = false;

	lock(object);
	while (!found && mark->link.next != &object->rmap.vmas) {
		struct rmap_link *next = container_of(mark->link.next, struct rmap_link, link);

		list_remove(&mark->link);
		list_insert_after(&next->link, &mark->link);
		if (next->space)
			found = find_place(container_of(next, struct vma, mapping), first, end,
					   place);
	}
	if (!found)
		list_remove(&mark->link);
	unlock(object);
	return found;
}

void rmap_walk(struct quire_object *object, uint64_t first, uint64_t end,
	       void (*visit)(struct quire_space *space, struct vma *vma, uint64_t start,
			     uint64_t stop, void *context),
	       void *context)
{
	struct rmap_link mark = {.space = NULL};
	struct place place;

	lock(object);
	list_insert_after(&object->rmap.vmas, &mark.link);
	unlock(object);
	while (next_place(object, &mark, first, end, &place)) {
		struct vma *vma;

		space_write_lock(place.space);
		for (vma = vma_find(place.space, place.start); vma && vma->start < place.end;
		     vma = vma_next(vma)) {
			uint64_t start = max_u64(vma->start, place.start);

			if (vma->object == object && vma_index(vma, start) - place.index ==
							     (start - place.start) >> PAGE_SHIFT)
				visit(place.space, vma, start, min_u64(vma->end, place.end),
				      context);
		}
		space_write_unlock(place.space);
		space_put(place.space);
	}
}
