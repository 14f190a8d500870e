/* SPDX-License-Identifier: MIT */
/*
 * PAGEMAP_SCAN: finds pages by what they are, tells of them as regions, and protects them.
 */
#include "twin.h"

#include <errno.h>

#define CATEGORIES (((uint64_t)PAGE_IS_GUARD << 1) - 1)

struct walk {
	struct pm_scan_arg *argument;
	struct page_region *regions; /* NULL: nothing is told */
	size_t count;
	uint64_t pages;
};

static bool tracks_writes(const struct page *page)
{
	return page->context && page->flags & REPORTS_WRITES &&
	       page->context->features & UFFD_FEATURE_WP_ASYNC;
}

/* All that is not protected was written to; but of what is empty that can only be said where it
 * could be protected. */
static uint64_t categories(const struct page *page)
{
	uint64_t is = 0;

	if (tracks_writes(page))
		is |= PAGE_IS_WPALLOWED;
	if (!page->protected && (page->entry != NONE || page->flags & REPORTS_WRITES))
		is |= PAGE_IS_WRITTEN;
	if (page->entry == MEMORY || page->entry == ZEROS || page->entry == DEVICE)
		is |= PAGE_IS_PRESENT;
	if (page->entry == DEVICE && page->level)
		is |= PAGE_IS_HUGE;
	if (page->entry == MEMORY && page->block->of_file)
		is |= PAGE_IS_FILE;
	if (page->entry == ZEROS)
		is |= PAGE_IS_PFNZERO;
	if (page->entry == MARKER || page->entry == SWAPPED)
		is |= PAGE_IS_SWAPPED;
	if (page->guard)
		is |= PAGE_IS_GUARD;
	return is;
}

static bool matches(const struct pm_scan_arg *argument, uint64_t is)
{
	is ^= argument->category_inverted;
	if ((is & argument->category_mask) != argument->category_mask)
		return false;
	return !argument->category_anyof_mask || is & argument->category_anyof_mask;
}

/* Adds the page to the last region or to a new one.  False: there is no room. */
static bool put_page(struct walk *walk, const struct page *page, uint64_t is)
{
	struct page_region *last = walk->count ? &walk->regions[walk->count - 1] : NULL;
	uint64_t address = page->number * PAGE_BYTES;

	if (!walk->regions)
		return true;
	if (walk->argument->max_pages && walk->pages == walk->argument->max_pages)
		return false;
	is &= walk->argument->return_mask;
	if (last && last->end == address && last->categories == is) {
		last->end += PAGE_BYTES;
	} else {
		if (walk->count == walk->argument->vec_len)
			return false;
		walk->regions[walk->count++] = (struct page_region){
			.start = address, .end = address + PAGE_BYTES, .categories = is};
	}
	walk->pages++;
	return true;
}

/* Unlike UFFDIO_WRITEPROTECT it marks guards and poison, too. */
static void mark(struct page *page)
{
	if (page->entry == NONE)
		page->entry = MARKER;
	page->protected = true;
	page->writable = false;
}

/* Pages of devices, which have all been told of: what leaves they have does not change meanwhile. */
static void mark_leaves(struct process *process, uint64_t start, uint64_t end)
{
	struct page *page = twin_page_at(process, start);

	if (start == end || !twin_is_device(page))
		return;
	twin_leaf_cut(process, start);
	twin_leaf_cut(process, end);
	for (uint64_t number = start; number < end; number++, page++) {
		if (page->entry == NONE)
			twin_marker_set(process, page, end);
		mark(page);
	}
}

/* Part of a page that can only be protected as a whole, of which the range or the VMA have not all:
 * where it ends; else 0. */
static uint64_t left_out(const struct process *process, size_t index, uint64_t start, uint64_t end)
{
	const struct page *page = &process->pages[index];
	uint64_t pages = twin_page_bytes(page) / PAGE_BYTES;
	uint64_t first = page->number / pages * pages;
	uint64_t vma_first, vma_last;

	/* One that has begun is there as a whole. */
	if (page->number > first && page->number > start && !page->first)
		return 0;
	vma_first = process->pages[twin_vma_begin(process, index)].number;
	vma_last = process->pages[twin_vma_end(process, index) - 1].number;

	if (pages > 1 && (first < start || first < vma_first || first + pages > end ||
			  first + pages - 1 > vma_last))
		return first + pages;
	return 0;
}

/* All of a page that can only be protected as a whole can be told of. */
static bool has_room(const struct walk *walk, const struct page *page)
{
	uint64_t pages = page ? twin_page_bytes(page) / PAGE_BYTES : 1;

	return !walk->argument->max_pages || !page || page->number % pages ||
	       walk->pages + pages <= walk->argument->max_pages;
}

static int walk_pages(struct walk *walk, struct process *process, uint64_t start, uint64_t end)
{
	struct pm_scan_arg *argument = walk->argument;
	bool marks = argument->flags & PM_SCAN_WP_MATCHING;
	uint64_t told = start, tells = start; /* of devices: [told, tells) */
	int error = 0;

	for (size_t i = twin_find(process, start), last = twin_find(process, end); i < last; i++) {
		struct page *page = &process->pages[i];
		uint64_t is = categories(page);

		if (!tracks_writes(page)) {
			if (argument->flags & PM_SCAN_CHECK_WPASYNC) {
				error = EPERM;
				break;
			}
			if (marks)
				continue;
		}
		if (page->flags & BARE)
			continue;
		if (marks && twin_is_dax(page) && left_out(process, i, start, end)) {
			uint64_t after = left_out(process, i, start, end);

			/* Of this VMA; the next one has its own. */
			i = after < process->pages[twin_vma_end(process, i) - 1].number
				    ? twin_find(process, after) - 1
				    : twin_vma_end(process, i) - 1;
			continue;
		}
		if (!matches(argument, is))
			continue;
		/* Of what is protected in part its parts are told of. */
		if (marks && page->entry == DEVICE && !page->protected && !twin_is_dax(page)) {
			twin_leaf_cut(process, start);
			twin_leaf_cut(process, end);
			if (argument->max_pages > walk->pages && walk->regions)
				twin_leaf_shrink(process, page, argument->max_pages - walk->pages);
			is = categories(page);
			if (!matches(argument, is))
				continue;
		}
		if (!has_room(walk, marks ? page : NULL) || !put_page(walk, page, is)) {
			argument->walk_end = page->number * PAGE_BYTES;
			break;
		}
		if (marks && !twin_is_device(page))
			mark(page);
		if (marks && (page->number != tells || page->first)) {
			mark_leaves(process, told, tells);
			told = page->number;
		}
		tells = page->number + 1;
	}
	if (marks)
		mark_leaves(process, told, tells);
	return error;
}

static int check(const struct target *target, const struct pm_scan_arg *argument)
{
	uint64_t highest = target->limits.highest;
	uint64_t asked = argument->category_inverted | argument->category_mask |
			 argument->category_anyof_mask | argument->return_mask;

	if (argument->size != sizeof(*argument) || asked & ~CATEGORIES ||
	    argument->flags & ~(uint64_t)(PM_SCAN_WP_MATCHING | PM_SCAN_CHECK_WPASYNC) ||
	    argument->start % PAGE_BYTES)
		return EINVAL;
	if (argument->start > argument->end || argument->end > highest)
		return EFAULT;
	return !argument->vec && argument->vec_len ? EINVAL : 0;
}

int twin_scan(struct process *process, struct pm_scan_arg *argument, size_t *regions)
{
	struct walk walk = {.argument = argument};
	int error = check(process->target, argument);

	if (error)
		return error;
	if (argument->vec_len)
		walk.regions = (struct page_region *)(uintptr_t)argument->vec;
	argument->end = round_up(argument->end);
	argument->walk_end = argument->end;
	error = walk_pages(&walk, process, argument->start / PAGE_BYTES,
			   argument->end / PAGE_BYTES);
	*regions = walk.count;
	return error;
}
