/* SPDX-License-Identifier: MIT */
/*
 * mremap: pages go from one place to another with all that their entries hold.
 *
 * What waits to be told is collected in the thread, in this order: the target that was unmapped,
 * the move, what was cut off, the old place.
 */
#define _GNU_SOURCE 1
#include "twin.h"

#include <errno.h>
#include <sys/mman.h>

/* All in pages, but for flags. */
struct move {
	struct thread *thread;
	uint64_t from, old_count, to, new_count;
	int flags;
	struct event *cut; /* to be told of the pages that were cut off: after the move */
};

static uint64_t moved_count(const struct move *move)
{
	return move->old_count < move->new_count ? move->old_count : move->new_count;
}

/* The VMA that has `from` ends before this page. */
static uint64_t stop_of(const struct process *process, uint64_t from)
{
	return twin_part_end(process, twin_find(process, from), UINT64_MAX);
}

static void set_context(struct process *process, size_t index, struct userfault *context)
{
	for (size_t i = twin_vma_begin(process, index), end = twin_vma_end(process, index); i < end;
	     i++) {
		process->pages[i].context = context;
		if (!context)
			process->pages[i].flags &= ~(uint32_t)REPORTS;
	}
}

/* Moves the entries; without registration they lose their protection. */
static void move_entries(struct process *process, const struct move *move, bool unprotect)
{
	for (uint64_t i = 0; i < moved_count(move); i++) {
		struct page *from = twin_page_at(process, move->from + i);
		struct page *to = twin_page_at(process, move->to + i);

		/* What has one size has no other place for it. */
		if (twin_is_dax(from) && from->entry != NONE &&
		    (move->to - move->from) * PAGE_BYTES % twin_page_bytes(from)) {
			twin_entry_drop(from);
			if (from->entry == NONE)
				continue;
		}
		if (twin_is_device(from))
			twin_leaf_fit(process, from, move->to - move->from);

		to->entry = from->entry;
		to->level = from->level;
		to->block = from->block;
		to->writable = from->writable;
		to->young = from->young;
		to->dirty = from->dirty;
		to->exclusive = from->exclusive;
		to->protected = from->protected && !unprotect;
		to->guard = from->guard;
		to->poison = from->poison;
		if (to->entry == MARKER && !to->guard && !to->poison && !to->protected)
			twin_entry_clear(to);
		from->entry = NONE;
		twin_entry_clear(from);
	}
}

static void prepare_remap_event(const struct move *move, struct userfault *context)
{
	struct event *event = twin_add_event(move->thread, context, UFFD_EVENT_REMAP);

	event->message.arg.remap.from = move->from * PAGE_BYTES;
	event->message.arg.remap.to = move->to * PAGE_BYTES;
	event->message.arg.remap.len = move->old_count * PAGE_BYTES;
}

static void tell_of_cut(const struct move *move)
{
	struct event **link = &move->thread->events;

	while (*link)
		link = &(*link)->next;
	*link = move->cut;
}

/* The old place stays mapped, empty; it is locked no more, and if all of the VMA has moved it never
 * had a block. */
static void leave_behind(struct process *process, const struct move *move)
{
	size_t index = twin_find(process, move->from);
	size_t begin = twin_vma_begin(process, index), end = twin_vma_end(process, index);
	bool whole = process->pages[begin].number == move->from && end - begin == move->old_count;

	for (size_t i = begin; i < end; i++) {
		process->pages[i].flags &= ~(uint32_t)LOCKED;
		if (whole) {
			process->pages[i].origin = 0;
			process->pages[i].from_fork = false;
		}
	}
}

/*
 * The new place is a VMA like the old one.  Memory that never had a block is numbered by where it
 * is; all other keeps its numbers, lest blocks were numbered twice.
 */
static int move_vma(const struct move *move)
{
	struct process *process = move->thread->process;
	struct page *source = twin_page_at(process, move->from);
	struct userfault *context = source->context;
	bool told = context && context->features & UFFD_FEATURE_EVENT_REMAP;
	struct page like = *source;

	if (!twin_may_split(process, move->from) ||
	    !twin_may_split(process, move->from + move->old_count)) {
		tell_of_cut(move);
		return EINVAL;
	}
	if (process->vmas + 2 >= VMAS_MAX - 3 ||
	    (like.flags & ACCOUNTED && twin_too_much(process, move->new_count * PAGE_BYTES))) {
		tell_of_cut(move);
		return ENOMEM;
	}
	like.number = move->to;
	if (!like.origin && !like.file)
		like.place = move->to;
	twin_insert(process, &like, move->new_count);
	twin_join(process, move->to, false);
	twin_join(process, move->to + move->new_count, false);
	if (move->old_count) {
		twin_leaf_cut(process, move->from);
		twin_leaf_cut(process, move->from + moved_count(move));
	}
	move_entries(process, move, context && !told);
	if (told)
		prepare_remap_event(move, context);
	tell_of_cut(move);
	if (context && !told)
		set_context(process, twin_find(process, move->to), NULL);
	if (move->flags & MREMAP_DONTUNMAP) {
		leave_behind(process, move);
		return 0;
	}
	/* Shared memory is mapped a second time. */
	if (!move->old_count)
		return 0;
	return twin_unmap_range(move->thread, move->from * PAGE_BYTES,
				(move->from + move->old_count) * PAGE_BYTES);
}

/* What grows and is locked is populated. */
static void populate_growth(const struct move *move, uint64_t at)
{
	if (move->new_count <= move->old_count ||
	    !(twin_page_at(move->thread->process, at)->flags & LOCKED))
		return;
	move->thread->populate = (at + move->old_count) * PAGE_BYTES;
	move->thread->populate_end = (at + move->new_count) * PAGE_BYTES;
}

/* --- in place, or wherever there is room --- */

static bool can_grow(const struct process *process, const struct move *move)
{
	uint64_t end = move->from + move->new_count;

	return stop_of(process, move->from) == move->from + move->old_count &&
	       end <= process->target->limits.highest / PAGE_BYTES &&
	       !twin_mapped_in(process, move->from + move->old_count, end);
}

static int grow_in_place(struct process *process, const struct move *move)
{
	uint64_t end = move->from + move->old_count, by = move->new_count - move->old_count;
	struct page like = *twin_page_at(process, end - 1);

	if (like.flags & ACCOUNTED && twin_too_much(process, by * PAGE_BYTES))
		return ENOMEM;
	like.number++;
	like.place++;
	twin_insert(process, &like, by);
	/* It is the same VMA, whatever its origin. */
	twin_page_at(process, end)->first = false;
	process->vmas--;
	twin_join(process, end + by, true);
	return 0;
}

static int resize(struct move *move, uint64_t *result)
{
	struct process *process = move->thread->process;
	const struct page *page = twin_page_at(process, move->from);
	uint64_t place;
	int error;

	*result = move->from * PAGE_BYTES;
	if (!page)
		return EFAULT;
	if (move->new_count < move->old_count)
		return twin_munmap(move->thread, (move->from + move->new_count) * PAGE_BYTES,
				   (move->old_count - move->new_count) * PAGE_BYTES);
	if (!move->old_count && !(page->flags & SHARED))
		return EINVAL;
	if (page->flags & BARE && move->flags & MREMAP_DONTUNMAP)
		return EINVAL;
	if (move->new_count == move->old_count && !(move->flags & MREMAP_DONTUNMAP))
		return 0;
	if (move->from + move->old_count > stop_of(process, move->from))
		return EFAULT;
	if (page->flags & BARE && move->new_count > move->old_count)
		return EFAULT;
	if (!(move->flags & MREMAP_DONTUNMAP) && can_grow(process, move)) {
		error = grow_in_place(process, move);
		populate_growth(move, move->from);
		return error;
	}
	if (!(move->flags & MREMAP_MAYMOVE))
		return ENOMEM;
	place = twin_free_place(process, move->new_count * PAGE_BYTES, page->file, page->place);
	if (!place)
		return ENOMEM;
	move->to = place / PAGE_BYTES;
	*result = place;
	error = move_vma(move);
	if (!error)
		populate_growth(move, move->to);
	return error;
}

/* --- to a given place --- */

/* The pages that have no place at the new one. */
static int cut_off(struct move *move)
{
	struct thread *thread = move->thread;
	struct event *before = thread->events;
	int error;

	thread->events = NULL;
	error = twin_munmap(thread, (move->from + move->new_count) * PAGE_BYTES,
			    (move->old_count - move->new_count) * PAGE_BYTES);
	move->cut = thread->events;
	thread->events = before;
	move->old_count = move->new_count;
	return error;
}

/* Where one VMA ends that moves, and what is cut off of it, pages of devices end. */
static bool can_leave(struct process *process, const struct move *move)
{
	return twin_may_split(process, move->from) &&
	       twin_may_split(process, move->from + moved_count(move)) &&
	       twin_may_split(process, move->from + move->old_count);
}

static int move_to(struct move *move)
{
	struct process *process = move->thread->process;
	const struct page *page = twin_page_at(process, move->from);
	int error;

	if (!page)
		return EFAULT;
	if (!move->old_count && !(page->flags & SHARED))
		return EINVAL;
	if (page->flags & BARE && move->flags & MREMAP_DONTUNMAP)
		return EINVAL;
	/* What moves is of one VMA; what is cut off need not be. */
	if (move->from + moved_count(move) > stop_of(process, move->from))
		return EFAULT;
	if (page->flags & BARE && move->new_count > move->old_count)
		return EFAULT;
	if (move->to < process->target->limits.lowest / PAGE_BYTES)
		return EPERM;
	if (!can_leave(process, move))
		return EINVAL;
	error = twin_unmap_range(move->thread, move->to * PAGE_BYTES,
				 (move->to + move->new_count) * PAGE_BYTES);
	if (error)
		return error;
	/* What was to be mapped a second time, too, at its own place. */
	if (!twin_page_at(process, move->from))
		return EFAULT;
	if (move->new_count < move->old_count)
		error = cut_off(move);
	if (error)
		return error;
	error = move_vma(move);
	if (!error)
		populate_growth(move, move->to);
	return error;
}

/*
 * Without a change of size the range may span several VMAs and holes; the holes leave the new place
 * alone.  A registered VMA can only be moved by itself.
 */
static int move_several(const struct move *move)
{
	struct process *process = move->thread->process;
	uint64_t end = move->from + move->old_count;
	bool moved = false;

	if (!move->old_count)
		return twin_page_at(process, move->from) ? EINVAL : EFAULT;
	for (uint64_t at = move->from; at < end;) {
		size_t index = twin_find(process, at);
		struct move piece = *move;
		uint64_t stop;
		int error;

		if (index == process->count || process->pages[index].number >= end)
			break;
		if (!moved && process->pages[index].number != at)
			return EFAULT;
		at = process->pages[index].number;
		stop = stop_of(process, at);
		if (process->pages[index].flags & REPORTS && (moved || stop < end))
			return EFAULT;
		if (stop > end)
			stop = end;
		piece.from = at;
		piece.to = move->to + (at - move->from);
		piece.old_count = piece.new_count = stop - at;
		error = move_to(&piece);
		if (error)
			return error;
		moved = true;
		at = stop;
	}
	return moved ? 0 : EFAULT;
}

/* --- the call --- */

static int check_place(const struct process *process, const struct call *call, uint64_t old,
		       uint64_t new)
{
	uint64_t highest = process->target->limits.highest, to = call->new_address;

	if (to > highest - new || to % PAGE_BYTES || !(call->flags & MREMAP_MAYMOVE))
		return EINVAL;
	if (call->flags & MREMAP_DONTUNMAP && old != new)
		return EINVAL;
	if (call->address + old > to && to + new > call->address)
		return EINVAL;
	return process->vmas + 2 >= VMAS_MAX - 3 ? ENOMEM : 0;
}

int twin_mremap(struct thread *thread, struct call *call)
{
	const int known = MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP;
	struct process *process = thread->process;
	uint64_t old = round_up(call->length), new = round_up(call->new_length);
	struct move move = {
		.thread = thread,
		.from = call->address / PAGE_BYTES,
		.old_count = old / PAGE_BYTES,
		.to = call->new_address / PAGE_BYTES,
		.new_count = new / PAGE_BYTES,
		.flags = call->flags,
	};
	int error;

	if (call->flags & ~known || call->address % PAGE_BYTES)
		return EINVAL;
	if (!new || new > process->target->limits.highest)
		return EINVAL;
	if (call->flags & (MREMAP_FIXED | MREMAP_DONTUNMAP)) {
		error = check_place(process, call, old, new);
		if (error)
			return error;
	}
	if (!(call->flags & MREMAP_FIXED))
		return resize(&move, &call->value);
	call->value = call->new_address;
	return new == old ? move_several(&move) : move_to(&move);
}
