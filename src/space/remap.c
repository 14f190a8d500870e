/* SPDX-License-Identifier: MIT */
/*
 * mremap.
 *
 *	shrink     AAAAAAAA  →  AAAAA             the end is unmapped
 *	grow       AAAA      →  AAAAAAA           in place, where the VMA ends with the range and
 *	                                          nothing stands behind it; else it is moved
 *	move       AAAA......   →  ......AAAA     the entries with their pages; the VMA behind them is
 *	                                          a new one, which merges where it comes to be
 *
 * A VMA that has anonymous pages keeps their index when it moves.  One that has none is numbered by
 * its new address, as if it had been mapped there; so it may merge even with what it is moved from,
 * and through it with the VMA beyond, before the source is taken out.
 *
 * MREMAP_DONTUNMAP leaves the source mapped, and empty.
 *
 * MREMAP_FIXED without a change of size moves all VMAs of the range, holes in between left out, and
 * takes from the new place only what they cover.  Each VMA is a unit of work then.  One that is
 * registered with userfaultfd moves only if it is the range's only one; what has been moved before
 * it stays.
 *
 * A move that grows beyond what may be committed is refused when the new place has been unmapped
 * already, as on Linux.
 */
#include "space/rmap.h"
#include "space/vma.h"

#define REMAP_FLAGS (QUIRE_MREMAP_MAYMOVE | QUIRE_MREMAP_FIXED | QUIRE_MREMAP_DONTUNMAP)

struct remap {
	uint64_t address, old_length, new_length; /* whole pages */
	uint64_t new_address;
	int flags; /* QUIRE_MREMAP_* */

	uint64_t moved; /* bytes that several VMAs have moved so far */
	uint64_t result;
	bool populate; /* locked memory has grown */
	struct event_chain events;
};

/* One VMA's move, or part of one's. */
struct move {
	uint64_t from, to;
	uint64_t length; /* of what is moved, with the pages */
	uint64_t new_length;
	struct removal source, target;
	struct removal rest; /* behind the source, which is dropped; may be empty */
	struct vma *fresh;
	struct table_reserve tables;
	bool registered; /* the new place is registered as the old one was */
	bool drop; /* leaves that do not fit there go: of memory with a page size of its own */
	bool keep; /* MREMAP_DONTUNMAP: the source stays mapped, empty */
};

/* An old length that wraps overlaps nothing, as on Linux: no VMA has it, which is found later. */
static bool overlap(const struct remap *remap)
{
	return remap->address + remap->old_length > remap->new_address &&
	       remap->new_address + remap->new_length > remap->address;
}

static int check_arguments(const struct quire_space *space, const struct remap *remap)
{
	const int to_given_place = QUIRE_MREMAP_FIXED | QUIRE_MREMAP_DONTUNMAP;
	bool valid = !(remap->flags & ~REMAP_FLAGS) && page_aligned(remap->address) &&
		     remap->new_length > 0 && remap->new_length <= space->highest;

	if (valid && (remap->flags & to_given_place))
		valid = page_aligned(remap->new_address) &&
			space_holds(space, remap->new_address, remap->new_length) &&
			(remap->flags & QUIRE_MREMAP_MAYMOVE) && !overlap(remap);
	if (valid && (remap->flags & QUIRE_MREMAP_DONTUNMAP))
		valid = remap->old_length == remap->new_length;
	return valid ? 0 : -QUIRE_EINVAL;
}

/* Whether `more` VMAs would be too many. */
static bool too_many(const struct quire_space *space, uint64_t more)
{
	return space->vma_count + more >= space->machine->max_maps;
}

static bool drops_rest(const struct move *move)
{
	return move->rest.start < move->rest.end;
}

static void move_abandon(struct quire_space *space, struct move *move)
{
	removal_abandon(space, &move->source);
	removal_abandon(space, &move->target);
	removal_abandon(space, &move->rest);
	if (move->fresh)
		vma_free(space, move->fresh);
	table_unreserve(space->machine, &move->tables);
}

/* When the new VMA has merged with the old one, the source may lie inside it. */
static int new_vmas(struct quire_space *space, struct move *move)
{
	if (!move->source.spare)
		move->source.spare = vma_new(space);
	move->fresh = vma_new(space);
	return move->source.spare && move->fresh ? 0 : -NO_FRAMES;
}

static int reserve_tables(struct quire_space *space, struct move *move)
{
	struct page_tables *tables = &space->tables;
	unsigned cost = table_move_cost(tables, move->from, move->to, move->length, move->drop);

	return table_reserve(space->machine, &move->tables, cost);
}

/*
 * In the order in which they are told: what the move covers, the move, what it drops, and what it
 * leaves.
 */
static int announce(struct quire_space *space, struct move *move, struct event_chain *events)
{
	const struct userfault_hooks *hooks = space_hooks(space);
	int error;

	if (!hooks)
		return 0;
	error = hooks->unmap(space, move->target.start, move->target.end, events);
	if (!error)
		error = hooks->remap(vma_find(space, move->from), move->from, move->to,
				     move->length, events, &move->registered);
	if (!error && !move->keep)
		error = hooks->unmap(space, move->rest.start, move->rest.end, events);
	if (!error && !move->keep)
		error = hooks->unmap(space, move->source.start, move->source.end, events);
	return error;
}

static int move_prepare(struct quire_space *space, struct move *move)
{
	int error = removal_prepare(space, &move->source);

	if (!error)
		error = removal_prepare(space, &move->target);
	if (!error && drops_rest(move))
		error = removal_prepare(space, &move->rest);
	if (!error)
		error = reserve_tables(space, move);
	if (!error)
		error = new_vmas(space, move);
	if (error)
		move_abandon(space, move);
	return error;
}

/* Makes move->fresh what `vma` was, at the new place. */
static void describe(struct quire_space *space, struct move *move, const struct vma *vma)
{
	struct vma *fresh = move->fresh;

	fresh->start = move->to;
	fresh->end = move->to + move->new_length;
	fresh->flags = vma->flags;
	fresh->userfault = vma->userfault;
	vma_take_anon(space, fresh, vma);
	vma_set_object(fresh, vma->object);
	fresh->index =
		vma->anon || vma->object ? vma_index(vma, move->from) : move->to >> PAGE_SHIFT;
}

/*
 * The new VMA merges as the registered one that it was, and only then is it not any more; as on
 * Linux, with what it has merged with.
 */
static void link_fresh(struct quire_space *space, const struct move *move)
{
	struct vma *vma;

	vma_link(space, move->fresh);
	rmap_takes_over(space, move->fresh, vma_find(space, move->from));
	vma = vma_merge(space, move->fresh);
	if (vma->userfault && !move->registered) {
		vma->userfault = NULL;
		vma_set_flags(space, vma, vma->flags & ~VMA_UFFD);
	}
}

/*
 * The source stays where it is, without pages; one that has lost all of them holds nobody's any
 * more.
 */
static void keep_source(struct quire_space *space, struct move *move)
{
	struct vma *vma = vma_find(space, move->from);

	vma_set_flags(space, vma, vma->flags & ~VMA_LOCKED);
	if (vma->start == move->source.start && vma->end == move->source.end)
		vma_lose_anon(space, vma);
	removal_abandon(space, &move->source);
}

static void move_commit(struct quire_space *space, struct move *move)
{
	struct page_tables *tables = &space->tables;
	const struct vma *vma = vma_find(space, move->from);
	struct gather gather;

	gather_begin(&gather, tables, QUIRE_NOTIFIER_UNMAP);
	removal_commit(space, &move->target, &gather);
	/* Before the new VMA looks for what it may merge with: there is a hole. */
	if (drops_rest(move))
		removal_commit(space, &move->rest, &gather);
	removal_cut(space, &move->source);
	table_move(tables, move->from, move->to, move->length, move->drop, &move->tables, &gather);
	describe(space, move, vma);
	/* Protection moves only where the registration does. */
	if (vma->userfault && !move->registered && !QUIRE_MISTAKE(MREMAP_KEEPS_PROTECTION))
		table_write_forget(tables, move->to, move->to + move->length, vma_permissions(vma),
				   &gather);
	gather_end(&gather);
	table_unreserve(space->machine, &move->tables);

	link_fresh(space, move);
	if (move->keep)
		keep_source(space, move);
	else
		removal_detach(space, &move->source);
}

/* Moves [from, from + old_length) of one VMA, which may change its size. */
static int move(struct quire_space *space, uint64_t from, uint64_t old_length, uint64_t to,
		uint64_t new_length, struct remap *remap)
{
	uint64_t length = min_u64(old_length, new_length);
	struct move move = {
		.from = from,
		.to = to,
		.length = length,
		.new_length = new_length,
		.source = {.start = from, .end = from + length},
		.rest = {.start = from + length, .end = from + old_length},
		.target = {.start = to, .end = to + new_length},
		.drop = vma_page_level(vma_find(space, from)) != 0,
		.keep = remap->flags & QUIRE_MREMAP_DONTUNMAP,
	};
	struct event_chain told = {0};
	int error;

	if (too_many(space, 3))
		return -QUIRE_ENOMEM;
	error = announce(space, &move, &told);
	if (!error)
		error = move_prepare(space, &move);
	if (error) {
		events_abandon(space, &told);
		return error;
	}
	move_commit(space, &move);
	events_join(&remap->events, &told);
	return 0;
}

static bool growth_refused(const struct quire_space *space, const struct vma *vma,
			   const struct remap *remap)
{
	uint64_t kept = remap->flags & QUIRE_MREMAP_DONTUNMAP ? 0 : remap->old_length;

	return remap->new_length > kept && (vma->flags & VMA_ACCOUNT) &&
	       commit_refused(space, (remap->new_length - kept) >> PAGE_SHIFT);
}

/* Where what `vma` maps at the old address goes. */
static int place_as(const struct quire_space *space, const struct vma *vma, uint64_t hint,
		    struct remap *remap)
{
	return place_mapping(space, hint, remap->new_length, 0, vma->object,
			     vma_index(vma, remap->address), &remap->result);
}

static void note_growth(const struct vma *vma, struct remap *remap)
{
	if (!(vma->flags & VMA_LOCKED) || remap->new_length <= remap->old_length)
		return;
	remap->populate = true;
}

static int grow_in_place(struct quire_space *space, struct vma *vma, struct remap *remap)
{
	if (growth_refused(space, vma, remap))
		return -QUIRE_ENOMEM;
	note_growth(vma, remap);
	vma_grow(space, vma, remap->address + remap->new_length);
	return 0;
}

static int grow_elsewhere(struct quire_space *space, struct vma *vma, struct remap *remap)
{
	int error;

	if (!(remap->flags & QUIRE_MREMAP_MAYMOVE))
		return -QUIRE_ENOMEM;
	error = place_as(space, vma, 0, remap);
	if (error)
		return error;
	if (growth_refused(space, vma, remap))
		return -QUIRE_ENOMEM;
	note_growth(vma, remap);
	return move(space, remap->address, remap->old_length, remap->result, remap->new_length,
		    remap);
}

static int grow(struct quire_space *space, struct vma *vma, struct remap *remap)
{
	uint64_t end = remap->address + remap->new_length;

	if (remap->old_length > vma->end - remap->address)
		return -QUIRE_EFAULT;
	if (remap->address + remap->old_length == vma->end && end <= space->highest &&
	    place_free(space, vma->end, end))
		return grow_in_place(space, vma, remap);
	return grow_elsewhere(space, vma, remap);
}

static int shrink(struct quire_space *space, struct remap *remap)
{
	if (!space_holds(space, remap->address, remap->old_length))
		return -QUIRE_EINVAL;
	return unmap_range(space, remap->address + remap->new_length,
			   remap->address + remap->old_length, &remap->events);
}

/* FIXED and another size: one VMA. */
static int move_resized(struct quire_space *space, struct vma *vma, struct remap *remap)
{
	uint64_t to = remap->new_address;
	int error;

	if (min_u64(remap->old_length, remap->new_length) > vma->end - remap->address)
		return -QUIRE_EFAULT;
	/* What refuses these comes when room has been made. */
	if (!space_holds(space, remap->address, remap->old_length)) {
		error = unmap_range(space, to, to + remap->new_length, &remap->events);
		if (error)
			return error;
		return remap->address - to < remap->new_length ? -QUIRE_EFAULT : -QUIRE_EINVAL;
	}
	if (growth_refused(space, vma, remap)) {
		error = unmap_range(space, to, to + remap->new_length, &remap->events);
		return error ? error : -QUIRE_ENOMEM;
	}
	note_growth(vma, remap);
	return move(space, remap->address, remap->old_length, to, remap->new_length, remap);
}

/* FIXED and the same size: every VMA of the range. */
static int move_all(struct quire_space *space, struct remap *remap)
{
	uint64_t end = remap->address + min_u64(remap->old_length, space->highest - remap->address);

	for (;;) {
		uint64_t position = remap->address + remap->moved, stop;
		struct vma *vma = vma_find(space, position);
		int error;

		if (!vma || position >= end || vma->start >= end)
			return 0;
		position = max_u64(position, vma->start);
		stop = min_u64(vma->end, end);
		if (vma->userfault && (remap->moved || vma->end < end))
			return -QUIRE_EFAULT;
		error = move(space, position, stop - position,
			     position - remap->address + remap->new_address, stop - position,
			     remap);
		if (error)
			return error;
		remap->moved = stop - remap->address;
	}
}

static int move_to_given_place(struct quire_space *space, struct vma *vma, struct remap *remap)
{
	remap->result = remap->new_address;
	if (remap->new_address < space->lowest)
		return -QUIRE_EPERM;
	if (remap->old_length == remap->new_length)
		return move_all(space, remap);
	return move_resized(space, vma, remap);
}

/* DONTUNMAP without FIXED: one VMA, and a hint. */
static int move_and_keep(struct quire_space *space, struct vma *vma, struct remap *remap)
{
	int error;

	if (remap->old_length > vma->end - remap->address)
		return -QUIRE_EFAULT;
	error = place_as(space, vma, remap->new_address, remap);
	if (!error && growth_refused(space, vma, remap))
		error = -QUIRE_ENOMEM;
	return error ? error
		     : move(space, remap->address, remap->old_length, remap->result,
			    remap->new_length, remap);
}

/* A second mapping of what is shared, from `address` on: a move of nothing. */
static int map_again(struct quire_space *space, const struct vma *vma, struct remap *remap)
{
	struct move move = {
		.from = remap->address,
		.to = remap->result,
		.new_length = remap->new_length,
		.keep = true,
		.target = {.start = remap->result, .end = remap->result + remap->new_length},
	};
	struct gather gather;
	int error = announce(space, &move, &remap->events);

	if (!error)
		error = removal_prepare(space, &move.target);
	if (!error && !(move.fresh = vma_new(space))) {
		removal_abandon(space, &move.target);
		error = -NO_FRAMES;
	}
	if (error) {
		events_abandon(space, &remap->events);
		return error;
	}
	describe(space, &move, vma);
	gather_begin(&gather, &space->tables, QUIRE_NOTIFIER_UNMAP);
	removal_commit(space, &move.target, &gather);
	gather_end(&gather);
	link_fresh(space, &move);
	return 0;
}

/* An old length of 0. */
static int duplicate(struct quire_space *space, struct vma *vma, struct remap *remap)
{
	int error = 0;

	if (!vma_may_split(vma, remap->address))
		return -QUIRE_EINVAL;
	if (remap->flags & QUIRE_MREMAP_FIXED) {
		remap->result = remap->new_address;
		if (remap->new_address < space->lowest)
			return -QUIRE_EPERM;
		/* Room is made first, and then what was to be mapped again is not there. */
		if (remap->new_address == remap->address) {
			error = unmap_range(space, remap->result, remap->result + remap->new_length,
					    &remap->events);
			return error ? error : -QUIRE_EFAULT;
		}
	} else if (!(remap->flags & QUIRE_MREMAP_MAYMOVE)) {
		return -QUIRE_ENOMEM;
	} else {
		error = place_as(space, vma, 0, remap);
	}
	if (!error && too_many(space, 3))
		error = -QUIRE_ENOMEM;
	if (!error)
		note_growth(vma, remap);
	return error ? error : map_again(space, vma, remap);
}

/*
 * Lock held for writing.  Not inlined: when locked memory is populated afterwards, its frame is not on
 * the stack any more.
 */
__attribute__((noinline)) static int remap_range(struct quire_space *space, struct remap *remap)
{
	struct vma *vma;

	if (remap->moved)
		return move_all(space, remap);
	if ((remap->flags & (QUIRE_MREMAP_FIXED | QUIRE_MREMAP_DONTUNMAP)) && too_many(space, 5))
		return -QUIRE_ENOMEM;
	vma = vma_find(space, remap->address);
	if (!vma_holds(vma, remap->address))
		return -QUIRE_EFAULT;
	if (remap->old_length == 0 && !(vma->flags & VMA_MAYSHARE))
		return -QUIRE_EINVAL;
	if ((vma->flags & (VMA_DONTEXPAND | VMA_PFNMAP)) && (remap->flags & QUIRE_MREMAP_DONTUNMAP))
		return -QUIRE_EINVAL;
	if ((vma->flags & (VMA_DONTEXPAND | VMA_PFNMAP)) && remap->new_length > remap->old_length)
		return -QUIRE_EFAULT;
	if (remap->old_length == 0)
		return duplicate(space, vma, remap);
	if (remap->flags & QUIRE_MREMAP_FIXED)
		return move_to_given_place(space, vma, remap);
	if (remap->flags & QUIRE_MREMAP_DONTUNMAP)
		return move_and_keep(space, vma, remap);
	remap->result = remap->address;
	if (remap->new_length > remap->old_length)
		return grow(space, vma, remap);
	return remap->new_length < remap->old_length ? shrink(space, remap) : 0;
}

/*
 * What a unit that met no frame has announced is announced again; what several VMAs have moved
 * before stays.
 */
static int remap_and_reclaim(struct quire_space *space, struct remap *remap)
{
	unsigned tries = 0;
	int error;

	do {
		space_write_lock(space);
		error = remap_range(space, remap);
		space_write_unlock(space);
	} while (error == -NO_FRAMES && space_reclaim(space, &tries));
	return public_error(error);
}

/*
 * Faults in what locked memory has grown by, as far as memory lasts.  As on Linux nobody has been
 * told yet, and whoever waits to be told may not resolve faults: who is blocked here stays so until
 * the memory is unregistered, or the context closed.
 */
static int populate_growth(struct quire_space *space, const struct quire_call *call,
			   const struct remap *remap)
{
	int error = populate_further(space, call, remap->result + remap->old_length,
				     remap->result + remap->new_length, remap->result);

	if (error)
		space_caller(space)->events = remap->events.first;
	return error;
}

/* Goes on there: nobody has been told yet. */
static void resume_growth(struct quire_thread *thread, struct remap *remap)
{
	remap->populate = true;
	remap->result = thread->value;
	remap->events.first = thread->events;
	thread->events = NULL;
	thread->resuming = false;
}

int quire_mremap(struct quire_space *space, uint64_t address, uint64_t old_length,
		 uint64_t new_length, int flags, uint64_t new_address, uint64_t *result)
{
	struct remap remap = {
		.address = address,
		.old_length = page_up(old_length),
		.new_length = page_up(new_length),
		.new_address = new_address,
		.flags = flags,
	};
	const struct quire_call call = {
		QUIRE_CALL_MREMAP,
		space,
		{address, old_length, new_length, (uint64_t)(uint32_t)flags, new_address}};
	int error = check_arguments(space, &remap);
	bool told = false;
	void *nothing;

	if (error)
		return error;
	if (!call_resumes(space, &call)) {
		error = remap_and_reclaim(space, &remap);
	} else if (space_caller(space)->part_done) {
		resume_growth(space_caller(space), &remap);
	} else {
		error = events_resume(space, &call, &remap.result, &nothing);
		told = true;
	}
	if (!error && remap.populate)
		error = populate_growth(space, &call, &remap);
	if (error != -QUIRE_EINPROGRESS && !told)
		error = events_tell(space, &call, &remap.events, error, remap.result, NULL);
	if (!error)
		*result = remap.result;
	return error;
}
