/* SPDX-License-Identifier: MIT */
/*
 * fork: a second address space with the same content.
 *
 * Everything that can fail comes first: the child's space, its VMAs, and as many tables as the
 * parent has, which is more than the child can need.  Then the entries are copied, and the parent's
 * CPUs forget their write permissions in one flush.
 *
 * A VMA with DONTFORK stays behind; one with WIPEONFORK comes along empty; so does one that holds no page but the zero page.
 */
#include "space/space.h"

static bool inherited(const struct vma *vma)
{
	return !(vma->flags & VMA_DONTFORK);
}

/* Entries that a fault would make again as they are stay behind: there is no page of the process's own, and no guard. */
static bool worth_copying(const struct vma *vma)
{
	return inherited(vma) && !(vma->flags & VMA_WIPEONFORK) &&
	       (vma->anon || (vma->flags & VMA_GUARD));
}

/* What the child's VMA is: the same, not locked, with the parent as forebear of its pages. */
static void inherit(struct quire_space *child, struct vma *vma, const struct vma *parent)
{
	vma->start = parent->start;
	vma->end = parent->end;
	vma->index = parent->index;
	vma->flags = parent->flags & ~VMA_LOCKED;
	if (parent->flags & VMA_WIPEONFORK)
		return;
	vma_inherit_anon(child, vma, parent);
}

static int copy_vmas(struct quire_space *parent, struct quire_space *child)
{
	for (struct vma *vma = vma_first(parent); vma; vma = vma_next(vma)) {
		struct vma *copy;

		if (!inherited(vma))
			continue;
		copy = vma_new(child);
		if (!copy)
			return -NO_FRAMES;
		inherit(child, copy, vma);
		vma_link(child, copy);
	}
	return 0;
}

static void copy_entries(struct quire_space *parent, struct quire_space *child,
			 struct table_reserve *reserve)
{
	struct gather gather;

	gather_begin(&gather, &parent->tables);
	for (struct vma *vma = vma_first(parent); vma; vma = vma_next(vma))
		if (worth_copying(vma))
			table_copy(&parent->tables, &child->tables, vma->start, vma->end, reserve,
				   &gather);
	gather_end(&gather);
}

static int fork_unit(struct quire_space *parent, struct quire_space **child)
{
	struct table_reserve reserve = {0};
	uint64_t tables = atomic_load_explicit(&parent->tables.frames, memory_order_relaxed);
	int error = -NO_FRAMES;

	*child = space_new_like(parent);
	if (!*child)
		return error;
	error = copy_vmas(parent, *child);
	if (!error)
		error = table_reserve(parent->machine, &reserve, (unsigned)tables);
	if (error) {
		quire_space_destroy(*child);
		return error;
	}
	copy_entries(parent, *child, &reserve);
	table_unreserve(parent->machine, &reserve);
	return 0;
}

int quire_fork(struct quire_space *parent, struct quire_space **child)
{
	unsigned tries = 0;
	int error;

	do {
		space_write_lock(parent);
		error = fork_unit(parent, child);
		space_write_unlock(parent);
	} while (error && space_reclaim(parent, &tries));
	if (error)
		*child = NULL;
	return error ? -QUIRE_ENOMEM : 0;
}
