/* SPDX-License-Identifier: MIT */
/*
 * mmap, munmap, mprotect, and where a mapping goes.
 */
#include "twin.h"

#include <errno.h>
#include <sys/mman.h>

/* More than there is memory is refused; what several calls ask for is not added up. */
bool twin_too_much(const struct process *process, uint64_t length)
{
	return length > process->target->limits.commit;
}

/* --- placement --- */

/* The end of the highest hole below `top` in which `length` bytes have room, or 0. */
static uint64_t hole_end(const struct process *process, uint64_t length)
{
	const struct limits *limits = &process->target->limits;
	uint64_t end = limits->top;
	size_t index = twin_find(process, end / PAGE_BYTES);

	for (;;) {
		uint64_t begin = limits->lowest;

		if (index > 0)
			begin = (process->pages[index - 1].number + 1) * PAGE_BYTES;
		if (begin < end && end - begin >= length)
			return end;
		if (index == 0)
			return 0;
		index = twin_vma_begin(process, index - 1);
		end = process->pages[index].number * PAGE_BYTES;
	}
}

/* What memory is aligned to; 0: nothing. */
struct alignment {
	uint64_t span, phase;
	bool low; /* where there is a span too much, that is left above */
};

/* So that whole leaves of it fit: those of devices where the offset does. */
static struct alignment alignment_of(const struct process *process, uint64_t length,
				     const struct file *file, uint64_t index)
{
	uint64_t table = process->target->limits.table;
	struct alignment align = {.span = table};

	if (!file || !file->device) {
		align.span = !file && length % table == 0 ? table : 0;
		return align;
	}
	if (file->kind == DEVICE_DAX) {
		align.span = twin_file_page(file);
		align.low = true;
	}
	align.phase = index * PAGE_BYTES % align.span;
	if (length < align.span + (align.span - align.phase) % align.span)
		align.span = 0;
	return align;
}

uint64_t twin_free_place(struct process *process, uint64_t length, const struct file *file,
			 uint64_t index)
{
	struct alignment align = alignment_of(process, length, file, index);
	uint64_t end, place;

	if (align.span) {
		end = hole_end(process, length + align.span);
		place = end - length - (align.low ? align.span : 0);
		if (end && align.low)
			return place + (align.phase - place) % align.span;
		if (end)
			return place - (place - align.phase) % align.span;
	}
	end = hole_end(process, length);
	return end ? end - length : 0;
}

/* The hint if it can be had, else wherever there is room. */
static uint64_t place_near(struct process *process, uint64_t hint, uint64_t length,
			   const struct file *file, uint64_t index)
{
	const struct limits *limits = &process->target->limits;

	hint &= ~(PAGE_BYTES - 1);
	if (!hint)
		return twin_free_place(process, length, file, index);
	if (hint < limits->lowest)
		hint = limits->lowest;
	if (hint <= limits->highest - length &&
	    !twin_mapped_in(process, hint / PAGE_BYTES, (hint + length) / PAGE_BYTES))
		return hint;
	/* A hint that is not taken: not aligned to huge pages either. */
	hint = hole_end(process, length);
	return hint ? hint - length : 0;
}

static int place(struct process *process, const struct call *call, uint64_t length,
		 uint64_t *address)
{
	const struct limits *limits = &process->target->limits;

	if (length > limits->highest)
		return ENOMEM;
	if (!(call->flags & (MAP_FIXED | MAP_FIXED_NOREPLACE))) {
		static const struct file shared;
		const struct file *file = call->flags & MAP_ANONYMOUS ? NULL : call->file;

		if (call->flags & MAP_ANONYMOUS && call->flags & MAP_SHARED)
			file = &shared;
		*address =
			place_near(process, call->address, length, file, call->offset / PAGE_BYTES);
		return *address ? 0 : ENOMEM;
	}
	*address = call->address;
	if (*address > limits->highest - length)
		return ENOMEM;
	if (*address % PAGE_BYTES)
		return EINVAL;
	if (*address < limits->lowest)
		return EPERM;
	if (call->flags & MAP_FIXED_NOREPLACE &&
	    twin_mapped_in(process, *address / PAGE_BYTES, (*address + length) / PAGE_BYTES))
		return EEXIST;
	return 0;
}

/* --- mmap --- */

/* Of a device: whole pages of it, or what no call may hold. */
static int choose_device(const struct call *call, uint64_t length, struct page *like)
{
	bool anywhere =
		call->address < PAGE_BYTES && !(call->flags & (MAP_FIXED | MAP_FIXED_NOREPLACE));
	uint64_t bytes = twin_page_bytes(like);

	if (twin_is_pfn(like) && like->flags & MAY_EXECUTE)
		return EPERM;
	like->flags |= twin_is_pfn(like) ? BARE | NOT_DUMPED : HUGE_WANTED;
	if (!twin_is_dax(like))
		return 0;
	if (!(like->flags & SHARED) || like->number * PAGE_BYTES % bytes || length % bytes)
		return EINVAL;
	if (anywhere && call->offset % bytes)
		return EINVAL;
	/* What the offset is inside of. */
	like->place -= like->place % (bytes / PAGE_BYTES);
	return 0;
}

/* What is mapped: of a file, or of a new one if the memory is shared. */
static int choose_file(struct process *process, const struct call *call, uint64_t length,
		       struct page *like)
{
	uint64_t first = call->offset / PAGE_BYTES;

	like->place = like->number;
	if (call->flags & MAP_SHARED)
		like->flags |= SHARED;
	if (call->flags & MAP_ANONYMOUS) {
		if (!(like->flags & SHARED))
			return 0;
		if (twin_too_much(process, length))
			return ENOMEM;
		like->file = twin_file_new(process->target, length);
		like->file->nameless = true;
		like->place = 0;
		return 0;
	}
	like->file = call->file;
	like->place = first;
	if (like->file->device && first + length / PAGE_BYTES <= INT64_MAX / PAGE_BYTES)
		return choose_device(call, length, like);
	/* Whole pages of what a file can have. */
	return first + length / PAGE_BYTES > INT64_MAX / PAGE_BYTES ? EOVERFLOW : 0;
}

int twin_mmap(struct thread *thread, struct call *call)
{
	struct process *process = thread->process;
	uint64_t length = round_up(call->length), address;
	struct page like = {.flags = twin_protection(process->target, call->prot)};
	int error;

	if (!call->length || call->offset % PAGE_BYTES)
		return EINVAL;
	if (!length)
		return ENOMEM;
	if (process->vmas > VMAS_MAX)
		return ENOMEM;
	error = place(process, call, length, &address);
	if (error)
		return error;
	like.number = address / PAGE_BYTES;
	error = choose_file(process, call, length, &like);
	if (error)
		return error;
	/* Only memory that can be written to needs to be there one day. */
	if (call->flags & MAP_NORESERVE)
		like.flags |= NOT_RESERVED;
	else if ((like.flags & (MAY_WRITE | SHARED)) == MAY_WRITE)
		like.flags |= ACCOUNTED;
	if (like.flags & ACCOUNTED && twin_too_much(process, length))
		return ENOMEM;
	if (call->flags & MAP_FIXED) {
		error = twin_unmap_range(thread, address, address + length);
		if (error)
			return error;
	}
	twin_insert(process, &like, length / PAGE_BYTES);
	twin_join(process, like.number, false);
	twin_join(process, like.number + length / PAGE_BYTES, false);
	if (call->flags & MAP_POPULATE) {
		thread->populate = address;
		thread->populate_end = address + length;
	}
	call->value = address;
	return 0;
}

/* --- munmap --- */

/* Each context that is registered in the range, and asked for it, is told once, of the whole. */
static void prepare_unmap_events(struct thread *thread, uint64_t start, uint64_t end)
{
	struct process *process = thread->process;

	for (size_t i = twin_find(process, start / PAGE_BYTES);
	     i < process->count && process->pages[i].number < end / PAGE_BYTES; i++) {
		struct userfault *context = process->pages[i].context;
		struct event *event;

		if (!context || !(context->features & UFFD_FEATURE_EVENT_UNMAP))
			continue;
		for (event = thread->events; event; event = event->next)
			if (event->context == context && event->message.event == UFFD_EVENT_UNMAP &&
			    event->message.arg.remove.start == start &&
			    event->message.arg.remove.end == end)
				break;
		if (event)
			continue;
		event = twin_add_event(thread, context, UFFD_EVENT_UNMAP);
		event->message.arg.remove.start = start;
		event->message.arg.remove.end = end;
	}
}

int twin_unmap_range(struct thread *thread, uint64_t start, uint64_t end)
{
	struct process *process = thread->process;

	if (process->vmas + twin_splits_at(process, start / PAGE_BYTES, end / PAGE_BYTES) >
	    VMAS_MAX)
		return ENOMEM;
	if (!twin_may_split(process, start / PAGE_BYTES) ||
	    !twin_may_split(process, end / PAGE_BYTES))
		return EINVAL;
	prepare_unmap_events(thread, start, end);
	twin_remove_pages(process, start / PAGE_BYTES, end / PAGE_BYTES);
	return 0;
}

int twin_munmap(struct thread *thread, uint64_t address, uint64_t length)
{
	uint64_t highest = thread->process->target->limits.highest;

	if (address % PAGE_BYTES || address > highest || length > highest - address || !length)
		return EINVAL;
	return twin_unmap_range(thread, address, address + round_up(length));
}

/* --- mprotect --- */

uint32_t twin_protection(const struct target *target, int prot)
{
	bool execute_only = target->limits.execute_only && prot == PROT_EXEC;

	return ((uint32_t)prot & MAY_ANYTHING) | (execute_only ? NO_DATA : 0);
}

/* An entry follows its mapping's permission.  It gains write permission at once only if a write
 * would need no fault: its block is its own, and nobody waits to hear of the write. */
static void protect_entry(struct page *page)
{
	bool reports = page->flags & REPORTS_WRITES;
	bool own = page->flags & SHARED ? !reports : page->exclusive;

	/* Only in what a write needs no fault for. */
	if (page->entry == DEVICE)
		own = page->flags & SHARED && page->file->kind != DEVICE_FSDAX;
	page->writable = page->flags & MAY_WRITE && own && !(page->protected && reports);
}

static int protect_piece(struct process *process, uint64_t start, uint64_t end, uint32_t prot)
{
	struct page *page = twin_page_at(process, start);
	uint32_t before = page->flags, flags = (before & ~(uint32_t)PROTECTION) | prot;
	uint32_t taken = ACCOUNTED | NOT_RESERVED | MAY_WRITE | SHARED;
	int error;

	if (before & BARE && prot & MAY_EXECUTE)
		return EACCES;
	if (flags == before)
		return 0;
	if (prot & MAY_WRITE) {
		if (!(before & taken)) {
			if (twin_too_much(process, (end - start) * PAGE_BYTES))
				return ENOMEM;
			flags |= ACCOUNTED;
		}
	} else if (!page->origin && !page->file) {
		flags &= ~(uint32_t)ACCOUNTED;
	}
	error = twin_modify(process, start, end, flags, page->context);
	if (error)
		return error;
	for (size_t i = twin_find(process, start), last = twin_find(process, end); i < last; i++)
		protect_entry(&process->pages[i]);
	/* So that locked memory needs no fault for its first write. */
	if ((before & (MAY_WRITE | LOCKED | SHARED)) == LOCKED && prot & MAY_WRITE)
		twin_populate_now(process, start, end);
	return 0;
}

static int protect_range(struct process *process, uint64_t start, uint64_t end, uint32_t prot)
{
	while (start < end) {
		size_t index = twin_find(process, start);
		uint64_t stop;
		int error;

		if (index == process->count || process->pages[index].number != start)
			return ENOMEM;
		stop = twin_part_end(process, index, end);
		error = protect_piece(process, start, stop, prot);
		if (error)
			return error;
		start = stop;
	}
	return 0;
}

/* PROT_GROWSDOWN and PROT_GROWSUP extend the range over a stack, of which there is none. */
static int check_growing(const struct process *process, uint64_t start, uint64_t end, int grows)
{
	size_t index = twin_find(process, start);

	if (index == process->count)
		return ENOMEM;
	index = twin_vma_begin(process, index);
	if (grows == PROT_GROWSDOWN)
		return process->pages[index].number >= end ? ENOMEM : EINVAL;
	return process->pages[index].number > start ? ENOMEM : EINVAL;
}

int twin_mprotect(struct thread *thread, uint64_t address, uint64_t length, int prot)
{
	const int grows = PROT_GROWSDOWN | PROT_GROWSUP, sem = 8;
	struct process *process = thread->process;
	uint64_t end = address + round_up(length);
	int error;

	if ((prot & grows) == grows || address % PAGE_BYTES)
		return EINVAL;
	if (!length)
		return 0;
	if (end <= address)
		return ENOMEM;
	if (prot & ~(grows | sem | MAY_ANYTHING))
		return EINVAL;
	if (prot & grows) {
		error = check_growing(process, address / PAGE_BYTES, end / PAGE_BYTES,
				      prot & grows);
		if (error)
			return error;
	}
	return protect_range(process, address / PAGE_BYTES, end / PAGE_BYTES,
			     twin_protection(process->target, prot));
}
