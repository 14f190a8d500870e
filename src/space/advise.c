/* SPDX-License-Identifier: MIT */
/*
 * madvise, VMA by VMA.
 *
 * The first piece that refuses the advice stops the call, and the pieces before it have taken it.
 * Holes are passed over, and answered with -ENOMEM when the end has been reached.
 *
 * Here is the way through the range, the advice that changes flags, and the advice to populate,
 * which runs under no lock; advise_pages.c has the rest.
 */
#include "space/vma.h"

/* What advice about flags sets and clears. */
static const struct flag_advice {
	int advice;
	uint64_t set, clear;
} flag_advice[] = {
	{QUIRE_MADV_NORMAL, 0, VMA_RANDOM | VMA_SEQUENTIAL},
	{QUIRE_MADV_RANDOM, VMA_RANDOM, VMA_SEQUENTIAL},
	{QUIRE_MADV_SEQUENTIAL, VMA_SEQUENTIAL, VMA_RANDOM},
	{QUIRE_MADV_DONTFORK, VMA_DONTFORK, 0},
	{QUIRE_MADV_DOFORK, 0, VMA_DONTFORK},
	{QUIRE_MADV_MERGEABLE, VMA_MERGEABLE, 0},
	{QUIRE_MADV_UNMERGEABLE, 0, VMA_MERGEABLE},
	{QUIRE_MADV_HUGEPAGE, VMA_HUGEPAGE, VMA_NOHUGEPAGE},
	{QUIRE_MADV_NOHUGEPAGE, VMA_NOHUGEPAGE, VMA_HUGEPAGE},
	{QUIRE_MADV_DONTDUMP, VMA_DONTDUMP, 0},
	{QUIRE_MADV_DODUMP, 0, VMA_DONTDUMP},
	{QUIRE_MADV_WIPEONFORK, VMA_WIPEONFORK, 0},
	{QUIRE_MADV_KEEPONFORK, 0, VMA_WIPEONFORK},
};

/* Internal: something is to be done without the lock before the call goes on. */
#define ERRAND	      4098
#define PAGES_AT_ONCE RECLAIM_PAGES

struct advising {
	uint64_t position, end; /* still to be done */
	int advice;
	const struct flag_advice *flags; /* or NULL */
	bool hole;			 /* one was met */
	struct quire_object *object;	 /* to punch a hole into */
	uint64_t hole_start, hole_length;
	union {
		struct folio *pages[PAGES_AT_ONCE]; /* to take out of memory */
		uint64_t slots[PAGES_AT_ONCE];	    /* to read, with a count of each */
	};
	unsigned page_count, slot_count;
	uint64_t noted; /* from where on they were */
	unsigned tries;
};

static const struct flag_advice *find_flag_advice(int advice)
{
	for (unsigned i = 0; i < sizeof(flag_advice) / sizeof(flag_advice[0]); i++)
		if (flag_advice[i].advice == advice)
			return &flag_advice[i];
	return NULL;
}

static bool known(int advice)
{
	switch (advice) {
	case QUIRE_MADV_WILLNEED:
	case QUIRE_MADV_DONTNEED:
	case QUIRE_MADV_DONTNEED_LOCKED:
	case QUIRE_MADV_FREE:
	case QUIRE_MADV_REMOVE:
	case QUIRE_MADV_COLD:
	case QUIRE_MADV_PAGEOUT:
	case QUIRE_MADV_COLLAPSE:
	case QUIRE_MADV_POPULATE_READ:
	case QUIRE_MADV_POPULATE_WRITE:
	case QUIRE_MADV_GUARD_INSTALL:
	case QUIRE_MADV_GUARD_REMOVE:
		return true;
	default:
		/* HWPOISON and SOFT_OFFLINE too: no memory fails here. */
		return find_flag_advice(advice) != NULL;
	}
}

static bool merging(const struct flag_advice *advice)
{
	return (advice->set | advice->clear) == VMA_MERGEABLE;
}

/* Too many VMAs is something to try again later. */
static int change_flags(struct quire_space *space, struct vma *vma, uint64_t start, uint64_t end,
			const struct flag_advice *advice)
{
	struct vma_change change = {
		.vma = vma,
		.start = start,
		.end = end,
		.flags = (vma->flags & ~advice->clear) | advice->set,
	};
	int error;

	/* Pages of shared memory are not merged; whoever asks is not told. */
	if (change.flags == vma->flags ||
	    (((vma->flags & VMA_MAYSHARE) || vma_device(vma)) && merging(advice)))
		return 0;
	error = vma_change_prepare(space, &change);
	if (error)
		return error == -QUIRE_ENOMEM ? -QUIRE_EAGAIN : error;
	vma_change_commit(space, &change);
	return 0;
}

/* Whether advice about flags is for this memory. */
static int check_flags(const struct vma *vma, int advice)
{
	bool private = !vma->object && !(vma->flags & VMA_SHARED);

	if (vma->flags & VMA_PFNMAP && (advice == QUIRE_MADV_DOFORK || advice == QUIRE_MADV_DODUMP))
		return -QUIRE_EINVAL;
	return advice == QUIRE_MADV_WIPEONFORK && !private ? -QUIRE_EINVAL : 0;
}

/*
 * Some advice cannot be taken with the space's lock held: what is to be done is noted, and ends this
 * round with -ERRAND.
 *
 * MADV_REMOVE punches a hole into the object, whatever becomes of the VMA while the call waits until
 * that was told.
 */
static int note_hole(struct quire_space *space, struct advising *advising, const struct vma *vma,
		     uint64_t start, uint64_t end)
{
	if ((vma->flags & VMA_LOCKED) || !vma->object)
		return -QUIRE_EINVAL;
	if ((vma->flags & (VMA_SHARED | VMA_MAYWRITE)) != (VMA_SHARED | VMA_MAYWRITE))
		return -QUIRE_EACCES;
	advising->object = vma->object;
	quire_object_get(advising->object);
	advising->hole_start = vma_index(vma, start) << PAGE_SHIFT;
	advising->hole_length = end - start;
	advising->position = end;
	return advise_must_wait(space, vma, start, end) ? -QUIRE_EINPROGRESS : -ERRAND;
}

/* MADV_PAGEOUT takes pages out of memory, a handful at a time; those that others map too stay. */
static int note_pages(struct quire_space *space, struct advising *advising, const struct vma *vma,
		      uint64_t start, uint64_t end)
{
	if (vma->flags & (VMA_LOCKED | VMA_PFNMAP))
		return -QUIRE_EINVAL;
	if (vma_bare(vma)) {
		advising->position = end;
		return 0;
	}
	advising->page_count =
		table_collect(&space->tables, &start, end, true, advising->pages, PAGES_AT_ONCE);
	advising->position = start;
	return advising->page_count ? -ERRAND : 0;
}

static unsigned hold_slots(struct page_tables *tables, uint64_t *start, uint64_t end,
			   uint64_t *slots, unsigned room)
{
	unsigned count = 0;
	struct table_run run;

	while (*start < end && count < room) {
		table_run(tables, *start, end, true, &run);
		if (run.kind == QUIRE_ENTRY_SWAP) {
			swap_hold(tables->machine, run.number);
			slots[count++] = run.number;
		}
		*start = run.end;
	}
	return count;
}

/*
 * MADV_WILLNEED reads what is in swap, but maps nothing.  Where an object is mapped that is what the
 * object has there, and nothing that a private mapping has.
 */
static int note_slots(struct quire_space *space, struct advising *advising, const struct vma *vma,
		      uint64_t start, uint64_t end)
{
	uint64_t first = vma_index(vma, start), index = first;

	advising->noted = start;
	if (!vma->object) {
		advising->slot_count =
			hold_slots(&space->tables, &start, end, advising->slots, PAGES_AT_ONCE);
		advising->position = start;
	} else {
		advising->slot_count = object_hold_slots(vma->object, &index,
							 first + ((end - start) >> PAGE_SHIFT),
							 advising->slots, PAGES_AT_ONCE);
		advising->position = start + ((index - first) << PAGE_SHIFT);
	}
	return advising->slot_count ? -ERRAND : 0;
}

/* What can't be read is left to whoever needs it. */
static int read_slots(struct quire_machine *machine, struct advising *advising)
{
	int error = 0;

	for (; advising->slot_count; advising->slot_count--) {
		uint64_t slot = advising->slots[advising->slot_count - 1];

		if (error != -NO_FRAMES)
			error = swap_read(machine, slot, NULL);
		swap_drop(machine, slot);
	}
	if (error != -NO_FRAMES)
		return 0;
	advising->position = advising->noted;
	return error;
}

/* What was noted; no lock held. */
static int run_errand(struct quire_space *space, struct advising *advising)
{
	int error = 0;

	if (advising->object) {
		error = quire_object_punch(advising->object, advising->hole_start,
					   advising->hole_length);
		quire_object_put(advising->object);
		advising->object = NULL;
	}
	if (advising->page_count)
		reclaim_pages(space->machine, advising->pages, advising->page_count);
	advising->page_count = 0;
	return error ? error : read_slots(space->machine, advising);
}

/* Advises the next VMA of the range; *end is how far. */
static int advise_piece(struct quire_space *space, struct advising *advising, struct vma *vma,
			uint64_t end, struct gather *gather)
{
	uint64_t start = advising->position;

	if (advising->advice == QUIRE_MADV_REMOVE)
		return note_hole(space, advising, vma, start, end);
	if (advising->advice == QUIRE_MADV_PAGEOUT)
		return note_pages(space, advising, vma, start, end);
	if (advising->advice == QUIRE_MADV_WILLNEED)
		return note_slots(space, advising, vma, start, end);
	if (advising->flags) {
		int error = check_flags(vma, advising->advice);

		return error ? error : change_flags(space, vma, start, end, advising->flags);
	}
	return advise_pages(space, vma, start, end, advising->advice, gather);
}

/*
 * The VMA of the next piece, which begins at advising->position then, and how far it goes; NULL:
 * there is none.
 */
static struct vma *next_piece(struct quire_space *space, struct advising *advising, uint64_t *end)
{
	struct vma *vma = vma_find(space, advising->position);

	if (!vma || vma->start >= advising->end) {
		advising->hole = true;
		advising->position = advising->end;
		return NULL;
	}
	advising->hole |= vma->start > advising->position;
	advising->position = max_u64(advising->position, vma->start);
	*end = min_u64(advising->end, vma->end);
	return vma;
}

/*
 * The call has waited until its next piece was told: when that has been unmapped meanwhile it ends,
 * and when the VMA has grown, nobody has been told of more than the piece that was.
 */
static int resume_piece(struct quire_space *space, struct advising *advising, struct gather *gather)
{
	struct vma *vma = vma_find(space, advising->position);
	uint64_t end;
	int error;

	if (!vma_holds(vma, advising->position))
		return -QUIRE_ENOMEM;
	end = min_u64(vma->end, space_caller(space)->announced_end);
	error = advise_piece(space, advising, vma, end, gather);
	if (!error)
		advising->position = end;
	return error;
}

static bool has_told(const struct quire_space *space, const struct advising *advising)
{
	const struct quire_thread *thread = space_caller(space);

	return thread && thread->announced && thread->announced_start == advising->position;
}

/* Lock held for writing.  Not inlined: while an errand runs, its frame is not on the stack. */
__attribute__((noinline)) static int advise_range(struct quire_space *space,
						  struct advising *advising)
{
	struct gather gather;
	struct vma *vma;
	uint64_t end;
	int error = 0;

	gather_begin(&gather, &space->tables, QUIRE_NOTIFIER_CLEAR);
	if (has_told(space, advising))
		error = resume_piece(space, advising, &gather);
	while (!error && advising->position < advising->end) {
		vma = next_piece(space, advising, &end);
		if (!vma)
			break;
		error = advise_piece(space, advising, vma, end, &gather);
		if (!error) {
			advising->position = end;
			advising->tries = 0;
		}
	}
	gather_end(&gather);
	return error;
}

/*
 * Whether the call goes on: a frame was reclaimed, or the event that it waited for has been read.
 */
static bool try_again(struct quire_space *space, struct advising *advising, int error)
{
	if (error == -QUIRE_EINPROGRESS)
		return space_hooks(space)->sleep(space->machine);
	if (!error)
		return advising->position < advising->end;
	return error == -NO_FRAMES && space_reclaim(space, &advising->tries);
}

/* A hole that was told of before the call was blocked; it is made even if the thread dies. */
static void keep_hole(struct quire_thread *thread, const struct advising *advising)
{
	thread->removing = advising->object;
	thread->removing_start = advising->hole_start;
	thread->removing_length = advising->hole_length;
	thread->resuming = advising->object != NULL;
}

static void take_up_hole(struct quire_thread *thread, struct advising *advising)
{
	advising->object = thread->removing;
	advising->hole_start = thread->removing_start;
	advising->hole_length = thread->removing_length;
	thread->removing = NULL;
	thread->resuming = false;
}

static int advise_pieces(struct quire_space *space, struct advising *advising)
{
	int error;

	do {
		error = advising->object ? -ERRAND : 0;
		if (!error) {
			space_write_lock(space);
			error = advise_range(space, advising);
			space_write_unlock(space);
		}
		if (error == -ERRAND)
			error = run_errand(space, advising);
	} while (try_again(space, advising, error));
	return error;
}

static int advise(struct quire_space *space, const struct quire_call *call, uint64_t start,
		  uint64_t end, int advice)
{
	struct quire_thread *thread = space_caller(space);
	struct advising advising = {
		.position = start,
		.end = end,
		.advice = advice,
		.flags = find_flag_advice(advice),
	};
	bool early = false; /* made again before it was woken */
	int error;

	if (call_resumes(space, call)) {
		advising.position = call_reached(space, start);
		advising.hole = thread->hole;
		take_up_hole(thread, &advising);
		early = quire_thread_asleep(thread);
	}
	error = early ? -QUIRE_EINPROGRESS : advise_pieces(space, &advising);
	if (error == -QUIRE_EINPROGRESS) {
		call_block(space, call, advising.position);
		keep_hole(thread, &advising);
		thread->hole = advising.hole;
		return error;
	}
	if (thread) {
		thread->hole = false;
		thread->announced = false;
	}
	if (!error && advising.hole)
		return -QUIRE_ENOMEM;
	return public_error(error);
}

/* Where the VMA at `start` ends, at most *end; -ENOMEM: none holds it; -EINVAL: it may not be accessed so. */
static int look_up(struct quire_space *space, uint64_t start, uint64_t permission, uint64_t *end)
{
	const struct vma *vma;
	int error = 0;

	space_read_lock(space);
	vma = vma_find(space, start);
	if (!vma_holds(vma, start))
		error = -QUIRE_ENOMEM;
	else if (!(vma->flags & permission) || (vma->flags & VMA_PFNMAP))
		error = -QUIRE_EINVAL;
	else
		*end = min_u64(*end, vma->end);
	space_read_unlock(space);
	return error;
}

static int populate_awake(struct quire_space *space, uint64_t *position, uint64_t end,
			  enum quire_access access)
{
	uint64_t permission = access == QUIRE_WRITE ? VMA_WRITE : VMA_READ;
	int error = 0;

	while (*position < end && !error) {
		uint64_t stop = end;

		error = look_up(space, *position, permission, &stop);
		if (!error)
			error = space_populate(space, position, stop, access, FAULT_AWAKE);
		/* What has come there meanwhile is answered as if it had been there before. */
		if (error == -QUIRE_EFAULT && !QUIRE_MISTAKE(POPULATE_LOOKS_ONCE)) {
			int now = look_up(space, *position, permission, &stop);

			error = now ? now : error;
		}
	}
	return error;
}

static int populate(struct quire_space *space, const struct quire_call *call, uint64_t start,
		    uint64_t end, enum quire_access access)
{
	uint64_t position = call_resumes(space, call) ? call_reached(space, start) : start;
	int error;

	do
		error = populate_awake(space, &position, end, access);
	while (error == -QUIRE_EINPROGRESS && space_hooks(space)->sleep(space->machine));
	if (error == -QUIRE_EINPROGRESS)
		call_block(space, call, position);
	return error;
}

int quire_madvise(struct quire_space *space, uint64_t address, uint64_t length, int advice)
{
	const struct quire_call call = {
		QUIRE_CALL_MADVISE, space, {address, length, (uint64_t)advice}};
	uint64_t pages = page_up(length), end = address + pages;

	if (!known(advice) || !page_aligned(address) || pages < length || end < address)
		return -QUIRE_EINVAL;
	if (pages == 0)
		return 0;
	if (advice == QUIRE_MADV_POPULATE_READ)
		return populate(space, &call, address, end, QUIRE_READ);
	if (advice == QUIRE_MADV_POPULATE_WRITE)
		return populate(space, &call, address, end, QUIRE_WRITE);
	return advise(space, &call, address, end, advice);
}
