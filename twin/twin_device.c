/* SPDX-License-Identifier: MIT */
/*
 * Devices: memory that is mapped by leaves of several sizes.
 *
 * A record of a page says how large the leaf is that it is a part of (`level`).  What is in a leaf says all the same, but for
 * the content; a smaller leaf is made of a larger one by saying so in each of its records.  A marker has a level, too: where one
 * stands, no leaf is larger.
 *
 *	dax	all leaves have one size: where it does not fit, nothing can be accessed, and no VMA is split
 *	fsdax	a file; a leaf is of pages that are filled, or of holes
 *	pfn	no reports tell of it, and the kernel does not touch it
 *
 * The content is the file's: a block for each page that was written to.
 */
#include "twin.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define GROWTH (UINT64_C(64) << 20) /* that a file of extents may grow at least */

static uint64_t leaf_pages(const struct target *target, unsigned level)
{
	uint64_t pages = 1;

	while (level--)
		pages *= target->limits.table / PAGE_BYTES;
	return pages;
}

static uint64_t align_up(uint64_t pages, uint64_t to)
{
	return (pages + to - 1) / to * to;
}

static uint64_t page_count(uint64_t size)
{
	return size / PAGE_BYTES + (size % PAGE_BYTES != 0);
}

struct file *twin_device_new(struct target *target, enum device_kind kind, unsigned level,
			     uint64_t size)
{
	uint64_t unit = kind == DEVICE_FSDAX ? 1
			: kind == DEVICE_DAX ? leaf_pages(target, level) * PAGE_BYTES
					     : PAGE_BYTES;
	struct file *file;

	if (size > INT64_MAX / 4 || size % unit || (!size && kind != DEVICE_FSDAX)) {
		errno = EINVAL;
		return NULL;
	}
	file = twin_file_new(target, size);
	file->device = true;
	file->kind = kind;
	file->level = level;
	file->extents = align_up(page_count(kind == DEVICE_FSDAX ? 2 * size + GROWTH : size),
				 leaf_pages(target, level));
	if (kind == DEVICE_FSDAX) {
		file->filled = twin_allocate(file->extents);
		memset(file->filled, true, page_count(size));
	}
	return file;
}

bool twin_is_device(const struct page *page)
{
	return page->file && page->file->device;
}

bool twin_is_pfn(const struct page *page)
{
	return twin_is_device(page) && page->file->kind == DEVICE_PFN;
}

bool twin_is_dax(const struct page *page)
{
	return twin_is_device(page) && page->file->kind == DEVICE_DAX;
}

uint64_t twin_file_page(const struct file *file)
{
	return file->device && file->kind == DEVICE_DAX
		       ? leaf_pages(file->target, file->level) * PAGE_BYTES
		       : PAGE_BYTES;
}

uint64_t twin_page_bytes(const struct page *page)
{
	return page->file ? twin_file_page(page->file) : PAGE_BYTES;
}

/* --- leaves --- */

struct leaf {
	size_t first, end; /* records */
};

static struct leaf leaf_of(const struct process *process, const struct page *page, unsigned level)
{
	uint64_t pages = leaf_pages(process->target, level), start = page->number / pages * pages;

	return (struct leaf){.first = twin_find(process, start),
			     .end = twin_find(process, start + pages)};
}

void twin_leaf_cut(struct process *process, uint64_t number)
{
	struct page *page = twin_page_at(process, number);

	while (page && page->level && number % leaf_pages(process->target, page->level)) {
		struct leaf leaf = leaf_of(process, page, page->level);

		for (size_t i = leaf.first; i < leaf.end; i++)
			process->pages[i].level--;
	}
}

void twin_leaf_shrink(struct process *process, struct page *page, uint64_t pages)
{
	while (page->level && leaf_pages(process->target, page->level) > pages) {
		struct leaf leaf = leaf_of(process, page, page->level);

		for (size_t i = leaf.first; i < leaf.end; i++)
			process->pages[i].level--;
	}
}

void twin_leaf_drop(struct process *process, struct page *page)
{
	struct leaf leaf = leaf_of(process, page, page->level);

	for (size_t i = leaf.first; i < leaf.end; i++)
		twin_entry_drop(&process->pages[i]);
}

void twin_leaf_fit(struct process *process, struct page *page, uint64_t by)
{
	while (page->level && by % leaf_pages(process->target, page->level))
		page->level--;
}

/* All pages from `number` on, for as many as a leaf has, are of one VMA, and nothing stands there but, perhaps, markers that are
 * as large.  `end`: where the caller ends. */
static bool has_room(const struct process *process, uint64_t number, unsigned level, uint64_t end)
{
	uint64_t pages = leaf_pages(process->target, level);
	size_t first = twin_find(process, number);

	if (number % pages || number + pages > end || first + pages > process->count ||
	    process->pages[first].number != number)
		return false;
	for (size_t i = first; i < first + pages; i++) {
		const struct page *page = &process->pages[i];

		if (page->number != number + (i - first) || (i > first && page->first))
			return false;
		if (page->entry != process->pages[first].entry ||
		    (page->entry == MARKER ? page->level < level : page->entry != NONE))
			return false;
	}
	return true;
}

void twin_marker_set(struct process *process, struct page *page, uint64_t end)
{
	uint64_t number = page->number;
	unsigned level = 2;
	uint64_t pages;

	while (level && !has_room(process, number, level, end))
		level--;
	pages = leaf_pages(process->target, level);
	for (uint64_t i = 0; i < pages; i++) {
		page[i].entry = MARKER;
		page[i].level = level;
	}
}

/* --- what is filled, and what is a hole --- */

static bool is_hole(const struct file *file, uint64_t index)
{
	return file->filled && (index >= file->extents || !file->filled[index]);
}

/* Takes what maps these pages out of all mappings, whole leaves of it. */
static void revoke(const struct file *file, uint64_t start, uint64_t end, bool only_holes)
{
	for (struct process *process = file->target->processes; process; process = process->next)
		for (size_t i = 0; i < process->count; i++) {
			struct page *page = &process->pages[i];

			if (page->file == file && page->entry == DEVICE &&
			    page->place - start < end - start &&
			    (!only_holes || is_hole(file, page->place)))
				twin_leaf_drop(process, page);
		}
}

void twin_device_fill(struct file *file, uint64_t start, uint64_t end)
{
	if (!file->filled || !memchr(file->filled + start, false, end - start))
		return;
	revoke(file, start, end, true);
	memset(file->filled + start, true, end - start);
}

static void fill_leaf(struct file *file, uint64_t index, unsigned level)
{
	uint64_t pages = leaf_pages(file->target, level), start = index / pages * pages;

	twin_device_fill(file, start, start + pages);
}

/* A leaf may show these pages. */
static bool fits_file(const struct file *file, uint64_t index, unsigned level)
{
	uint64_t pages = leaf_pages(file->target, level), start = index / pages * pages;

	if (start + pages > page_count(file->size))
		return false;
	for (uint64_t i = start; i < start + pages; i++)
		if (is_hole(file, i) != is_hole(file, index))
			return false;
	return true;
}

/* --- faults --- */

/* Which leaf comes to stand where the page is; false: none can. */
static bool choose_level(const struct process *process, const struct page *page, unsigned *level)
{
	const struct file *file = page->file;

	*level = file->kind == DEVICE_PFN && !(page->flags & SHARED) ? 0 : file->level;
	for (;; --*level) {
		uint64_t pages = leaf_pages(process->target, *level);
		uint64_t start = page->number / pages * pages;
		bool fits = page->number % pages == page->place % pages &&
			    has_room(process, start, *level, UINT64_MAX) &&
			    fits_file(file, page->place, *level);

		if (fits || !*level || file->kind == DEVICE_DAX)
			return fits || !*level;
	}
}

static bool is_protected(const struct page *page)
{
	return page->protected && page->flags & REPORTS_WRITES;
}

static void install(struct process *process, const struct page *page, unsigned level, bool write)
{
	struct leaf leaf = leaf_of(process, page, level);
	bool writable = page->flags & MAY_WRITE && page->flags & SHARED &&
			(write || page->file->kind != DEVICE_FSDAX);
	bool protected = is_protected(page);

	for (size_t i = leaf.first; i < leaf.end; i++) {
		struct page *part = &process->pages[i];

		twin_entry_clear(part);
		part->entry = DEVICE;
		part->level = level;
		part->protected = protected;
		part->writable = writable && !protected;
	}
}

/* Nothing stands there, or a marker. */
static enum answer map_leaf(struct process *process, struct page *page, bool write)
{
	unsigned level;

	if (!choose_level(process, page, &level))
		return UNRESOLVED;
	if (is_hole(page->file, page->place) && write) {
		if (page->place >= page->file->extents)
			return UNRESOLVED;
		fill_leaf(page->file, page->place, level);
		/* What is no hole any more may be a part of something larger. */
		choose_level(process, page, &level);
	}
	/* A marker that is larger makes room. */
	if (page->entry == MARKER) {
		uint64_t pages = leaf_pages(process->target, level);
		uint64_t start = page->number / pages * pages;

		twin_leaf_cut(process, start);
		twin_leaf_cut(process, start + pages);
	}
	install(process, page, level, write);
	return THERE;
}

static enum answer copy_page(struct process *process, struct page *page)
{
	const struct block *block = twin_file_block(page->file, page->place);
	bool protected = is_protected(page);

	twin_leaf_shrink(process, page, 1);
	twin_entry_set_block(page, twin_block_copy(block));
	page->protected = protected;
	return THERE;
}

/* What was protected is written to: of leaves that can be cut this page alone. */
static void unprotect(struct process *process, struct page *page)
{
	struct leaf leaf;

	if (page->file->kind != DEVICE_DAX)
		twin_leaf_shrink(process, page, 1);
	leaf = leaf_of(process, page, page->level);
	for (size_t i = leaf.first; i < leaf.end; i++)
		process->pages[i].protected = false;
}

enum answer twin_device_fault(struct process *process, struct page *page,
			      const struct access *access)
{
	bool missing = page->entry == NONE || page->entry == MARKER;
	enum answer answer = THERE;

	if (page->protected && !is_protected(page) && page->entry == MARKER) {
		twin_leaf_shrink(process, page, 1);
		twin_entry_clear(page);
	}
	if (!twin_file_has(page->file, page->place))
		return UNRESOLVED;
	if (!(page->flags & SHARED) && access->write) {
		twin_origin_needed(process, page);
		if (is_protected(page) && page->entry != MEMORY)
			unprotect(process, page);
		return page->entry == MEMORY ? THERE : copy_page(process, page);
	}
	if (missing)
		answer = map_leaf(process, page, access->write && !is_protected(page));
	if (answer != THERE || !access->write)
		return answer;
	if (is_protected(page))
		unprotect(process, page);
	if (!is_hole(page->file, page->place))
		return THERE;
	/* Holes that were mapped as zeros. */
	if (page->place >= page->file->extents)
		return UNRESOLVED;
	fill_leaf(page->file, page->place, page->level);
	return map_leaf(process, page, true);
}

/* --- past the mappings --- */

int twin_device_check_transfer(const struct file *file, uint64_t offset, size_t length, bool write)
{
	uint64_t most = file->kind == DEVICE_FSDAX ? file->extents * PAGE_BYTES : file->size;

	if (offset > INT64_MAX || length > INT64_MAX - offset)
		return EINVAL;
	return write && length && offset + length > most ? ENOSPC : 0;
}

void twin_device_discard(struct file *file, uint64_t start, uint64_t end)
{
	for (uint64_t i = start; file->filled && i < end && i < file->extents; i++)
		file->filled[i] = false;
}
