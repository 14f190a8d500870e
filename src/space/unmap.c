/* SPDX-License-Identifier: MIT */
/*
 * munmap, and taking a range out for mmap and mremap.
 *
 *	 [start, end)   ......xxxxxxxxxxxxxx......
 *	                AAAAAAAAA  BBBB  CCCCCCCCC      A and C are shortened, B goes
 *	                AAAAAAAAAAAAAAAAAAAAAAAAAA      A is split: the one case that needs a new VMA
 */
#include "space/vma.h"

static bool splits(const struct vma *vma, const struct removal *removal)
{
	return vma && vma->start < removal->start && removal->end < vma->end;
}

int removal_prepare(struct quire_space *space, struct removal *removal)
{
	struct vma *first = vma_find(space, removal->start);
	unsigned cuts = table_edges_cost(&space->tables, removal->start, removal->end, EDGES_CUT);

	assert_written(space);
	if (!vma_may_split(first, removal->start) ||
	    !vma_may_split(vma_find(space, removal->end), removal->end))
		return -QUIRE_EINVAL;
	if (splits(first, removal)) {
		if (space->vma_count >= space->machine->max_maps)
			return -QUIRE_ENOMEM;
		removal->spare = vma_new(space);
		if (!removal->spare)
			return -NO_FRAMES;
	}
	if (table_reserve(space->machine, &removal->tables, cuts) == 0)
		return 0;
	removal_abandon(space, removal);
	return -NO_FRAMES;
}

void removal_abandon(struct quire_space *space, struct removal *removal)
{
	if (removal->spare)
		vma_free(space, removal->spare);
	removal->spare = NULL;
	table_unreserve(space->machine, &removal->tables);
}

void removal_cut(struct quire_space *space, struct removal *removal)
{
	table_cut_edges(&space->tables, removal->start, removal->end, &removal->tables);
	table_unreserve(space->machine, &removal->tables);
}

/* The first VMA of the range, which begins in it after this; NULL: none. */
static struct vma *trim_first(struct quire_space *space, struct removal *removal)
{
	struct vma *vma = vma_find(space, removal->start);

	if (vma && vma->start < removal->start) {
		if (splits(vma, removal)) {
			vma_split_back(space, vma, removal->end, removal->spare);
			removal->spare = NULL;
		}
		vma_resize(space, vma, vma->start, removal->start);
		vma = vma_next(vma);
	}
	return vma && vma->start < removal->end ? vma : NULL;
}

void removal_detach(struct quire_space *space, struct removal *removal)
{
	struct vma *vma = trim_first(space, removal);

	while (vma && vma->end <= removal->end) {
		struct vma *next = vma_next(vma);

		vma_unlink(space, vma);
		vma_free(space, vma);
		vma = next;
	}
	if (vma && vma->start < removal->end)
		vma_resize(space, vma, removal->end, vma->end);
	removal_abandon(space, removal);
}

void removal_commit(struct quire_space *space, struct removal *removal, struct gather *gather)
{
	removal_cut(space, removal);
	table_zap(&space->tables, removal->start, removal->end, ZAP_ALL, gather);
	removal_detach(space, removal);
}

int unmap_range(struct quire_space *space, uint64_t start, uint64_t end, struct event_chain *events)
{
	struct removal removal = {.start = start, .end = end};
	struct gather gather;
	int error = events_unmap(space, start, end, events);

	if (!error)
		error = removal_prepare(space, &removal);
	if (error) {
		events_abandon(space, events);
		return error;
	}
	gather_begin(&gather, &space->tables, QUIRE_NOTIFIER_UNMAP);
	removal_commit(space, &removal, &gather);
	gather_end(&gather);
	return 0;
}

int quire_munmap(struct quire_space *space, uint64_t address, uint64_t length)
{
	struct event_chain events = {0};
	const struct quire_call call = {QUIRE_CALL_MUNMAP, space, {address, length}};
	uint64_t pages = page_up(length), none;
	unsigned tries = 0;
	void *nothing;
	int error;

	if (call_resumes(space, &call))
		return events_resume(space, &call, &none, &nothing);
	/* A length that wraps becomes 0. */
	if (!page_aligned(address) || pages == 0 || !space_holds(space, address, pages))
		return -QUIRE_EINVAL;
	do {
		space_write_lock(space);
		error = unmap_range(space, address, address + pages, &events);
		space_write_unlock(space);
	} while (error == -NO_FRAMES && space_reclaim(space, &tries));
	return events_tell(space, &call, &events, public_error(error), 0, NULL);
}
