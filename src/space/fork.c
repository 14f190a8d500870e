/* SPDX-License-Identifier: MIT */
/*
 * fork: a second address space with the same content.
 *
 * Everything that can fail comes first: the child's space, its VMAs, as many tables as the parent
 * has, which is more than the child can need, and frames for copies of what is pinned.  Then the
 * entries are copied, and the parent's CPUs forget their write permissions in one flush.
 *
 * A VMA with DONTFORK stays behind; one with WIPEONFORK comes along empty; so does one that holds
 * no page of the process's own.
 */
#include "space/rmap.h"
#include "space/vma.h"

static bool inherited(const struct vma *vma)
{
	return !(vma->flags & VMA_DONTFORK);
}

/*
 * Entries that a fault would make again as they are stay behind: there is no page of the process's
 * own, no guard, no protection, and no bare frame, which Linux copies.
 */
static bool worth_copying(const struct vma *vma, const struct vma *copy)
{
	return !(vma->flags & VMA_WIPEONFORK) &&
	       (vma->anon || (vma->flags & (VMA_GUARD | VMA_PFNMAP)) ||
		((copy->flags & VMA_UFFD_WP) && !QUIRE_MISTAKE(FORK_SKIPS_UNWRITTEN)));
}

/* A fork on its way. */
struct forking {
	struct quire_space *parent, *child;
	struct table_reserve tables;
	struct event_chain events;
};

/*
 * What the child's VMA is: the same, not locked, with the parent as forebear of its pages;
 * registered with a context of its own if the parent's asked to hear of forks, else not at all.
 */
static int inherit(struct forking *forking, struct vma *vma, const struct vma *parent)
{
	const struct userfault_hooks *hooks = space_hooks(forking->parent);

	vma->start = parent->start;
	vma->end = parent->end;
	vma->index = parent->index;
	vma->flags = parent->flags & ~VMA_LOCKED;
	vma_set_object(vma, parent->object);
	if (!(parent->flags & VMA_WIPEONFORK))
		vma_inherit_anon(forking->child, vma, parent);
	if (parent->userfault) {
		int error = hooks->fork(forking->child, parent, &forking->events, &vma->userfault);

		if (error)
			return error;
		if (!vma->userfault)
			vma->flags &= ~VMA_UFFD;
	}
	return 0;
}

static int copy_vmas(struct forking *forking)
{
	for (struct vma *vma = vma_first(forking->parent); vma; vma = vma_next(vma)) {
		struct vma *copy;
		int error;

		if (!inherited(vma))
			continue;
		copy = vma_new(forking->child);
		if (!copy)
			return -NO_FRAMES;
		error = inherit(forking, copy, vma);
		if (error) {
			vma_free(forking->child, copy);
			return error;
		}
		vma_link(forking->child, copy);
		rmap_takes_over(forking->child, copy, vma);
	}
	return 0;
}

/* The pages that are pinned, of which the child gets copies. */
static unsigned count_pinned(struct forking *forking)
{
	unsigned count = 0;

	if (!atomic_load_explicit(&forking->parent->machine->pins, memory_order_relaxed))
		return 0;
	for (struct vma *vma = vma_first(forking->parent); vma; vma = vma_next(vma))
		if (inherited(vma) && !(vma->flags & VMA_SHARED))
			count += table_count_pinned(&forking->parent->tables, vma->start, vma->end);
	return count;
}

static void copy_entries(struct forking *forking)
{
	struct page_tables *from = &forking->parent->tables, *to = &forking->child->tables;
	struct gather gather;

	gather_begin(&gather, from, QUIRE_NOTIFIER_PROTECT);
	for (struct vma *copy = vma_first(forking->child); copy; copy = vma_next(copy)) {
		struct vma *vma = vma_find(forking->parent, copy->start);

		if (worth_copying(vma, copy))
			table_copy(from, to, vma->start, vma->end, vma->flags & VMA_SHARED,
				   &forking->tables, &gather);
	}
	gather_end(&gather);
}

/*
 * Protection is not for a child's VMA that is not registered for it; also not what was dormant in
 * the parent.
 */
static void drop_protection(struct forking *forking)
{
	struct page_tables *tables = &forking->child->tables;
	struct gather gather;

	gather_begin(&gather, tables, QUIRE_NOTIFIER_PROTECT);
	for (struct vma *copy = vma_first(forking->child); copy; copy = vma_next(copy)) {
		struct table_permissions allow = vma_permissions(copy);

		allow.write = false; /* to begin with */
		if (!(copy->flags & VMA_UFFD_WP))
			table_write_forget(tables, copy->start, copy->end, allow, &gather);
	}
	gather_end(&gather);
}

/* What has been made of the child goes. */
static void abandon(struct forking *forking)
{
	space_write_unlock(forking->child);
	events_abandon(forking->parent, &forking->events);
	quire_space_destroy(forking->child);
}

/*
 * Lock for writing.  The child's is held too: nobody knows the child, but its VMAs are found through
 * their pages as soon as they are linked.
 */
static int fork_unit(struct forking *forking)
{
	struct quire_machine *machine = forking->parent->machine;
	uint64_t tables =
		atomic_load_explicit(&forking->parent->tables.frames, memory_order_relaxed);
	int error;

	forking->child = space_new_like(forking->parent);
	if (!forking->child)
		return -NO_FRAMES;
	space_write_lock(forking->child);
	error = copy_vmas(forking);
	if (!error)
		error = table_reserve(machine, &forking->tables,
				      (unsigned)tables + count_pinned(forking));
	if (error) {
		abandon(forking);
		return error;
	}
	copy_entries(forking);
	if (space_hooks(forking->parent) && !QUIRE_MISTAKE(FORK_KEEPS_PROTECTION))
		drop_protection(forking);
	space_write_unlock(forking->child);
	table_unreserve(machine, &forking->tables);
	return 0;
}

int quire_fork(struct quire_space *parent, struct quire_space **child)
{
	const struct quire_call call = {QUIRE_CALL_FORK, parent, {0}};
	struct forking forking = {.parent = parent};
	unsigned tries = 0;
	uint64_t none;
	void *made;
	int error;

	if (call_resumes(parent, &call)) {
		error = events_resume(parent, &call, &none, &made);
		*child = made;
		return error;
	}
	do {
		space_write_lock(parent);
		error = fork_unit(&forking);
		space_write_unlock(parent);
	} while (error && space_reclaim(parent, &tries));
	*child = error ? NULL : forking.child;
	if (error)
		return -QUIRE_ENOMEM;
	return events_tell(parent, &call, &forking.events, 0, 0, forking.child);
}
