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

/*
 * The run of pages from `position` on, up to `end`, that one VMA holds; what nothing is mapped at is
 * passed over.  Whether there is one.
 */
static bool find_run(struct quire_space *space, uint64_t position, uint64_t end,
		     struct quire_run *run)
{
	const struct vma *vma;
	bool found;

	space_read_lock(space);
	vma = vma_find(space, position);
	found = vma && position < end && vma->start < end;
	if (found)
		*run = (struct quire_run){
			.begin = max_u64(position, vma->start),
			.reached = max_u64(position, vma->start),
			.end = min_u64(end, vma->end),
			.write = vma->flags & VMA_WRITE,
		};
	space_read_unlock(space);
	return found;
}

/* The call goes on here when it is made again, and what it did before is done. */
static int suspend(struct quire_space *space, const struct quire_run *run, uint64_t value)
{
	struct quire_thread *thread = space_caller(space);

	thread->run = *run;
	thread->resuming = true;
	thread->error = 0;
	thread->value = value;
	return -QUIRE_EINPROGRESS;
}

/*
 * A page that stops a run which has come some way is the first of the next: its VMA may have
 * changed while the call slept.  The first page that stops a run is refused.
 */
static int populate_run(struct quire_space *space, struct quire_run *run)
{
	int error = space_populate(space, &run->reached, run->end,
				   run->write ? QUIRE_WRITE : QUIRE_READ, 0);

	if (error && error != -QUIRE_EINPROGRESS && run->reached > run->begin) {
		run->end = run->reached;
		return 0;
	}
	return error;
}

/* `further`: of what cannot be had, the rest of its run is passed over. */
static int populate(struct quire_space *space, uint64_t start, uint64_t end, uint64_t value,
		    bool further)
{
	struct quire_run run = run_resume(space);
	int error = 0;

	while (!error &&
	       (run.reached < run.end || find_run(space, max_u64(start, run.end), end, &run))) {
		error = populate_run(space, &run);
		if (error == -QUIRE_EINPROGRESS)
			return suspend(space, &run, value);
		if (error && further) {
			run.reached = run.end;
			error = 0;
		}
	}
	return error;
}

int populate_further(struct quire_space *space, uint64_t start, uint64_t end, uint64_t value)
{
	return populate(space, start, end, value, true);
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
	uint64_t end, value;
	void *nothing;
	int error = whole_pages(&address, length, &end);

	if (error)
		return error;
	if (!events_resume(space, &error, &value, &nothing))
		error = lock_vmas(space, address, end, true);
	if (error)
		return error;
	/* What mlock says of pages that cannot be had, and of memory that does not last. */
	error = populate(space, address, end, 0, false);
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
