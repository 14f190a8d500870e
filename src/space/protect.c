/* SPDX-License-Identifier: MIT */
/*
 * mprotect, VMA by VMA.
 *
 * Each piece gets its permissions and merges with what it now equals; the first one that cannot
 * stops the call, and the pieces before it stay changed.
 *
 * A piece that becomes writable is accounted for from then on (VMA_ACCOUNT).  One that stops being
 * writable remains so, unless it never had an anonymous page.  Locked memory that becomes writable
 * is written to, as mlock would have done, with the lock released for that time; but up to the first
 * page of which userfaultfd would have to hear, for Linux holds its lock and cannot wait.
 */
#include "space/vma.h"

#define PROT_ACCESS (QUIRE_PROT_READ | QUIRE_PROT_WRITE | QUIRE_PROT_EXEC)
#define PROT_GROWS  (QUIRE_PROT_GROWSDOWN | QUIRE_PROT_GROWSUP)

/* From the flag of a permission to the one that says that the VMA may have it. */
#define MAY_SHIFT 4
_Static_assert(VMA_READ << MAY_SHIFT == VMA_MAYREAD && VMA_WRITE << MAY_SHIFT == VMA_MAYWRITE &&
		       VMA_EXEC << MAY_SHIFT == VMA_MAYEXEC,
	       "VMA_MAY* follow VMA_ACCESS");

struct protection {
	uint64_t position, end; /* still to be done */
	uint64_t access;	/* of VMA_PROTECTION */
	uint64_t populate_start,
		populate_end; /* to be written to before going on; empty: nothing */
	unsigned tries;
};

/* The flags that `pages` of `vma` get; -EACCES, -ENOMEM. */
static int find_flags(const struct quire_space *space, const struct vma *vma, uint64_t pages,
		      uint64_t access, uint64_t *flags)
{
	const uint64_t settled = VMA_ACCOUNT | VMA_WRITE | VMA_SHARED | VMA_NORESERVE;

	if (access & VMA_ACCESS & ~(vma->flags >> MAY_SHIFT))
		return -QUIRE_EACCES;
	*flags = (vma->flags & ~VMA_PROTECTION) | access;
	if (access & VMA_WRITE) {
		if (vma->flags & settled)
			return 0;
		*flags |= VMA_ACCOUNT;
		return commit_refused(space, pages) ? -QUIRE_ENOMEM : 0;
	}
	if (!vma->object && !atomic_load_explicit(&vma->anon, memory_order_relaxed))
		*flags &= ~VMA_ACCOUNT;
	return 0;
}

static bool must_populate(uint64_t was, uint64_t is)
{
	return (was & (VMA_LOCKED | VMA_WRITE | VMA_SHARED)) == VMA_LOCKED && (is & VMA_WRITE);
}

static int protect_piece(struct quire_space *space, struct protection *protection, struct vma *vma,
			 uint64_t end, struct gather *gather)
{
	struct vma_change change = {.vma = vma, .start = protection->position, .end = end};
	uint64_t was = vma->flags;
	int error;

	if ((was & VMA_PROTECTION) == protection->access)
		return 0;
	error = find_flags(space, vma, (change.end - change.start) >> PAGE_SHIFT,
			   protection->access, &change.flags);
	if (!error)
		error = vma_change_prepare(space, &change);
	if (error)
		return error;
	vma = vma_change_commit(space, &change);
	table_protect(&space->tables, change.start, change.end, vma_permissions(vma), gather);
	if (must_populate(was, change.flags)) {
		protection->populate_start = change.start;
		protection->populate_end = change.end;
	}
	return 0;
}

/* Lock held for writing.  Goes on until the end, an error, or a piece that must be populated. */
static int protect_range(struct quire_space *space, struct protection *protection)
{
	struct gather gather;
	int error = 0;

	gather_begin(&gather, &space->tables, QUIRE_NOTIFIER_PROTECT);
	protection->populate_start = protection->populate_end = 0;
	while (!error && protection->position < protection->end && !protection->populate_end) {
		struct vma *vma = vma_find(space, protection->position);
		uint64_t end;

		if (!vma_holds(vma, protection->position)) {
			error = -QUIRE_ENOMEM;
			break;
		}
		end = min_u64(vma->end, protection->end);
		error = protect_piece(space, protection, vma, end, &gather);
		if (!error) {
			protection->position = end;
			protection->tries = 0;
		}
	}
	gather_end(&gather);
	return error;
}

static bool goes_on(struct quire_space *space, struct protection *protection, int error)
{
	if (error == -NO_FRAMES)
		return space_reclaim(space, &protection->tries);
	return !error && protection->position < protection->end;
}

/* PROT_GROWSDOWN and GROWSUP extend the range over a VMA that grows, and there is none. */
static int refuse_growth(struct quire_space *space, uint64_t start, uint64_t end, int prot)
{
	const struct vma *vma;
	bool mapped;

	space_read_lock(space);
	vma = vma_find(space, start);
	mapped = vma && (prot & QUIRE_PROT_GROWSDOWN ? vma->start < end : vma->start <= start);
	space_read_unlock(space);
	return mapped ? -QUIRE_EINVAL : -QUIRE_ENOMEM;
}

int quire_mprotect(struct quire_space *space, uint64_t address, uint64_t length, int prot)
{
	struct protection protection = {
		.position = address,
		.end = address + page_up(length),
		.access = vma_protection(space, prot),
	};
	int error;

	if ((prot & PROT_GROWS) == PROT_GROWS || !page_aligned(address))
		return -QUIRE_EINVAL;
	if (length == 0)
		return 0;
	if (protection.end <= address)
		return -QUIRE_ENOMEM;
	if (prot & ~(PROT_ACCESS | QUIRE_PROT_SEM | PROT_GROWS))
		return -QUIRE_EINVAL;
	if (prot & PROT_GROWS)
		return refuse_growth(space, address, protection.end, prot);
	do {
		space_write_lock(space);
		error = protect_range(space, &protection);
		space_write_unlock(space);
		/* As far as memory lasts. */
		space_populate(space, &protection.populate_start, protection.populate_end,
			       QUIRE_WRITE, FAULT_UNHEARD);
	} while (goes_on(space, &protection, error));
	return public_error(error);
}
