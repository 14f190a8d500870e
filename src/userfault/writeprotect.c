/* SPDX-License-Identifier: MIT */
/*
 * WRITEPROTECT, set and clear.
 *
 * VMA by VMA: at the first one that is not registered for write protection the call stops with
 * -ENOENT, and at one that the range begins or ends in the middle of a page of with -EINVAL, and those
 * before it stay changed; holes are passed over.  Any context of the space may do it, whoever registered the memory.
 */
#include "userfault/userfault.h"

static int protect_piece(struct quire_space *space, const struct vma *vma, uint64_t start,
			 uint64_t end)
{
	struct page_tables *tables = &space->tables;
	/* Where an object is mapped, the page may be there without being mapped. */
	bool unpopulated = vma->object || (vma->flags & VMA_UFFD_UNPOPULATED);
	struct table_reserve reserve = {0};
	struct gather gather;
	int error = table_reserve(space->machine, &reserve,
				  table_write_protect_cost(tables, start, end, unpopulated));

	if (error)
		return error;
	gather_begin(&gather, tables, QUIRE_NOTIFIER_PROTECT);
	table_write_protect(tables, start, end, unpopulated, &reserve, &gather);
	gather_end(&gather);
	table_unreserve(space->machine, &reserve);
	return 0;
}

static int release_piece(struct quire_space *space, const struct vma *vma, uint64_t start,
			 uint64_t end)
{
	struct page_tables *tables = &space->tables;
	struct gather gather;
	int error = table_cut_range(tables, start, end);

	if (error)
		return error;
	gather_begin(&gather, tables, QUIRE_NOTIFIER_PROTECT);
	table_write_release(tables, start, end, vma_permissions(vma), &gather);
	gather_end(&gather);
	return 0;
}

/* From *position on. */
static int change_range(struct quire_space *space, uint64_t *position, uint64_t end, bool protect)
{
	while (*position < end) {
		const struct vma *vma = vma_find(space, *position);
		uint64_t start, stop;
		int error;

		if (!vma || vma->start >= end)
			return 0;
		if (!(vma->flags & VMA_UFFD_WP))
			return -QUIRE_ENOENT;
		start = max_u64(vma->start, *position);
		stop = min_u64(vma->end, end);
		if (!vma_may_split(vma, start) || !vma_may_split(vma, stop))
			return -QUIRE_EINVAL;
		error = protect ? protect_piece(space, vma, start, stop)
				: release_piece(space, vma, start, stop);
		if (error)
			return error;
		*position = stop;
	}
	return 0;
}

static int check_range(struct quire_userfault *context, struct quire_space *space, uint64_t start,
		       uint64_t end)
{
	const struct vma *vma = vma_find(space, start);
	int error = context_ask_again(context);

	if (error)
		return error;
	return vma && vma->start < end ? 0 : -QUIRE_ENOENT;
}

int userfault_writeprotect(struct quire_userfault *context,
			   const struct quire_uffdio_writeprotect *request)
{
	const uint64_t wp = QUIRE_UFFDIO_WRITEPROTECT_MODE_WP;
	const uint64_t dontwake = QUIRE_UFFDIO_WRITEPROTECT_MODE_DONTWAKE;
	uint64_t position = request->range.start, end = position + request->range.len;
	bool protect = request->mode & wp;
	struct quire_space *space;
	unsigned tries = 0;
	bool valid = range_valid(context, position, request->range.len) &&
		     !(request->mode & ~(wp | dontwake)) && request->mode != (wp | dontwake);
	int error = context_enter(context, valid, false, &space);

	if (error)
		return error;
	do {
		space_write_lock(space);
		error = check_range(context, space, request->range.start, end);
		if (!error)
			error = change_range(space, &position, end, protect);
		space_write_unlock(space);
	} while (error == -NO_FRAMES && space_reclaim(space, &tries));
	if (protect)
		strict_watch(space, request->range.start, end);
	context_leave(space);
	if (!error && request->mode == 0)
		userfault_wake(context, request->range.start, end);
	return public_error(error);
}
