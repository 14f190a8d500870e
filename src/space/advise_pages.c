/* SPDX-License-Identifier: MIT */
/*
 * madvise: the advice that is about pages.
 *
 *	dontneed         the pages go, and read as zeros from then on; guard markers stay
 *	free             the same, but not before memory is short, and not if written to meanwhile
 *	cold, pageout    the pages grow old, or leave memory
 *	guard_install    the pages go, and every access faults with SEGV
 *	guard_remove     it does not any more
 *
 * A piece is cut out at both ends before its entries are changed, for a marker may reach beyond it.
 */
#include "space/vma.h"

/* Guard markers stay where they are. */
static void zap_pages(struct quire_space *space, const struct vma *vma, uint64_t start,
		      uint64_t end, struct gather *gather)
{
	struct page_tables *tables = &space->tables;
	struct table_run run;

	if (!(vma->flags & VMA_GUARD)) {
		table_zap(tables, start, end, gather);
		return;
	}
	for (uint64_t page = start; page < end; page = run.end) {
		table_run(tables, page, end, false, &run);
		if (run.kind != QUIRE_ENTRY_GUARD)
			continue;
		if (start < page)
			table_zap(tables, start, page, gather);
		start = run.end;
	}
	if (start < end)
		table_zap(tables, start, end, gather);
}

static void install_guards(struct quire_space *space, struct vma *vma, uint64_t start, uint64_t end,
			   struct table_reserve *reserve, struct gather *gather)
{
	table_zap(&space->tables, start, end, gather);
	/* So that the markers are copied by fork, as pages are. */
	vma_prepare_anon(space, vma);
	vma_set_flags(space, vma, vma->flags | VMA_GUARD);
	table_mark(&space->tables, start, end,
		   MARK_GUARD | (QUIRE_MISTAKE(GUARD_KEEPS_PROTECTION) ? MARK_UFFD_WP : 0),
		   reserve);
}

/* Whether the advice is for this memory; private anonymous memory is all there is. */
static int check(const struct vma *vma, int advice)
{
	switch (advice) {
	case QUIRE_MADV_DONTNEED:
	case QUIRE_MADV_FREE:
	case QUIRE_MADV_COLD:
	case QUIRE_MADV_PAGEOUT:
	case QUIRE_MADV_GUARD_INSTALL:
		return vma->flags & VMA_LOCKED ? -QUIRE_EINVAL : 0;
	case QUIRE_MADV_REMOVE: /* is for files */
		return -QUIRE_EINVAL;
	case QUIRE_MADV_COLLAPSE:
		return -QUIRE_ENOSYS;
	default:
		return 0;
	}
}

static int reserve_tables(struct quire_space *space, uint64_t start, uint64_t end, int advice,
			  struct table_reserve *reserve)
{
	unsigned cost = table_cut_cost(&space->tables, start) + table_cut_cost(&space->tables, end);

	if (advice == QUIRE_MADV_GUARD_INSTALL)
		cost += table_mark_cost(start, end);
	return table_reserve(space->machine, reserve, cost);
}

static void apply(struct quire_space *space, struct vma *vma, uint64_t start, uint64_t end,
		  int advice, struct table_reserve *reserve, struct gather *gather)
{
	struct page_tables *tables = &space->tables;

	switch (advice) {
	case QUIRE_MADV_DONTNEED:
	case QUIRE_MADV_DONTNEED_LOCKED:
		zap_pages(space, vma, start, end, gather);
		break;
	case QUIRE_MADV_FREE:
		table_age(tables, start, end, TABLE_LAZYFREE, gather);
		break;
	case QUIRE_MADV_COLD:
		table_age(tables, start, end, TABLE_COLD, gather);
		break;
	case QUIRE_MADV_PAGEOUT:
		table_age(tables, start, end, TABLE_RECLAIM, gather);
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

/*
 * Whether userfaultfd lets the piece's pages go now: 0, or what the advice gives instead; *skip:
 * nothing is left to do.
 */
static int announce(struct quire_space *space, const struct vma *vma, uint64_t *start, uint64_t end,
		    bool *skip)
{
	*skip = false;
	switch (space_hooks(space)->remove(space->machine, vma, start, end)) {
	case REMOVE_DONE:
		*skip = true;
		return 0;
	case REMOVE_WAIT:
		return -QUIRE_EINPROGRESS;
	default:
		return 0;
	}
}

int advise_pages(struct quire_space *space, struct vma *vma, uint64_t start, uint64_t end,
		 int advice, struct gather *gather)
{
	struct table_reserve reserve = {0};
	int error = check(vma, advice);

	if (error || advice == QUIRE_MADV_WILLNEED)
		return error;
	if (space_hooks(space) && removes(advice)) {
		bool skip;

		error = announce(space, vma, &start, end, &skip);
		if (error || skip)
			return error;
	}
	error = reserve_tables(space, start, end, advice, &reserve);
	if (error)
		return error;
	table_cut(&space->tables, start, &reserve);
	table_cut(&space->tables, end, &reserve);
	apply(space, vma, start, end, advice, &reserve, gather);
	table_unreserve(space->machine, &reserve);
	return 0;
}
