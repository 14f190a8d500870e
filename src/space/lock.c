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

	if (change.flags == vma->flags)
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

/* The access that faults a page of `vma` in for good: what is shared is never copied. */
static enum quire_access strongest_access(const struct vma *vma)
{
	if ((vma->flags & (VMA_WRITE | VMA_SHARED)) == VMA_WRITE)
		return QUIRE_WRITE;
	return QUIRE_READ;
}

/* How far the VMA at `start` goes, up to `end`, and its access; false: none holds it. */
static bool look_up(struct quire_space *space, uint64_t start, uint64_t *end,
		    enum quire_access *access)
{
	const struct vma *vma;
	bool found;

	space_read_lock(space);
	vma = vma_find(space, start);
	found = vma_holds(vma, start);
	if (found) {
		*end = min_u64(*end, vma->end);
		*access = strongest_access(vma);
	}
	space_read_unlock(space);
	return found;
}

int populate_mapped(struct quire_space *space, uint64_t start, uint64_t end)
{
	int error = 0;

	while (start < end && !error) {
		enum quire_access access = QUIRE_READ;
		uint64_t stop = end;

		if (!look_up(space, start, &stop, &access))
			return -QUIRE_EFAULT;
		error = space_populate(space, start, stop, access);
		start = stop;
	}
	return error;
}

/* A thread that may not sleep would make the whole call again; so it waits for nothing. */
void populate_further(struct quire_space *space, uint64_t start, uint64_t end)
{
	if (populate_mapped(space, start, end) == -QUIRE_EINPROGRESS)
		space_hooks(space)->withdraw(space->machine);
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
	uint64_t end;
	int error = whole_pages(&address, length, &end);

	if (!error)
		error = lock_vmas(space, address, end, true);
	if (error)
		return error;
	/* What mlock says of pages that cannot be had, and of memory that does not last. */
	error = populate_mapped(space, address, end);
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
