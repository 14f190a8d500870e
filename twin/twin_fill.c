/* SPDX-License-Identifier: MIT */
/*
 * The requests that fill pages: copy, zeropage, continue, poison, move.  In shared memory what they
 * bring becomes the file's; private memory of a file may hide a page of it.
 *
 * All work alike: refused while an event waits; bad arguments are refused before the output field is
 * written; the destination must be one registered VMA (of any context); then page after page, until
 * one cannot be filled.  The output field says how many bytes were filled, or why none; after some
 * progress the error is EAGAIN.  Who waits for what was filled is woken.
 */
#include "twin.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* What stands at the destination is no obstacle: nothing does, or (for copy) just a marker. */
static bool is_free(const struct page *page, bool over_markers)
{
	return page->entry == NONE || (over_markers && page->entry == MARKER);
}

/*
 * The destination as records; whether it will be filled or not, its VMA has an origin from now on.
 */
static int find_destination(struct userfault *context, uint64_t start, uint64_t length,
			    struct page **pages)
{
	struct process *process = context->process;
	struct page *page = twin_page_at(process, start / PAGE_BYTES);
	size_t index;

	if (!page)
		return ENOENT;
	twin_origin_needed(process, page);
	index = (size_t)(page - process->pages);
	if (!page->context || twin_vma_end(process, index) - index < length / PAGE_BYTES)
		return ENOENT;
	if (twin_is_device(page))
		return EINVAL;
	*pages = page;
	return 0;
}

/* The end of each request: from an error and the bytes that were filled before it. */
static int conclude(struct userfault *context, const struct uffdio_range *range, uint64_t done,
		    int error, bool silent, int64_t *output)
{
	if (!done) {
		*output = -error;
		return error;
	}
	*output = (int64_t)done;
	if (!silent)
		twin_wake(context, range->start, done);
	return done == range->len ? 0 : EAGAIN;
}

/* Fills what stands at the destination, one page a call. */
typedef int fill_page(struct page *page);

static int fill(struct userfault *context, const struct uffdio_range *range, fill_page *fill_one,
		bool silent, int64_t *output)
{
	struct page *pages;
	uint64_t done = 0;
	int error = find_destination(context, range->start, range->len, &pages);

	while (!error && done < range->len) {
		error = fill_one(&pages[done / PAGE_BYTES]);
		if (!error)
			done += PAGE_BYTES;
	}
	return conclude(context, range, done, error, silent, output);
}

/* What all refuse before they look at memory: 0, or an error that *output tells, too, or not. */
static int check(struct userfault *context, const struct uffdio_range *range, uint64_t mode,
		 uint64_t known, int64_t *output)
{
	if (context->changing) {
		*output = -EAGAIN;
		return EAGAIN;
	}
	if (twin_check_range(context->target, range->start, range->len) || mode & ~known)
		return EINVAL;
	return context->process ? 0 : ESRCH;
}

/* EFAULT: behind the end of the file. */
static bool beyond_end(const struct page *page)
{
	return page->file && !twin_file_has(page->file, page->place);
}

/* Puts a page into the file, and maps it. */
static int share_page(struct page *page, const unsigned char *bytes)
{
	if (!is_free(page, true) || twin_file_block(page->file, page->place))
		return EEXIST;
	memcpy(twin_file_fill(page->file, page->place)->bytes, bytes, PAGE_BYTES);
	twin_file_map(page);
	page->dirty = true;
	return 0;
}

static int zero_page(struct page *page)
{
	static const unsigned char zeros[PAGE_BYTES];

	if (beyond_end(page))
		return EFAULT;
	if (page->flags & SHARED)
		return share_page(page, zeros);
	if (!is_free(page, false))
		return EEXIST;
	page->entry = ZEROS;
	page->young = true;
	return 0;
}

static int poison_page(struct page *page)
{
	if (beyond_end(page))
		return EFAULT;
	if (!is_free(page, false))
		return EEXIST;
	page->entry = MARKER;
	page->poison = true;
	return 0;
}

/* Maps a page of the page cache, which private anonymous memory has not. */
static int continue_page(struct page *page)
{
	if (!page->file || beyond_end(page))
		return EINVAL;
	if (!twin_file_block(page->file, page->place))
		return EFAULT;
	if (!is_free(page, true))
		return EEXIST;
	twin_file_map(page);
	page->dirty = true;
	return 0;
}

static int continue_protected(struct page *page)
{
	int error = page->flags & REPORTS_WRITES ? continue_page(page) : EINVAL;

	if (error)
		return error;
	page->protected = true;
	page->writable = false;
	return 0;
}

int twin_fill_zeros(struct userfault *context, struct uffdio_zeropage *zeros)
{
	int64_t *output = (int64_t *)&zeros->zeropage;
	int error =
		check(context, &zeros->range, zeros->mode, UFFDIO_ZEROPAGE_MODE_DONTWAKE, output);

	return error ? error : fill(context, &zeros->range, zero_page, zeros->mode, output);
}

int twin_fill_poison(struct userfault *context, struct uffdio_poison *poison)
{
	int64_t *output = (int64_t *)&poison->updated;
	int error =
		check(context, &poison->range, poison->mode, UFFDIO_POISON_MODE_DONTWAKE, output);

	return error ? error : fill(context, &poison->range, poison_page, poison->mode, output);
}

int twin_fill_continue(struct userfault *context, struct uffdio_continue *request)
{
	int64_t *output = (int64_t *)&request->mapped;
	int error = check(context, &request->range, request->mode,
			  UFFDIO_CONTINUE_MODE_DONTWAKE | UFFDIO_CONTINUE_MODE_WP, output);

	if (error)
		return error;
	return fill(context, &request->range,
		    request->mode & UFFDIO_CONTINUE_MODE_WP ? continue_protected : continue_page,
		    request->mode & UFFDIO_CONTINUE_MODE_DONTWAKE, output);
}

/* --- copy --- */

/* The source is memory of the process whose thread makes the request: which may have to wait. */
static int read_source(struct thread *reader, uint64_t address, unsigned char *bytes)
{
	for (uint64_t done = 0; done < PAGE_BYTES;) {
		uint64_t at = address + done, part = PAGE_BYTES - at % PAGE_BYTES;
		const struct access access = {
			.thread = reader, .address = at, .kernel = true, .copies = true};
		struct page *page = twin_page_at(reader->process, at / PAGE_BYTES);
		enum answer answer;

		if (!page || !twin_readable(page))
			return EFAULT;
		answer = twin_fault(reader->process, page, &access);
		if (answer != THERE)
			return answer == SLEEPS ? BLOCKED : EFAULT;
		if (part > PAGE_BYTES - done)
			part = PAGE_BYTES - done;
		if (twin_block_at(page))
			memcpy(bytes + done, twin_block_at(page)->bytes + at % PAGE_BYTES, part);
		done += part;
	}
	return 0;
}

static int copy_page(struct page *page, bool protect, uint64_t source, struct thread *reader)
{
	struct block *block = twin_block_new();
	int error = 0;

	if (reader)
		error = read_source(reader, source, block->bytes);
	else
		memcpy(block->bytes, (const void *)(uintptr_t)source, PAGE_BYTES);
	if (!error && beyond_end(page))
		error = EFAULT;
	if (!error && page->flags & SHARED)
		error = share_page(page, block->bytes);
	else if (!error && !is_free(page, true))
		error = EEXIST;
	if (error || page->flags & SHARED)
		free(block);
	if (error)
		return error;
	if (!(page->flags & SHARED))
		twin_entry_set_block(page, block);
	page->protected = protect;
	if (protect)
		page->writable = false;
	return 0;
}

/* A reader's memory ends where that of all processes does. */
static bool source_in_range(const struct userfault *context, const struct uffdio_copy *copy,
			    const struct thread *reader)
{
	uint64_t highest = reader ? context->target->limits.highest : UINT64_MAX;

	return copy->len <= highest && copy->src <= highest - copy->len;
}

/* Goes on behind what was copied before it slept (reader->progress, in bytes): the source first, then
 * the destination is looked up anew, all of it. */
int twin_fill_copy(struct userfault *context, struct uffdio_copy *copy, struct thread *reader)
{
	const struct uffdio_range range = {.start = copy->dst, .len = copy->len};
	uint64_t done = reader ? reader->progress : 0;
	bool protect = copy->mode & UFFDIO_COPY_MODE_WP;
	int64_t *output = (int64_t *)&copy->copy;
	struct page *pages = NULL;
	int error = 0;

	if (reader && reader->waited) {
		unsigned char bytes[PAGE_BYTES];

		error = read_source(reader, copy->src + done, bytes);
	} else {
		error = check(context, &range, copy->mode,
			      UFFDIO_COPY_MODE_WP | UFFDIO_COPY_MODE_DONTWAKE, output);
		if (error)
			return error;
		if (!source_in_range(context, copy, reader))
			return EINVAL;
	}
	if (!error && !context->process)
		error = ESRCH;
	if (!error)
		error = find_destination(context, range.start, range.len, &pages);
	if (!error && context->changing)
		error = EAGAIN;
	if (!error && protect && !(pages->flags & REPORTS_WRITES))
		error = EINVAL;
	while (!error && done < range.len) {
		error = copy_page(&pages[done / PAGE_BYTES], protect, copy->src + done, reader);
		if (!error)
			done += PAGE_BYTES;
	}
	if (error == BLOCKED) {
		reader->progress = done;
		reader->waited = true;
		return BLOCKED;
	}
	return conclude(context, &range, done, error, copy->mode & UFFDIO_COPY_MODE_DONTWAKE,
			output);
}

/* --- move --- */

/* Both VMAs must be alike, and the destination's context be this one. */
static int check_move(struct userfault *context, const struct uffdio_move *move)
{
	struct process *process = context->process;
	struct page *to = twin_page_at(process, move->dst / PAGE_BYTES);
	struct page *from = twin_page_at(process, move->src / PAGE_BYTES);
	uint64_t count = move->len / PAGE_BYTES;

	if (!to)
		return ENOENT;
	twin_origin_needed(process, to);
	if (!from)
		return ENOENT;
	if (twin_vma_end(process, (size_t)(from - process->pages)) <
		    (size_t)(from - process->pages) + count ||
	    twin_vma_end(process, (size_t)(to - process->pages)) <
		    (size_t)(to - process->pages) + count)
		return EINVAL;
	if ((from->flags ^ to->flags) & (MAY_ANYTHING | LOCKED) || !(from->flags & MAY_WRITE) ||
	    to->context != context || from->file || to->file)
		return EINVAL;
	return 0;
}

static int move_page(struct page *from, struct page *to, bool holes)
{
	if (to->entry != NONE)
		return EEXIST;
	switch (from->entry) {
	case NONE:
		return holes ? 0 : ENOENT;
	case MARKER:
	case DEVICE: /* of no file, see check_move() */
		return EFAULT;
	case ZEROS:
		to->entry = ZEROS;
		to->young = true;
		break;
	case SWAPPED:
		if (!from->exclusive)
			return EBUSY;
		to->entry = SWAPPED;
		to->block = from->block;
		to->exclusive = true;
		to->block->swaps++;
		break;
	case MEMORY:
		if (!from->exclusive || from->block->pins)
			return EBUSY;
		twin_entry_set_block(to, from->block);
		to->dirty = from->dirty;
		break;
	}
	twin_entry_clear(from);
	return 0;
}

int twin_fill_move(struct userfault *context, struct uffdio_move *move)
{
	const struct uffdio_range range = {.start = move->dst, .len = move->len};
	bool holes = move->mode & UFFDIO_MOVE_MODE_ALLOW_SRC_HOLES;
	int64_t *output = (int64_t *)&move->move;
	uint64_t done = 0;
	int error = check(context, &range, move->mode,
			  UFFDIO_MOVE_MODE_DONTWAKE | UFFDIO_MOVE_MODE_ALLOW_SRC_HOLES, output);

	if (error == EAGAIN)
		return error;
	/* It is for the caller's own memory, which that of a process that has ended is not. */
	if (error || twin_check_range(context->target, move->src, move->len))
		return EINVAL;
	error = check_move(context, move);
	while (!error && done < move->len) {
		error = move_page(twin_page_at(context->process, (move->src + done) / PAGE_BYTES),
				  twin_page_at(context->process, (move->dst + done) / PAGE_BYTES),
				  holes);
		if (!error)
			done += PAGE_BYTES;
	}
	return conclude(context, &range, done, error, move->mode & UFFDIO_MOVE_MODE_DONTWAKE,
			output);
}
