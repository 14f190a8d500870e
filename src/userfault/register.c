/* SPDX-License-Identifier: MIT */
/*
 * REGISTER and UNREGISTER.
 *
 * A range is registered VMA by VMA; holes in it are fine, as long as it meets one VMA.  Registering
 * again replaces the mode.  Protection that is in the tables stays there dormant while the mode
 * lacks WP, even when such memory is unregistered. Unregistering what is registered for WP drops
 * it.
 */
#include "userfault/userfault.h"

#define RANGE_IOCTLS   ((uint64_t)0x13c) /* WAKE, COPY, ZEROPAGE, MOVE, POISON */
#define WP_IOCTL       ((uint64_t)1 << 6)
#define CONTINUE_IOCTL ((uint64_t)1 << 7)

static uint64_t vma_flags_for(const struct quire_userfault *context, uint64_t mode)
{
	uint64_t flags = context_vma_flags(context);

	if (mode & QUIRE_UFFDIO_REGISTER_MODE_MISSING)
		flags |= VMA_UFFD_MISSING;
	if (mode & QUIRE_UFFDIO_REGISTER_MODE_WP)
		flags |= VMA_UFFD_WP;
	if (mode & QUIRE_UFFDIO_REGISTER_MODE_MINOR)
		flags |= VMA_UFFD_MINOR;
	return flags;
}

/*
 * Whether userfaultfd can serve the memory of `vma` in these modes (of VMA_UFFD): shared memory in
 * all, anonymous memory in all but MINOR, pages of other objects only for asynchronous protection, bare
 * frames in none.
 */
static bool can_register(const struct vma *vma, uint64_t flags)
{
	const uint64_t modes = VMA_UFFD_MISSING | VMA_UFFD_WP | VMA_UFFD_MINOR;

	if (!vma->object)
		return !(flags & VMA_UFFD_MINOR);
	if (vma->object->kind == FRAME_SHMEM)
		return true;
	return (flags & VMA_UFFD_ASYNC) && (flags & modes) == VMA_UFFD_WP &&
	       !(vma->flags & VMA_PFNMAP);
}

/* What an object's shared mapping can never do is nothing to report. */
static bool never_written(const struct vma *vma)
{
	return (vma->flags & (VMA_MAYSHARE | VMA_MAYWRITE)) == VMA_MAYSHARE;
}

/* Whether the range meets a VMA, and none that refuses. */
static int check_register(const struct quire_userfault *context, struct quire_space *space,
			  uint64_t start, uint64_t end, uint64_t flags)
{
	const struct vma *vma = vma_find(space, start);

	if (context_gone(context))
		return -QUIRE_ENOMEM;
	if (!vma || vma->start >= end)
		return -QUIRE_EINVAL;
	for (; vma && vma->start < end; vma = vma_next(vma)) {
		if (!can_register(vma, flags))
			return -QUIRE_EINVAL;
		if (never_written(vma))
			return -QUIRE_EPERM;
		if (vma->userfault && vma->userfault != context)
			return -QUIRE_EBUSY;
	}
	return 0;
}

static int check_unregister(const struct quire_userfault *context, struct quire_space *space,
			    uint64_t start, uint64_t end)
{
	const struct vma *vma = vma_find(space, start);
	uint64_t flags = context_vma_flags(context) | VMA_UFFD_WP;

	if (context_gone(context))
		return -QUIRE_ENOMEM;
	if (!vma || vma->start >= end)
		return -QUIRE_EINVAL;
	for (; vma && vma->start < end; vma = vma_next(vma))
		if ((vma->userfault && vma->userfault != context) || !can_register(vma, flags))
			return -QUIRE_EINVAL;
	return 0;
}

/*
 * Leaves that were written to while their protection lay dormant lose the write permission again.
 */
static void revive(struct quire_space *space, uint64_t start, uint64_t end)
{
	struct gather gather;

	gather_begin(&gather, &space->tables, QUIRE_NOTIFIER_PROTECT);
	table_write_revive(&space->tables, start, end, &gather);
	gather_end(&gather);
}

/* Of shared memory the next write is a fault, as if it were still registered. */
static void drop_protection(struct quire_space *space, const struct vma *vma, uint64_t start,
			    uint64_t end)
{
	struct table_permissions allow = vma_permissions(vma);
	struct gather gather;

	allow.shared = false;
	gather_begin(&gather, &space->tables, QUIRE_NOTIFIER_PROTECT);
	table_write_release(&space->tables, start, end, allow, &gather);
	gather_end(&gather);
}

/*
 * The piece's registration becomes `userfault` with `flags`.  0 or what vma_change_prepare() says.
 */
static int change_piece(struct quire_space *space, struct vma *vma, uint64_t start, uint64_t end,
			struct quire_userfault *userfault, uint64_t flags)
{
	struct vma_change change = {
		.vma = vma,
		.start = start,
		.end = end,
		.flags = (vma->flags & ~VMA_UFFD) | flags,
		.registers = true,
		.userfault = userfault,
	};
	int error;

	/*
	 * Where all that is asked for is registered already, nothing changes, also if it is more.
	 */
	if (vma->userfault == userfault && (vma->flags & flags) == flags)
		return 0;
	error = vma_change_prepare(space, &change);
	if (!error)
		vma_change_commit(space, &change);
	return error;
}

/* Registers VMA by VMA from *position on. */
static int register_range(struct quire_userfault *context, struct quire_space *space,
			  uint64_t *position, uint64_t end, uint64_t flags)
{
	while (*position < end) {
		struct vma *vma = vma_find(space, *position);
		uint64_t start, stop;
		bool dormant;
		int error;

		if (!vma || vma->start >= end)
			return 0;
		dormant = !(vma->flags & VMA_UFFD_WP);
		start = max_u64(vma->start, *position);
		stop = min_u64(vma->end, end);
		error = change_piece(space, vma, start, stop, context, flags);
		if (error)
			return error;
		if ((flags & VMA_UFFD_WP) && dormant && !QUIRE_MISTAKE(REGISTER_LEAVES_WRITABLE))
			revive(space, start, stop);
		*position = stop;
	}
	return 0;
}

int userfault_register(struct quire_userfault *context, struct quire_uffdio_register *request)
{
	const uint64_t modes = QUIRE_UFFDIO_REGISTER_MODE_MISSING | QUIRE_UFFDIO_REGISTER_MODE_WP |
			       QUIRE_UFFDIO_REGISTER_MODE_MINOR;
	uint64_t position = request->range.start, end = position + request->range.len;
	uint64_t flags = vma_flags_for(context, request->mode);
	struct quire_space *space;
	unsigned tries = 0;
	int error;

	if (!request->mode || (request->mode & ~modes))
		return -QUIRE_EINVAL;
	if (!range_valid(context, position, request->range.len))
		return -QUIRE_EINVAL;
	space = context_space(context);
	if (!space)
		return -QUIRE_ENOMEM;
	do {
		space_write_lock(space);
		error = check_register(context, space, request->range.start, end, flags);
		if (!error)
			error = register_range(context, space, &position, end, flags);
		space_write_unlock(space);
	} while (error == -NO_FRAMES && space_reclaim(space, &tries));
	context_leave(space);
	if (!error)
		request->ioctls = RANGE_IOCTLS | (flags & VMA_UFFD_WP ? WP_IOCTL : 0) |
				  (flags & VMA_UFFD_MINOR ? CONTINUE_IOCTL : 0);
	return public_error(error);
}

static int unregister_range(struct quire_userfault *context, struct quire_space *space,
			    uint64_t *position, uint64_t end)
{
	while (*position < end) {
		struct vma *vma = vma_find(space, *position);
		uint64_t start, stop, flags;
		int error;

		if (!vma || vma->start >= end)
			return 0;
		start = max_u64(vma->start, *position);
		stop = min_u64(vma->end, end);
		flags = vma->flags;
		if (vma->userfault == context) {
			error = change_piece(space, vma, start, stop, NULL, 0);
			if (error)
				return error;
			if ((flags & VMA_UFFD_WP) && !QUIRE_MISTAKE(UNREGISTER_KEEPS_PROTECTION))
				drop_protection(space, vma_find(space, start), start, stop);
			if ((flags & VMA_UFFD_MISSING) && !QUIRE_MISTAKE(UNREGISTER_WAKES_NOBODY))
				userfault_wake(context, start, stop);
		}
		*position = stop;
	}
	return 0;
}

int userfault_unregister(struct quire_userfault *context, const struct quire_uffdio_range *range)
{
	uint64_t position = range->start, end = position + range->len;
	struct quire_space *space;
	unsigned tries = 0;
	int error;

	if (!range_valid(context, position, range->len))
		return -QUIRE_EINVAL;
	space = context_space(context);
	if (!space)
		return -QUIRE_ENOMEM;
	do {
		space_write_lock(space);
		error = check_unregister(context, space, range->start, end);
		if (!error)
			error = unregister_range(context, space, &position, end);
		space_write_unlock(space);
	} while (error == -NO_FRAMES && space_reclaim(space, &tries));
	context_leave(space);
	return public_error(error);
}

void unregister_all(struct quire_userfault *context, struct quire_space *space)
{
	struct vma *vma = vma_first(space);

	assert_written(space);
	for (; vma; vma = vma_next(vma)) {
		if (vma->userfault != context)
			continue;
		if ((vma->flags & VMA_UFFD_WP) && !QUIRE_MISTAKE(CLOSE_KEEPS_PROTECTION))
			drop_protection(space, vma, vma->start, vma->end);
		vma->userfault = NULL;
		vma_set_flags(space, vma, vma->flags & ~VMA_UFFD);
		vma = vma_merge(space, vma);
	}
}
