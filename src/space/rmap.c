/* SPDX-License-Identifier: MIT */
/*
 * Reverse mapping: from a page to the entries that map it.
 *
 * A page of an object is found through the VMAs that map the object, an anonymous page through the
 * VMAs of its *family*: the VMA that it was made in, what that was split into and merged with, and
 * what forks have made of these.  Both are a list, an rmap, under a short lock; in each of its VMAs
 * the page can only stand where its index says.
 *
 * A walk goes through the list with a bookmark in it: it looks whose the next VMA is, lets go of the
 * list, takes the lock of that space, and visits what comes next in the list, as far as it is of this
 * space.  So a walk takes the locks in the same order as everyone else, and the bookmark passes a VMA
 * only while nothing can change in its space.
 *
 *	list   A  B  |  C  D        A and B have been visited
 *
 * A walk owes a visit to each entry that stood when it began, wherever that is by now.  Entries come
 * to a VMA from another one (split, merge, mremap, fork), or they are new.  The former is seen to by
 * rmap_takes_over(): a VMA that takes entries over is not before the one that gives them in the list,
 * as long as anyone walks.  A walk passes by what has none of its pages without the space's lock; so
 * the taker first has the place in its bounds, then follows the giver, and then the giver loses the
 * place.  Of new ones a walk need not know: whoever makes a page unreachable first
 * (takes it out of the cache, under the object's lock) and walks then, leaves no entry of it behind.
 * So new VMAs are put in front of all bookmarks, and one that grows stays where it is.
 *
 * That bounds a walk: what has been visited comes behind the bookmark again only together with a VMA
 * of its space that is there already, next to which it then stays, and neighbours of one space are
 * visited at once.  A walk takes no more locks than there were neighbourhoods in the list when it
 * began, and children that were forked before their parent was visited.
 *
 * machine->rmap_lock is for those who know no more than a frame: its owner stays as long as they have
 * the lock, and they take a reference to it.
 */
#include "space/rmap.h"

static void put_first(struct quire_machine *machine, struct rmap *rmap, struct rmap_link *link)
{
	machine_lock(machine, &rmap->lock);
	list_insert_after(QUIRE_MISTAKE(NEW_VMA_BEHIND_WALKS) ? rmap->vmas.previous : &rmap->vmas,
			  &link->link);
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
	put_first(space->machine, rmap, link);
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

void rmap_resize_vma(struct quire_space *space, struct vma *vma, uint64_t start, uint64_t end)
{
	lock_both(space, vma);
	vma->index += (start >> PAGE_SHIFT) - (vma->start >> PAGE_SHIFT);
	vma->start = start;
	vma->end = end;
	unlock_both(space, vma);
}

/* Whether `link` comes after `other` in the list. */
static bool comes_after(const struct rmap *rmap, const struct rmap_link *link,
			const struct rmap_link *other)
{
	const struct list_link *next = other->link.next;

	if (rmap->vmas.next == &link->link) /* it is new */
		return false;
	while (next != &rmap->vmas && next != &link->link)
		next = next->next;
	return next == &link->link;
}

static void follow(struct quire_machine *machine, struct rmap *rmap, struct rmap_link *taker,
		   struct rmap_link *giver)
{
	machine_lock(machine, &rmap->lock);
	if (rmap->walks && !comes_after(rmap, taker, giver) &&
	    !QUIRE_MISTAKE(TAKER_STAYS_VISITED)) {
		list_remove(&taker->link);
		list_insert_after(&giver->link, &taker->link);
	}
	machine_unlock(machine, &rmap->lock);
}

void rmap_takes_over(struct quire_space *space, struct vma *taker, struct vma *giver)
{
	if (taker->object && taker->object == giver->object)
		follow(space->machine, &taker->object->rmap, &taker->mapping, &giver->mapping);
	if (taker->family && taker->family == giver->family)
		follow(space->machine, &taker->family->rmap, &taker->kinship, &giver->kinship);
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

/* Who maps a page stores its owner first; whoever sees the mapping must see that owner, too, and not
 * one before it, which may be gone. */
static bool mapped(const struct folio *folio)
{
	return atomic_load_explicit(&folio->head.holders, memory_order_acquire) >=
	       FRAME_ONE_MAPPING;
}

bool rmap_hold_owner(struct quire_machine *machine, struct folio *folio, struct rmap_owner *owner)
{
	*owner = (struct rmap_owner){0};
	machine_lock(machine, &machine->rmap_lock);
	if (folio_of_object(folio)) {
		struct quire_object *object = (struct quire_object *)folio_owner(folio);

		if (object && object_try_get(object))
			owner->object = object;
	} else if (folio->head.kind == FRAME_ANON && mapped(folio)) {
		/* NULL: it is about to be mapped for the first time. */
		owner->family = (struct family *)folio_owner(folio);
		if (owner->family)
			owner->family->users++;
	}
	owner->index = folio_index(folio);
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

struct walk {
	struct quire_machine *machine;
	struct rmap *rmap;
	uint64_t first, end; /* the pages */
	struct rmap_link mark;
};

static void begin(struct walk *walk)
{
	machine_lock(walk->machine, &walk->rmap->lock);
	list_insert_after(&walk->rmap->vmas, &walk->mark.link);
	walk->rmap->walks++;
	machine_unlock(walk->machine, &walk->rmap->lock);
}

/* The rmap's lock is held.  The bookmark passes `link`. */
static void pass(struct walk *walk, struct rmap_link *link)
{
	list_remove(&walk->mark.link);
	list_insert_after(&link->link, &walk->mark.link);
}

/* The rmap's lock is held: the next VMA with any of the pages, before which the bookmark then is. */
static struct rmap_link *next_link(struct walk *walk)
{
	while (walk->mark.link.next != &walk->rmap->vmas) {
		struct rmap_link *link = container_of(walk->mark.link.next, struct rmap_link, link);
		const struct vma *vma = link->vma; /* NULL: another walk's bookmark */

		if (vma && walk->first < vma->index + vma_pages(vma) && vma->index < walk->end)
			return link;
		pass(walk, link);
	}
	return NULL;
}

/* The space of the next VMA, held; NULL: there is none, and the walk has ended. */
static struct quire_space *next_space(struct walk *walk)
{
	struct quire_space *space = NULL;
	struct rmap_link *link;

	machine_lock(walk->machine, &walk->rmap->lock);
	link = next_link(walk);
	if (link) {
		space = link->space;
		space_get(space);
	} else {
		list_remove(&walk->mark.link);
		walk->rmap->walks--;
	}
	machine_unlock(walk->machine, &walk->rmap->lock);
	return space;
}

/* The space's lock is held.  The next VMA, if it is one of the space, and the bookmark passes it. */
static struct vma *next_of_space(struct walk *walk, const struct quire_space *space)
{
	struct rmap_link *link;
	struct vma *vma = NULL;

	machine_lock(walk->machine, &walk->rmap->lock);
	link = next_link(walk);
	if (link && link->space == space) {
		vma = link->vma;
		pass(walk, link);
	}
	machine_unlock(walk->machine, &walk->rmap->lock);
	return vma;
}

void rmap_walk_with(struct quire_machine *machine, struct rmap *rmap, uint64_t first, uint64_t end,
		    bool write, rmap_visit *visit, void *context)
{
	struct walk walk = {.machine = machine, .rmap = rmap, .first = first, .end = end};
	struct quire_space *space;
	struct vma *vma;

	begin(&walk);
	while ((space = next_space(&walk))) {
		if (write)
			space_write_lock(space);
		else
			space_read_lock(space);
		while ((vma = next_of_space(&walk, space))) {
			uint64_t from = max_u64(first, vma->index);
			uint64_t to = min_u64(end, vma->index + vma_pages(vma));

			visit(space, vma, vma->start + ((from - vma->index) << PAGE_SHIFT),
			      vma->start + ((to - vma->index) << PAGE_SHIFT), context);
		}
		if (write)
			space_write_unlock(space);
		else
			space_read_unlock(space);
		space_put(space);
	}
}
