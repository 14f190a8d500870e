/* SPDX-License-Identifier: MIT */
/*
 * Files of memory: an array of the blocks that there are, by index; what is between them is a hole.
 *
 * A block of a file (`of_file`) stays when nobody maps it, and is everybody's who maps it: never an
 * entry's own.  Private mappings have copies of their own, which only truncation reaches.
 */
#include "twin.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static uint64_t page_count(uint64_t size)
{
	return size / PAGE_BYTES + (size % PAGE_BYTES != 0);
}

struct file *twin_file_new(struct target *target, uint64_t size)
{
	struct file *file;

	if (size > INT64_MAX) {
		errno = EINVAL;
		return NULL;
	}
	file = twin_allocate(sizeof(*file));
	file->target = target;
	file->size = size;
	file->next = target->files;
	target->files = file;
	return file;
}

void twin_file_free(struct file *file)
{
	for (size_t i = 0; i < file->count; i++)
		free(file->blocks[i].block);
	free(file->blocks);
	free(file->filled);
	free(file);
}

bool twin_file_has(const struct file *file, uint64_t index)
{
	return index < page_count(file->size);
}

/* The place in the array of the first block at `index` or behind it. */
static size_t find(const struct file *file, uint64_t index)
{
	size_t low = 0, high = file->count;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (file->blocks[middle].index < index)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

struct block *twin_file_block(const struct file *file, uint64_t index)
{
	size_t place = find(file, index);

	return place < file->count && file->blocks[place].index == index ? file->blocks[place].block
									 : NULL;
}

bool twin_file_shows(const struct file *file, uint64_t index)
{
	const struct block *block = twin_file_block(file, index);

	return !file->device && twin_file_has(file, index) && block && !block->blank &&
	       (!block->swaps || block->cached);
}

bool twin_file_ready(const struct file *file, uint64_t index)
{
	return twin_file_shows(file, index) && !twin_file_block(file, index)->swaps;
}

/* A new block is blank. */
static struct block *allocate_block(struct file *file, uint64_t index)
{
	struct block *block = twin_file_block(file, index);
	size_t place = find(file, index);

	if (block)
		return block;
	if (file->count == PAGES_MAX)
		target_skip("twin: a file with more than %u pages is beyond the twin", PAGES_MAX);
	if (file->count == file->room) {
		file->room = (file->room + 4) * 2;
		file->blocks = realloc(file->blocks, file->room * sizeof(*file->blocks));
		if (!file->blocks)
			target_fail("twin: the host is out of memory");
	}
	memmove(&file->blocks[place + 1], &file->blocks[place],
		(file->count++ - place) * sizeof(*file->blocks));
	block = twin_block_new();
	block->of_file = true;
	block->blank = true;
	file->blocks[place] = (struct file_block){.index = index, .block = block};
	return block;
}

/* To be used: its block is not blank any more. */
struct block *twin_file_fill(struct file *file, uint64_t index)
{
	struct block *block = allocate_block(file, index);

	twin_block_use(block);
	block->blank = false;
	return block;
}

/* --- what takes pages away --- */

void twin_file_drop(struct file *file, uint64_t index)
{
	struct block *block = twin_file_block(file, index);
	size_t place = find(file, index);

	if (!block)
		return;
	block->of_file = false;
	block->swaps = 0;
	twin_block_left(block);
	memmove(&file->blocks[place], &file->blocks[place + 1],
		(--file->count - place) * sizeof(*file->blocks));
}

/* Copies of private mappings are not the file's, and poison is nobody's. */
static bool is_of_file(const struct page *page)
{
	return page->entry == ZEROS || (page->entry == MEMORY && page->block->of_file);
}

/* From all mappings of [start, end) of the file; with `copies`, what is not the file's, too. */
static void unmap_pages(const struct file *file, uint64_t start, uint64_t end, bool copies)
{
	for (struct process *process = file->target->processes; process; process = process->next)
		for (size_t i = 0; i < process->count; i++) {
			struct page *page = &process->pages[i];

			if (page->file != file || page->place - start >= end - start)
				continue;
			if (page->entry == DEVICE)
				twin_leaf_drop(process, page);
			else if (copies || is_of_file(page))
				twin_entry_drop(page);
		}
}

static void drop_pages(struct file *file, uint64_t start, uint64_t end, bool copies)
{
	if (start >= end)
		return;
	unmap_pages(file, start, end, copies);
	twin_device_discard(file, start, end);
	for (size_t i = find(file, end), first = find(file, start); i > first; i--)
		twin_file_drop(file, file->blocks[i - 1].index);
}

/* Of [start, end), which lies within a page. */
static void zero_part(struct file *file, uint64_t start, uint64_t end)
{
	/* A device is asked for a page that can be written to. */
	if (file->device && start < end)
		twin_device_fill(file, start / PAGE_BYTES, start / PAGE_BYTES + 1);
	if (file->device && !twin_file_block(file, start / PAGE_BYTES))
		return;
	struct block *block = twin_file_block(file, start / PAGE_BYTES);

	if (!block || start == end)
		return;
	twin_block_use(block);
	memset(block->bytes + start % PAGE_BYTES, 0, end - start);
	block->dirty = true;
}

int twin_file_truncate(struct file *file, uint64_t size)
{
	if (size > INT64_MAX || (file->device && !file->filled))
		return EINVAL;
	if (size < file->size) {
		if (size % PAGE_BYTES)
			zero_part(file, size, round_up(size));
		drop_pages(file, page_count(size), UINT64_MAX / PAGE_BYTES, true);
	}
	file->size = size;
	return 0;
}

/* EFBIG: the sum is no size of a file. */
static int check_span(const struct file *file, uint64_t offset, uint64_t length)
{
	if (offset > INT64_MAX || length > INT64_MAX || !length)
		return EINVAL;
	if (file->device && !file->filled)
		return ENODEV;
	return length > INT64_MAX - offset ? EFBIG : 0;
}

int twin_file_punch(struct file *file, uint64_t offset, uint64_t length)
{
	uint64_t end = offset + length, first = round_up(offset), last;
	int error = check_span(file, offset, length);

	if (error)
		return error;
	/* Of a device there is nothing behind the end. */
	if (file->device && end > round_up(file->size))
		end = round_up(file->size);
	if (offset >= end)
		return 0;
	last = end - end % PAGE_BYTES;
	if (first > last) {
		zero_part(file, offset, end);
		return 0;
	}
	zero_part(file, offset, first);
	drop_pages(file, first / PAGE_BYTES, last / PAGE_BYTES, false);
	zero_part(file, last, end);
	return 0;
}

/* --- what adds pages --- */

static int allocate_extents(struct file *file, uint64_t offset, uint64_t end)
{
	if (end > file->extents * PAGE_BYTES) {
		if (offset / PAGE_BYTES < file->extents)
			twin_device_fill(file, offset / PAGE_BYTES, file->extents);
		return ENOSPC;
	}
	twin_device_fill(file, offset / PAGE_BYTES, page_count(end));
	if (end > file->size)
		file->size = end;
	return 0;
}

int twin_file_allocate(struct file *file, uint64_t offset, uint64_t length)
{
	int error = check_span(file, offset, length);

	if (error)
		return error;
	if (file->device)
		return allocate_extents(file, offset, offset + length);
	if (length > (uint64_t)PAGES_MAX * PAGE_BYTES)
		target_skip("twin: a file with more than %u pages is beyond the twin", PAGES_MAX);
	for (uint64_t i = offset / PAGE_BYTES; i < page_count(offset + length); i++) {
		struct block *block = twin_file_block(file, i);

		/* Asked for a second time, it is not blank either. */
		if (block)
			twin_file_fill(file, i);
		allocate_block(file, i)->dirty = true;
	}
	if (offset + length > file->size)
		file->size = offset + length;
	return 0;
}

int twin_file_write(struct file *file, uint64_t offset, const void *bytes, size_t length,
		    size_t *done)
{
	*done = 0;
	if (offset > INT64_MAX || length > INT64_MAX - offset)
		return EINVAL;
	if (file->device && twin_device_check_transfer(file, offset, length, true))
		return ENOSPC;
	if (file->device)
		twin_device_fill(file, offset / PAGE_BYTES, page_count(offset + length));
	while (*done < length) {
		uint64_t at = offset + *done, part = PAGE_BYTES - at % PAGE_BYTES;
		struct block *block = twin_file_fill(file, at / PAGE_BYTES);

		if (part > length - *done)
			part = length - *done;
		memcpy(block->bytes + at % PAGE_BYTES, (const char *)bytes + *done, part);
		block->dirty = true;
		*done += part;
	}
	if (length && offset + length > file->size)
		file->size = offset + length;
	return 0;
}

int twin_file_read(struct file *file, uint64_t offset, void *bytes, size_t length, size_t *done)
{
	*done = 0;
	if (offset > INT64_MAX || length > INT64_MAX - offset)
		return EINVAL;
	while (*done < length && offset + *done < file->size) {
		uint64_t at = offset + *done, part = PAGE_BYTES - at % PAGE_BYTES;
		struct block *block = twin_file_block(file, at / PAGE_BYTES);

		if (part > length - *done)
			part = length - *done;
		if (part > file->size - at)
			part = file->size - at;
		if (block) {
			twin_block_use(block);
			memcpy((char *)bytes + *done, block->bytes + at % PAGE_BYTES, part);
		} else {
			memset((char *)bytes + *done, 0, part);
		}
		*done += part;
	}
	return 0;
}

int twin_file_resident(struct file *file, uint64_t offset, uint64_t length, uint64_t *pages)
{
	uint64_t end = offset + length;

	*pages = 0;
	if (offset > INT64_MAX || length > INT64_MAX - offset)
		return EINVAL;
	for (size_t i = find(file, offset / PAGE_BYTES);
	     length && !file->device && i < file->count && file->blocks[i].index < page_count(end);
	     i++)
		*pages += !file->blocks[i].block->swaps;
	return 0;
}

/* --- faults --- */

void twin_file_map(struct page *page)
{
	struct block *block = twin_file_fill(page->file, page->place);

	twin_entry_clear(page);
	block->mappings++;
	page->entry = MEMORY;
	page->block = block;
	page->young = true;
	page->writable = page->flags & SHARED && page->flags & MAY_WRITE;
}

/* A read maps its neighbours that are in the file, too: of its VMA and of the same page table, from
 * where the same 64K or the VMA begin. */
static void map_around(struct process *process, struct page *page)
{
	size_t index = (size_t)(page - process->pages);
	size_t begin = twin_vma_begin(process, index), end = twin_vma_end(process, index);
	size_t before = page->number % AROUND_PAGES;
	uint64_t table = process->target->limits.table / PAGE_BYTES;

	if (page->flags & (REPORTS_WRITES | REPORTS_MINOR))
		return;
	if (index - begin > before)
		begin = index - before;
	if (end - begin > AROUND_PAGES)
		end = begin + AROUND_PAGES;
	for (size_t i = begin; i < end; i++) {
		struct page *other = &process->pages[i];

		if (other != page && other->entry == NONE &&
		    other->number / table == page->number / table &&
		    twin_file_ready(other->file, other->place))
			twin_file_map(other);
	}
}

/* Nothing stands there, or a marker; a private mapping that is written to has a copy at once. */
enum answer twin_file_fault(struct process *process, struct page *page, const struct access *access)
{
	struct block *block = twin_file_block(page->file, page->place);

	if (!access->write)
		map_around(process, page);
	if (!twin_file_has(page->file, page->place))
		return UNRESOLVED;
	if (block && page->flags & REPORTS_MINOR)
		return twin_report_fault(access->thread, page, access, UFFD_PAGEFAULT_FLAG_MINOR);
	if (!block && page->flags & REPORTS_MISSING)
		return twin_report_fault(access->thread, page, access, 0);
	if (access->write && !(page->flags & SHARED)) {
		struct block *copy = twin_block_new();

		block = twin_file_fill(page->file, page->place);
		memcpy(copy->bytes, block->bytes, PAGE_BYTES);
		twin_entry_set_block(page, copy);
	} else {
		twin_file_map(page);
		/* Where writes are reported, the first one faults. */
		if (page->flags & REPORTS_WRITES)
			page->writable = access->write;
		page->dirty = access->write;
		page->block->dirty |= access->write;
	}
	return THERE;
}
