/* SPDX-License-Identifier: MIT */
/*
 * The option strict_written: whatever changes the content of an object's page, asynchronous write
 * protection hears of it in every mapping of the page.
 *
 * On Linux protection belongs to a mapping alone: what another mapping, or the object's own
 * functions, write to a protected page is not reported as written.  With the option,
 *
 *	- who protects pages of an object takes write permission from all other mappings of them, and
 *	  the object is *watched* from then on: its pages become writable by faults only;
 *	- a fault that is about to make a page writable first releases the protection that other
 *	  mappings have on it, as an errand;
 *	- writing through the object, truncating and punching release it afterwards.
 *
 * Someone may protect the page again between a fault's errand and the moment when it installs its
 * leaf.  So protecting first counts the object's generation on and then walks the other mappings:
 * either the walk finds the leaf, or the fault finds another generation, and runs its errand again.
 * What is written before the call that protects has returned, its caller has yet to read.
 */
#include "space/rmap.h"

static bool listens(const struct vma *vma)
{
	return (vma->flags & VMA_UFFD_WP) && (vma->flags & VMA_UFFD_ASYNC);
}

static int release_piece(struct quire_space *space, const struct vma *vma, uint64_t start,
			 uint64_t stop)
{
	struct page_tables *tables = &space->tables;
	struct gather gather;
	int error = table_cut_range(tables, start, stop);

	if (error)
		return error;
	gather_begin(&gather, tables, QUIRE_NOTIFIER_PROTECT);
	table_write_release(tables, start, stop, vma_permissions(vma), &gather);
	gather_end(&gather);
	return 0;
}

static void visit_release(struct quire_space *space, struct vma *vma, uint64_t start, uint64_t stop,
			  void *context)
{
	int *error = context;

	if (listens(vma) && !*error)
		*error = release_piece(space, vma, start, stop);
}

int strict_release(struct quire_object *object, uint64_t first, uint64_t end)
{
	int error = 0;

	rmap_walk(object->machine, &object->rmap, first, end, visit_release, &error);
	return error;
}

int object_changed(struct quire_object *object, uint64_t first, uint64_t end)
{
	unsigned tries = 0;
	int error = 0;

	if (!atomic_load_explicit(&object->watched, memory_order_acquire))
		return 0;
	do
		error = strict_release(object, first, end);
	while (error && machine_reclaim(object->machine, &tries));
	return error ? -QUIRE_ENOMEM : 0;
}

static void visit_forbid(struct quire_space *space, struct vma *vma, uint64_t start, uint64_t stop,
			 void *context)
{
	struct gather gather;

	(void)context;
	if (!(vma->flags & VMA_SHARED))
		return;
	gather_begin(&gather, &space->tables, QUIRE_NOTIFIER_PROTECT);
	table_forbid_write(&space->tables, start, stop, &gather);
	gather_end(&gather);
}

/* The object that the first VMA of [*start, end) maps which listens, and its pages there; the caller
 * is a user of it.  *start: where to look further.  NULL: there is none. */
static struct quire_object *next_object(struct quire_space *space, uint64_t *start, uint64_t end,
					uint64_t *first, uint64_t *past)
{
	struct quire_object *object = NULL;
	struct vma *vma;

	space_read_lock(space);
	for (vma = vma_find(space, *start); vma && *start < end && vma->start < end && !object;
	     vma = vma_next(vma)) {
		uint64_t from = max_u64(vma->start, *start), to = min_u64(vma->end, end);

		*start = to;
		if (!vma->object || !listens(vma))
			continue;
		object = vma->object;
		quire_object_get(object);
		*first = vma_index(vma, from);
		*past = *first + ((to - from) >> PAGE_SHIFT);
	}
	space_read_unlock(space);
	return object;
}

void strict_watch(struct quire_space *space, uint64_t start, uint64_t end)
{
	struct quire_object *object;
	uint64_t first, past;

	if (!space->machine->strict_written)
		return;
	while ((object = next_object(space, &start, end, &first, &past))) {
		atomic_store_explicit(&object->watched, true, memory_order_release);
		atomic_fetch_add_explicit(&object->generation, 1, memory_order_acq_rel);
		rmap_walk(space->machine, &object->rmap, first, past, visit_forbid, NULL);
		quire_object_put(object);
	}
}
