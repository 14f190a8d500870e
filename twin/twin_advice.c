/* SPDX-License-Identifier: MIT */
/*
 * madvise, mlock, munlock, and populating.
 *
 * madvise goes from VMA to VMA.  Holes are passed over, and told of in the end; any other error ends
 * it.  Removing pages of registered memory is announced first, and while the message waits to be
 * read the memory may change: so the walk looks again at what stands where it is.
 */
#define _GNU_SOURCE 1
#include "twin.h"

#include <errno.h>
#include <sys/mman.h>

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ  22
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24
#endif
#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#define MADV_GUARD_REMOVE  103
#endif

/* --- advice that is flags of a mapping --- */

static const struct {
	int advice;
	uint32_t set, clear;
} flag_advice[] = {
	{MADV_NORMAL, 0, SEQUENTIAL | RANDOM},
	{MADV_RANDOM, RANDOM, SEQUENTIAL},
	{MADV_SEQUENTIAL, SEQUENTIAL, RANDOM},
	{MADV_DONTFORK, NOT_FORKED, 0},
	{MADV_DOFORK, 0, NOT_FORKED},
	{MADV_WIPEONFORK, FORKED_EMPTY, 0},
	{MADV_KEEPONFORK, 0, FORKED_EMPTY},
	{MADV_DONTDUMP, NOT_DUMPED, 0},
	{MADV_DODUMP, 0, NOT_DUMPED},
	{MADV_HUGEPAGE, HUGE_WANTED, HUGE_UNWANTED},
	{MADV_NOHUGEPAGE, HUGE_UNWANTED, HUGE_WANTED},
	{MADV_MERGEABLE, MERGEABLE, 0},
	{MADV_UNMERGEABLE, 0, MERGEABLE},
};
#define FLAG_ADVICE (sizeof(flag_advice) / sizeof(flag_advice[0]))

static size_t find_flag_advice(int advice)
{
	size_t i = 0;

	while (i < FLAG_ADVICE && flag_advice[i].advice != advice)
		i++;
	return i;
}

static int change_flags(struct process *process, uint64_t start, uint64_t end, size_t which)
{
	struct page *page = twin_page_at(process, start);
	uint32_t flags = (page->flags & ~flag_advice[which].clear) | flag_advice[which].set;

	int advice = flag_advice[which].advice;

	if (advice == MADV_WIPEONFORK && page->file)
		return EINVAL;
	if (page->flags & BARE && (advice == MADV_DOFORK || advice == MADV_DODUMP))
		return EINVAL;
	if (twin_is_device(page) && (advice == MADV_MERGEABLE || advice == MADV_UNMERGEABLE))
		return 0;
	if (flag_advice[which].advice == MADV_MERGEABLE && page->flags & SHARED)
		return 0;
	if (flags == page->flags)
		return 0;
	return twin_modify(process, start, end, flags, page->context);
}

/* --- advice about pages --- */

/*
 * The content may go when memory is needed; until then it is there.  A block of several processes
 * whose content no entry speaks for, or which is in swap, too, is left alone.  Poison goes, as it does with
 * MADV_DONTNEED, and what is in swap.
 */
static void free_page(struct page *page)
{
	struct block *block = page->block;
	bool counts;

	if (page->entry == SWAPPED || (page->entry == MARKER && page->poison))
		twin_entry_clear(page);
	if (page->entry != MEMORY)
		return;
	counts = block->dirty || block->cached || (block->counts && !page->dirty);
	if (counts && block->mappings + block->swaps > 1)
		return;
	block->dirty = block->cached = block->counts = false;
	block->lazy = true;
	page->young = page->dirty = false;
}

/* What others use, too, is not cold. */
static void cool_page(struct page *page)
{
	if (page->entry == MEMORY && page->block->mappings == 1)
		page->young = false;
}

static void guard_page(struct page *page)
{
	if (page->guard)
		return;
	twin_entry_clear(page);
	page->entry = MARKER;
	page->guard = true;
}

static void unguard_page(struct page *page)
{
	if (page->guard)
		twin_entry_clear(page);
}

static const struct {
	int advice;
	bool locked_too; /* else EINVAL for locked memory */
	bool announced;	 /* as a removal */
	void (*apply)(struct page *page);
} page_advice[] = {
	{MADV_DONTNEED, false, true, twin_entry_drop},
	{MADV_DONTNEED_LOCKED, true, true, twin_entry_drop},
	{MADV_REMOVE, false, true, NULL}, /* of the file's pages */
	{MADV_FREE, false, true, free_page},
	{MADV_COLD, false, false, cool_page},
	{MADV_PAGEOUT, false, false, NULL}, /* as there is swap */
	{MADV_GUARD_INSTALL, false, false, guard_page},
	{MADV_GUARD_REMOVE, true, false, unguard_page},
};
#define PAGE_ADVICE (sizeof(page_advice) / sizeof(page_advice[0]))

static size_t find_page_advice(int advice)
{
	size_t i = 0;

	while (i < PAGE_ADVICE && page_advice[i].advice != advice)
		i++;
	return i;
}

/* Guards count as blocks: they must come along at fork. */
static void expect_guards(struct process *process, struct page *page)
{
	size_t index = (size_t)(page - process->pages);

	if (!page->file)
		twin_origin_needed(process, page);
	for (size_t i = twin_vma_begin(process, index), end = twin_vma_end(process, index); i < end;
	     i++)
		process->pages[i].flags |= HAD_GUARDS;
}

/* What is refused before it is told. */
static int check_advice(const struct page *page, size_t which)
{
	int advice = page_advice[which].advice;

	/* For FREE: LOCKED is looked at before the announcement and again behind it. */
	if (page->flags & LOCKED && !page_advice[which].locked_too)
		return EINVAL;
	if (page->flags & BARE && advice != MADV_REMOVE)
		return EINVAL;
	if (twin_is_device(page) && (advice == MADV_GUARD_INSTALL || advice == MADV_GUARD_REMOVE))
		return EINVAL;
	if (advice != MADV_REMOVE)
		return 0;
	if (!page->file)
		return EINVAL;
	return page->flags & SHARED ? 0 : EACCES;
}

/* That of a file needs no mapping any more. */
static int remove_announced(struct thread *thread)
{
	uint64_t count = thread->announced - thread->progress;
	int error = twin_file_punch(thread->removes, thread->removes_at * PAGE_BYTES,
				    count * PAGE_BYTES);

	thread->progress = thread->announced;
	thread->announced = 0;
	return error;
}

static int change_pages(struct thread *thread, uint64_t start, uint64_t end, size_t which)
{
	struct process *process = thread->process;
	struct page *page = twin_page_at(process, start);
	struct userfault *context = page->context;
	int error = check_advice(page, which);

	if (error)
		return error;
	if (page_advice[which].announced && !thread->announced && context &&
	    context->features & UFFD_FEATURE_EVENT_REMOVE) {
		struct event *event = twin_add_event(thread, context, UFFD_EVENT_REMOVE);

		event->message.arg.remove.start = start * PAGE_BYTES;
		event->message.arg.remove.end = end * PAGE_BYTES;
		thread->announced = end;
		thread->removes = page_advice[which].advice == MADV_REMOVE ? page->file : NULL;
		thread->removes_at = page->place;
		if (twin_tell(thread) == BLOCKED)
			return BLOCKED;
	}
	thread->announced = 0;
	if (page_advice[which].advice == MADV_REMOVE)
		return twin_file_punch(page->file, page->place * PAGE_BYTES,
				       (end - start) * PAGE_BYTES);
	if (page->file && page_advice[which].advice == MADV_FREE)
		return EINVAL;
	if (page_advice[which].apply == guard_page)
		expect_guards(process, page);
	/* A leaf that has been copied from nowhere yet is not looked at for being cold. */
	if (!twin_is_dax(page) && page_advice[which].advice != MADV_PAGEOUT &&
	    (page_advice[which].apply != cool_page || page->origin)) {
		twin_leaf_cut(process, start);
		twin_leaf_cut(process, end);
	}
	for (size_t i = twin_find(process, start), last = twin_find(process, end); i < last; i++) {
		if (process->pages[i].entry == DEVICE &&
		    page_advice[which].apply == twin_entry_drop)
			twin_leaf_drop(process, &process->pages[i]);
		else if (page_advice[which].advice == MADV_PAGEOUT)
			twin_page_out(process->target, &process->pages[i]);
		else
			page_advice[which].apply(&process->pages[i]);
	}
	return 0;
}

/* --- the walk --- */

static bool known_advice(int advice)
{
	return find_flag_advice(advice) < FLAG_ADVICE || find_page_advice(advice) < PAGE_ADVICE ||
	       advice == MADV_WILLNEED || advice == MADV_POPULATE_READ ||
	       advice == MADV_POPULATE_WRITE;
}

static void read_ahead(struct process *process, uint64_t start, uint64_t end)
{
	for (size_t i = twin_find(process, start), last = twin_find(process, end); i < last; i++)
		twin_read_ahead(&process->pages[i]);
}

/* One VMA's part of the range. */
static int advise_piece(struct thread *thread, uint64_t start, uint64_t end, int advice)
{
	size_t flags = find_flag_advice(advice), pages = find_page_advice(advice);

	if (flags < FLAG_ADVICE)
		return change_flags(thread->process, start, end, flags);
	if (pages < PAGE_ADVICE)
		return change_pages(thread, start, end, pages);
	read_ahead(thread->process, start, end);
	return 0;
}

static int walk(struct thread *thread, uint64_t end, int advice)
{
	struct process *process = thread->process;
	int error = 0;

	if (thread->announced && thread->removes)
		error = remove_announced(thread);
	if (error)
		return error;
	while (thread->progress < end) {
		size_t index = twin_find(process, thread->progress);
		uint64_t start = end, stop;

		if (index < process->count && process->pages[index].number < end)
			start = process->pages[index].number;
		if (start > thread->progress) {
			/* What was announced is not there any more. */
			if (thread->announced)
				return ENOMEM;
			thread->saw_hole = true;
			thread->progress = start;
			continue;
		}
		stop = twin_part_end(process, index, thread->announced ? thread->announced : end);
		error = advise_piece(thread, start, stop, advice);
		if (error)
			return error;
		thread->progress = stop;
	}
	return thread->saw_hole ? ENOMEM : 0;
}

/* --- populating --- */

static enum answer populate_page(struct process *process, struct page *page, struct thread *thread,
				 bool write)
{
	const struct access access = {
		.thread = thread,
		.address = page->number * PAGE_BYTES,
		.write = write,
		.kernel = true,
	};

	return twin_fault(process, page, &access);
}

/* Whether mlock and others fault a page in by writing. */
static bool by_writing(const struct page *page)
{
	return (page->flags & (MAY_WRITE | SHARED)) == MAY_WRITE;
}

void twin_populate_now(struct process *process, uint64_t start, uint64_t end)
{
	for (uint64_t number = start; number < end; number++) {
		struct page *page = twin_page_at(process, number);

		if (populate_page(process, page, NULL, by_writing(page)) != THERE)
			return;
	}
}

int twin_populate(struct thread *thread, bool strict)
{
	struct process *process = thread->process;
	uint64_t end = thread->populate_end / PAGE_BYTES;

	while (thread->populate < thread->populate_end) {
		size_t index = twin_find(process, thread->populate / PAGE_BYTES);
		struct page *page = &process->pages[index];
		enum answer answer;

		if (index == process->count || page->number >= end)
			break;
		thread->populate = page->number * PAGE_BYTES;
		/* There is nothing to populate. */
		if (page->flags & BARE) {
			thread->populate = twin_part_end(process, index, UINT64_MAX) * PAGE_BYTES;
			continue;
		}
		answer = twin_readable(page)
				 ? populate_page(process, page, thread, by_writing(page))
				 : GUARDED;
		if (answer == SLEEPS)
			return BLOCKED;
		if (answer != THERE && strict)
			return ENOMEM;
		thread->populate = (answer == THERE ? page->number + 1
						    : twin_part_end(process, index, UINT64_MAX)) *
				   PAGE_BYTES;
	}
	thread->populate = thread->populate_end = 0;
	return 0;
}

/* MADV_POPULATE_*: up to the first page that can't be had. */
static int populate_range(struct thread *thread, uint64_t end, bool write)
{
	struct process *process = thread->process;

	while (thread->progress < end) {
		struct page *page = twin_page_at(process, thread->progress);

		if (!page)
			return ENOMEM;
		if (page->flags & BARE || !(page->flags & (write ? MAY_WRITE : MAY_READ)))
			return EINVAL;
		switch (populate_page(process, page, thread, write)) {
		case SLEEPS:
			return BLOCKED;
		case POISONED:
			return EHWPOISON;
		case GUARDED:
		case UNRESOLVED:
			return EFAULT;
		case THERE:
			break;
		}
		thread->progress++;
	}
	return 0;
}

/* --- the calls --- */

int twin_madvise(struct thread *thread, uint64_t address, uint64_t length, int advice)
{
	uint64_t end = address + round_up(length);

	if (!known_advice(advice) || address % PAGE_BYTES)
		return EINVAL;
	if ((length && !round_up(length)) || end < address)
		return EINVAL;
	if (!thread->progress)
		thread->progress = address / PAGE_BYTES;
	if (advice == MADV_POPULATE_READ || advice == MADV_POPULATE_WRITE)
		return populate_range(thread, end / PAGE_BYTES, advice == MADV_POPULATE_WRITE);
	return walk(thread, end / PAGE_BYTES, advice);
}

int twin_lock(struct thread *thread, uint64_t address, uint64_t length, bool on)
{
	struct process *process = thread->process;
	uint64_t start = address & ~(PAGE_BYTES - 1);
	uint64_t end = start + round_up(length + address % PAGE_BYTES);
	uint64_t number = start / PAGE_BYTES;

	if (end < start)
		return EINVAL;
	while (number < end / PAGE_BYTES) {
		struct page *page = twin_page_at(process, number);
		uint32_t flags;
		uint64_t stop;
		int error = 0;

		if (!page)
			return ENOMEM;
		stop = twin_part_end(process, (size_t)(page - process->pages), end / PAGE_BYTES);
		flags = on ? page->flags | LOCKED : page->flags & ~(uint32_t)LOCKED;
		if (flags != page->flags && !twin_is_device(page))
			error = twin_modify(process, number, stop, flags, page->context);
		if (error)
			return error;
		number = stop;
	}
	if (on) {
		thread->populate = start;
		thread->populate_end = end;
	}
	return 0;
}
