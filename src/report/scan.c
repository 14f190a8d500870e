/* SPDX-License-Identifier: MIT */
/*
 * PAGEMAP_SCAN.
 *
 * What categories a page has depends on the traits of its entry and on the flags of its VMA.  So
 * for each VMA it is settled beforehand which sets of traits match, and the walk (src/table/scan.c)
 * calls back for entries that do, and for no others.  An entry stands for as many pages as its
 * level says: an empty terabyte is two of them.
 *
 * The last region stays open, to grow by what follows, until one begins that differs.
 *
 * A unit of work is a piece of one VMA; tables are taken beforehand, so that a page which has been
 * reported is protected too.  Of memory with a page size of its own a scan that protects leaves out,
 * and does not report, the pages that it does not cover wholly; where one of them would be more than may
 * be reported it ends.
 */
#include <quire/scan.h>

#include "space/space.h"
#include "table/scan.h"

_Static_assert(sizeof(struct quire_scan) == 96, "as Linux's struct pm_scan_arg");
_Static_assert(sizeof(struct quire_scan_region) == 24, "as Linux's struct page_region");

#define KNOWN_FLAGS	 (QUIRE_SCAN_WP_MATCHING | QUIRE_SCAN_CHECK_WPASYNC)
#define KNOWN_CATEGORIES ((QUIRE_PAGE_IS_GUARD << 1) - 1)

struct scan {
	struct quire_space *space;
	const struct quire_scan *argument;
	uint64_t position, end; /* still to be looked at */
	uint64_t pages_left;	/* that may still be reported */
	uint64_t regions;	/* reported, the open one among them */
	struct quire_scan_region open;
	uint64_t vma_flags; /* of the piece that is looked at */
	bool files;	    /* the VMA maps an object */
	uint64_t unit;	    /* bytes that are protected together: the VMA's own page size */
	unsigned traits;    /* of the entry reported last in it, and what is told of such */
	uint64_t categories;
	struct gather gather;
};

static bool has_flag(const struct scan *scan, uint64_t flag)
{
	return scan->argument->flags & flag;
}

static bool wp_allowed(uint64_t vma_flags)
{
	return (vma_flags & VMA_UFFD_WP) && (vma_flags & VMA_UFFD_ASYNC);
}

/* --- categories --- */

static uint64_t categories_of(unsigned traits, uint64_t vma_flags)
{
	uint64_t categories = wp_allowed(vma_flags) ? QUIRE_PAGE_IS_WPALLOWED : 0;

	if (traits ? !(traits & TRAIT_PROTECTED) : (vma_flags & VMA_UFFD_WP) != 0)
		categories |= QUIRE_PAGE_IS_WRITTEN;
	if (traits & TRAIT_FILE)
		categories |= QUIRE_PAGE_IS_FILE;
	if (traits & TRAIT_LEAF)
		categories |= QUIRE_PAGE_IS_PRESENT;
	if (traits & TRAIT_MARKER)
		categories |= QUIRE_PAGE_IS_SWAPPED;
	if (traits & TRAIT_ZERO)
		categories |= QUIRE_PAGE_IS_PFNZERO;
	if (traits & TRAIT_HUGE)
		categories |= QUIRE_PAGE_IS_HUGE;
	if (traits & TRAIT_GUARD)
		categories |= QUIRE_PAGE_IS_GUARD;
	return categories;
}

static bool matches(const struct quire_scan *argument, uint64_t categories)
{
	categories ^= argument->category_inverted;
	if ((categories & argument->category_mask) != argument->category_mask)
		return false;
	return !argument->category_anyof_mask || (categories & argument->category_anyof_mask);
}

static void find_wanted(const struct quire_scan *argument, uint64_t vma_flags,
			uint64_t wanted[TRAIT_SETS / 64])
{
	for (unsigned traits = 0; traits < TRAIT_SETS; traits++)
		if (matches(argument, categories_of(traits, vma_flags)))
			wanted[traits / 64] |= (uint64_t)1 << traits % 64;
}

/* --- regions --- */

static void write_open_region(struct scan *scan)
{
	char *regions = (char *)(uintptr_t)scan->argument->vec;

	if (scan->regions)
		memcpy(regions + (scan->regions - 1) * sizeof(scan->open), &scan->open,
		       sizeof(scan->open));
}

static void tell_of(struct scan *scan, unsigned traits)
{
	scan->traits = traits;
	scan->categories = categories_of(traits, scan->vma_flags) & scan->argument->return_mask;
}

/* A region that what begins at `start` belongs to is open; false: there is no room for one. */
static bool open_region(struct scan *scan, uint64_t start)
{
	if (scan->regions && scan->open.end == start && scan->open.categories == scan->categories)
		return true;
	if (scan->regions == scan->argument->vec_len)
		return false;
	write_open_region(scan);
	scan->open = (struct quire_scan_region){start, start, scan->categories};
	scan->regions++;
	return true;
}

/* Reports as much of [start, end) as it can; how far that is. */
static uint64_t report(void *context, unsigned traits, uint64_t start, uint64_t end)
{
	struct scan *scan = context;
	uint64_t pages = min_u64((end - start) >> PAGE_SHIFT, scan->pages_left);

	if (!scan->argument->vec_len)
		return end;
	pages -= pages % (scan->unit >> PAGE_SHIFT);
	if (traits != scan->traits)
		tell_of(scan, traits);
	if (!pages || !open_region(scan, start))
		return start;
	scan->pages_left -= pages;
	scan->open.end = start + (pages << PAGE_SHIFT);
	return scan->open.end;
}

/* The page of the object at `address` is in swap. */
static bool swapped(void *context, uint64_t address)
{
	const struct scan *scan = context;

	return vma_swapped(vma_find(scan->space, address), address);
}

/* --- the walk --- */

/* Looks at [position, end) of one VMA.  0, or -NO_FRAMES: nothing was done. */
static int scan_piece(struct scan *scan, uint64_t end)
{
	bool protect = has_flag(scan, QUIRE_SCAN_WP_MATCHING);
	uint64_t inside = scan->unit - 1;
	struct table_reserve reserve = {0};
	struct table_scan walk = {
		.tables = &scan->space->tables,
		.start = (scan->position + inside) & ~inside,
		.end = end & ~inside,
		.files = scan->files,
		.take = report,
		.swapped = swapped,
		.context = scan,
		.room = scan->unit == PAGE_SIZE && scan->argument->vec_len ? &scan->pages_left
									   : NULL,
		.gather = protect ? &scan->gather : NULL,
		.reserve = &reserve,
	};

	if (walk.start >= walk.end) {
		scan->position = end;
		return 0;
	}
	find_wanted(scan->argument, scan->vma_flags, walk.wanted);
	if (protect) {
		unsigned cost = table_scan_cost(walk.tables, walk.start, walk.end,
						scan->argument->max_pages != 0);
		int error = table_reserve(scan->space->machine, &reserve, cost);

		if (error)
			return error;
	}
	scan->position = table_scan(&walk);
	if (scan->position == walk.end)
		scan->position = end;
	table_unreserve(scan->space->machine, &reserve);
	return 0;
}

/* -EPERM; 0: `*look` says whether the VMA is to be looked at. */
static int admit(const struct scan *scan, const struct vma *vma, bool *look)
{
	bool allowed = wp_allowed(vma->flags);
	bool protect = has_flag(scan, QUIRE_SCAN_WP_MATCHING);

	if (!allowed && has_flag(scan, QUIRE_SCAN_CHECK_WPASYNC))
		return -QUIRE_EPERM;
	*look = protect ? allowed : scan->argument->vec_len != 0;
	/* Bare frames are nobody's pages. */
	*look = *look && !(vma->flags & VMA_PFNMAP);
	return 0;
}

/* Goes on until the end, an error, or a page that cannot be reported, where position then is.
 * Space's lock held. */
static int scan_range(struct scan *scan)
{
	int error = 0;

	while (!error && scan->position < scan->end) {
		const struct vma *vma = vma_find(scan->space, scan->position);
		uint64_t end;
		bool look;

		if (!vma || vma->start >= scan->end) {
			scan->position = scan->end;
			break;
		}
		scan->position = max_u64(scan->position, vma->start);
		end = min_u64(scan->end, vma->end);
		error = admit(scan, vma, &look);
		if (error)
			break;
		scan->vma_flags = vma->flags;
		scan->files = vma->object != NULL;
		scan->unit =
			has_flag(scan, QUIRE_SCAN_WP_MATCHING) ? vma_page_size(vma) : PAGE_SIZE;
		tell_of(scan, 0);
		if (look)
			error = scan_piece(scan, end);
		else
			scan->position = end;
		if (scan->position < end)
			break;
	}
	return error;
}

static int scan_locked(struct scan *scan)
{
	struct quire_space *space = scan->space;
	int error;

	if (!has_flag(scan, QUIRE_SCAN_WP_MATCHING)) {
		space_read_lock(space);
		error = scan_range(scan);
		space_read_unlock(space);
		return error;
	}
	space_write_lock(space);
	gather_begin(&scan->gather, &space->tables, QUIRE_NOTIFIER_PROTECT);
	error = scan_range(scan);
	gather_end(&scan->gather);
	space_write_unlock(space);
	return error;
}

/* --- the call --- */

static int check_regions(const struct quire_scan *argument)
{
	uint64_t bytes = argument->vec_len * sizeof(struct quire_scan_region);

	if (!argument->vec)
		return argument->vec_len ? -QUIRE_EINVAL : 0;
	if (bytes / sizeof(struct quire_scan_region) != argument->vec_len ||
	    argument->vec > UINTPTR_MAX || bytes > UINTPTR_MAX - argument->vec)
		return -QUIRE_EFAULT;
	return 0;
}

static int check(const struct quire_space *space, const struct quire_scan *argument)
{
	uint64_t categories = argument->category_inverted | argument->category_mask |
			      argument->category_anyof_mask | argument->return_mask;

	if (argument->size != sizeof(*argument) || argument->flags & ~KNOWN_FLAGS ||
	    categories & ~KNOWN_CATEGORIES || !page_aligned(argument->start))
		return -QUIRE_EINVAL;
	if (!space_holds(space, argument->start, argument->end - argument->start))
		return -QUIRE_EFAULT;
	return check_regions(argument);
}

int64_t quire_pagemap_scan(struct quire_space *space, struct quire_scan *argument)
{
	struct scan scan = {
		.space = space,
		.argument = argument,
		.position = argument->start,
		.end = page_up(argument->end),
		.pages_left = argument->max_pages ? argument->max_pages : UINT64_MAX,
	};
	unsigned tries = 0;
	int error = check(space, argument);

	if (error)
		return error;
	do
		error = scan_locked(&scan);
	while (error == -NO_FRAMES && space_reclaim(space, &tries));
	if (has_flag(&scan, QUIRE_SCAN_WP_MATCHING))
		strict_watch(space, argument->start, scan.position);
	write_open_region(&scan);
	argument->walk_end = error == -QUIRE_EPERM ? scan.end : scan.position;
	if (error == -NO_FRAMES)
		error = scan.regions ? 0 : -QUIRE_ENOMEM;
	return error ? error : (int64_t)scan.regions;
}
