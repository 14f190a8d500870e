/* SPDX-License-Identifier: MIT */
/*
 * madvise: the advice that is about pages.
 *
 *	dontneed         the pages go, and read as zeros, or as the object has them, from then on; guard
 *	                 markers stay, and where an object is mapped also protection
 *	free             the same, but not before memory is short, and not if written to meanwhile
 *	cold             the pages grow old
 *	guard_install    the pages go, and every access faults with SEGV
 *	guard_remove     it does not any more
 *
 * A piece is cut out at both ends before its entries are changed, for a marker may reach beyond it.
 */
#include "space/vma.h"

/* The first piece of [*start, end) that has no guard marker, [*start, *stop); false: none. */
static bool next_unguarded(struct quire_space *space, const struct vma *vma, uint64_t *start,
			   uint64_t *stop, uint64_t end)
{
	struct table_run run;

	if (!(vma->flags & VMA_GUARD)) {
		*stop = end;
		return *start < end;
	}
	for (*stop = *start; *stop < end; *stop = run.end) {
		table_run(&space->tables, *stop, end, false, &run);
		if (run.kind != QUIRE_ENTRY_GUARD)
			continue;
		if (*start < *stop)
			return true;
		*start = run.end;
	}
	return *start < end;
}

/* Where a guard marker stands it stays, with what it is protected by. */
static void install_guards(struct quire_space *space, struct vma *vma, uint64_t start, uint64_t end,
			   struct table_reserve *reserve, struct gather *gather)
{
	for (uint64_t stop; next_unguarded(space, vma, &start, &stop, end); start = stop) {
		table_zap(&space->tables, start, stop, ZAP_ALL, gather);
		table_mark(&space->tables, start, stop,
			   MARK_GUARD | (QUIRE_MISTAKE(GUARD_KEEPS_PROTECTION) ? MARK_UFFD_WP : 0),
			   reserve);
	}
	vma_set_flags(space, vma, vma->flags | VMA_GUARD);
}

/* Whether the advice is for this memory. */
static int check(const struct vma *vma, int advice)
{
	bool unknown = advice == QUIRE_MADV_COLLAPSE || advice == QUIRE_MADV_GUARD_INSTALL ||
		       advice == QUIRE_MADV_GUARD_REMOVE;

	if ((vma->flags & VMA_PFNMAP) || (vma_device(vma) && unknown))
		return -QUIRE_EINVAL;
	switch (advice) {
	case QUIRE_MADV_DONTNEED:
	case QUIRE_MADV_FREE:
	case QUIRE_MADV_COLD:
	case QUIRE_MADV_GUARD_INSTALL:
		return vma->flags & VMA_LOCKED ? -QUIRE_EINVAL : 0;
	case QUIRE_MADV_COLLAPSE:
		return -QUIRE_ENOSYS;
	default:
		return 0;
	}
}

static int reserve_tables(struct quire_space *space, uint64_t start, uint64_t end, int advice,
			  struct table_reserve *reserve)
{
	unsigned cost = table_edges_cost(&space->tables, start, end, EDGES_CUT);

	if (advice == QUIRE_MADV_GUARD_INSTALL)
		cost += table_mark_cost(start, end);
	return table_reserve(space->machine, reserve, cost);
}

/* Protection stays where the page may come back as it was. */
static unsigned dontneed_keeps(const struct quire_space *space, const struct vma *vma)
{
	bool comes_back =
		vma->object && (vma->flags & VMA_SHARED || !space->machine->strict_written ||
				!(vma->flags & VMA_UFFD_ASYNC));

	return ZAP_KEEP_GUARDS | (comes_back ? ZAP_KEEP_PROTECTION : 0);
}

static void apply(struct quire_space *space, struct vma *vma, uint64_t start, uint64_t end,
		  int advice, struct table_reserve *reserve, struct gather *gather)
{
	struct page_tables *tables = &space->tables;

	switch (advice) {
	case QUIRE_MADV_DONTNEED:
	case QUIRE_MADV_DONTNEED_LOCKED:
		table_zap(tables, start, end, dontneed_keeps(space, vma) | zap_dormant(vma),
			  gather);
		break;
	case QUIRE_MADV_FREE:
		table_age(tables, start, end, TABLE_LAZYFREE, gather);
		break;
	case QUIRE_MADV_COLD:
		table_age(tables, start, end, TABLE_COLD, gather);
		break;
	case QUIRE_MADV_GUARD_INSTALL:
		install_guards(space, vma, start, end, reserve, gather);
		break;
	case QUIRE_MADV_GUARD_REMOVE:
		table_unguard(tables, start, end, gather);
		break;
	}
}

static bool removes(int advice)
{
	return advice == QUIRE_MADV_DONTNEED || advice == QUIRE_MADV_DONTNEED_LOCKED ||
	       advice == QUIRE_MADV_FREE;
}

int advise_pages(struct quire_space *space, struct vma *vma, uint64_t start, uint64_t end,
		 int advice, struct gather *gather)
{
	struct table_reserve reserve = {0};
	int error = check(vma, advice);

	if (error)
		return error;
	if (removes(advice) && advise_must_wait(space, vma, start, end))
		return -QUIRE_EINPROGRESS;
	/* Only now, as on Linux. */
	if (advice == QUIRE_MADV_FREE && vma->object)
		return -QUIRE_EINVAL;
	if (advice == QUIRE_MADV_COLD && vma_bare(vma))
		return 0;
	/* Of a page of its own size that is named in part all goes. */
	if (removes(advice))
		vma_whole_pages(vma, &start, &end);
	error = reserve_tables(space, start, end, advice, &reserve);
	/* Anonymous memory gets its identity, as on Linux. */
	if (!error && advice == QUIRE_MADV_GUARD_INSTALL && !vma->object)
		error = vma_prepare_anon(space, vma);
	if (error) {
		table_unreserve(space->machine, &reserve);
		return error;
	}
	table_cut_edges(&space->tables, start, end, &reserve);
	apply(space, vma, start, end, advice, &reserve, gather);
	table_unreserve(space->machine, &reserve);
	return 0;
}
