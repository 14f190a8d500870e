/* SPDX-License-Identifier: MIT */
/*
 * mlock and munlock, and faulting memory in for those who lock it.
 *
 * First the VMAs of the range are marked, one by one, up to the first hole; then, if there was
 * none, their pages are faulted in.
 */
#include "space/vma.h"

struct locking {
	uint64_t position, end; /* still to be done */
	bool lock;
	unsigned tries;
};

static int lock_piece(struct quire_space *space, struct locking *locking, struct vma *vma,
		      uint64_t end)
{
	struct vma_change change = {
		.vma = vma,
		.start = locking->position,
		.end = end,
		.flags = locking->lock ? vma->flags | VMA_LOCKED : vma->flags & ~VMA_LOCKED,
	};
	int error;

	/* Device memory stays where it is. */
	if (change.flags == vma->flags || vma_device(vma))
		return 0;
	error = vma_change_prepare(space, &change);
	if (!error)
		vma_change_commit(space, &change);
	return error;
}

/* Lock held for writing. */
static int lock_range(struct quire_space *space, struct locking *locking)
{
	while (locking->position < locking->end) {
		struct vma *vma = vma_find(space, locking->position);
		uint64_t end;
		int error;

		if (!vma_holds(vma, locking->position))
			return -QUIRE_ENOMEM;
		end = min_u64(vma->end, locking->end);
		error = lock_piece(space, locking, vma, end);
		if (error)
			return error;
		locking->position = end;
		locking->tries = 0;
	}
	return 0;
}

static int lock_vmas(struct quire_space *space, uint64_t start, uint64_t end, bool lock)
{
	struct locking locking = {.position = start, .end = end, .lock = lock};
	int error;

	do {
		space_write_lock(space);
		error = lock_range(space, &locking);
		space_write_unlock(space);
	} while (error == -NO_FRAMES && space_reclaim(space, &locking.tries));
	return public_error(error);
}

/*
 * The next pages up to `end` that one VMA holds, and the access that faults them in for good; what
 * nothing is mapped at, and bare frames, are passed over.  Whether there are any.
 */
static bool find_run(struct quire_space *space, uint64_t *position, uint64_t end, uint64_t *stop,
		     enum quire_access *access)
{
	const struct vma *vma;
	bool found;

	space_read_lock(space);
	vma = vma_find(space, *position);
	while (vma && (vma->flags & VMA_PFNMAP))
		vma = vma_next(vma);
	found = vma && *position < end && vma->start < end;
	if (found) {
		*position = max_u64(*position, vma->start);
		*stop = min_u64(end, vma->end);
		/* What is shared is never copied. */
		*access = (vma->flags & (VMA_WRITE | VMA_SHARED)) != VMA_WRITE ? QUIRE_READ
			  : vma->flags & VMA_SHADOW_STACK		       ? QUIRE_SHADOW_STACK
									       : QUIRE_WRITE;
	}
	space_read_unlock(space);
	return found;
}

/* `further`: where a page cannot be had, the rest of what its VMA holds is passed over. */
static int populate_awake(struct quire_space *space, uint64_t *position, uint64_t end, bool further)
{
	enum quire_access access;
	uint64_t stop;
	int error = 0;

	while (!error && find_run(space, position, end, &stop, &access)) {
		error = space_populate(space, position, stop, access, FAULT_AWAKE);
		if (error && error != -QUIRE_EINPROGRESS && further) {
			*position = stop;
			error = 0;
		}
	}
	return error;
}

/* A fatal signal has come: nothing is faulted in any more. */
static bool caller_dies(const struct quire_space *space)
{
	const struct quire_thread *thread = space_caller(space);

	return thread && atomic_load(&thread->dying);
}

/*
 * Whenever the call has slept the VMAs may have changed, and it goes on by what they are then.  When
 * it is to be made again, that finishes it with `value`.
 */
static int populate(struct quire_space *space, const struct quire_call *call, uint64_t start,
		    uint64_t end, uint64_t value, bool further)
{
	uint64_t position = call_reached(space, start);
	int error;

	if (caller_dies(space))
		return 0;
	do
		error = populate_awake(space, &position, end, further);
	while (error == -QUIRE_EINPROGRESS && space_hooks(space)->sleep(space->machine));
	if (error == -QUIRE_EINPROGRESS) {
		struct quire_thread *thread = space_caller(space);

		call_block(space, call, position);
		thread->resuming = true;
		thread->error = 0;
		thread->value = value;
	}
	return error;
}

int populate_further(struct quire_space *space, const struct quire_call *call, uint64_t start,
		     uint64_t end, uint64_t value)
{
	return populate(space, call, start, end, value, true);
}

/* The pages that hold [*address, *address + length): -EINVAL, the end wraps. */
static int whole_pages(uint64_t *address, uint64_t length, uint64_t *end)
{
	uint64_t pages = page_up(length + *address % PAGE_SIZE);

	*address = page_down(*address);
	*end = *address + pages;
	return *end < *address ? -QUIRE_EINVAL : 0;
}

int quire_mlock(struct quire_space *space, uint64_t address, uint64_t length)
{
	const struct quire_call call = {QUIRE_CALL_MLOCK, space, {address, length}};
	uint64_t end;
	int error = whole_pages(&address, length, &end);

	if (error)
		return error;
	if (call_resumes(space, &call))
		space_caller(space)->resuming = false;
	else
		error = lock_vmas(space, address, end, true);
	if (error)
		return error;
	/* What mlock says of pages that cannot be had, and of memory that does not last. */
	error = populate(space, &call, address, end, 0, false);
	switch (error) {
	case -QUIRE_ENOMEM:
		return -QUIRE_EAGAIN;
	case -QUIRE_EFAULT:
	case -QUIRE_EHWPOISON:
		return -QUIRE_ENOMEM;
	default:
		return error;
	}
}

int quire_munlock(struct quire_space *space, uint64_t address, uint64_t length)
{
	uint64_t end;
	int error = whole_pages(&address, length, &end);

	return error ? error : lock_vmas(space, address, end, false);
}
