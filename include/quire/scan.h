/* SPDX-License-Identifier: MIT */
/*
 * PAGEMAP_SCAN: which pages of a range are in which state, and, with write protection by
 * userfaultfd in async mode, what was written since the last look.
 *
 * The interface is that of Linux (Documentation/admin-guide/mm/pagemap.rst), bit for bit: a host
 * kernel can hand its user's argument on as it is.
 *
 *	written since the last look, and from now on protected again, at most 64 regions:
 *
 *	struct quire_scan_region regions[64];
 *	struct quire_scan scan = {
 *		.size = sizeof(scan), .flags = QUIRE_SCAN_WP_MATCHING | QUIRE_SCAN_CHECK_WPASYNC,
 *		.start = start, .end = end, .vec = (uintptr_t)regions, .vec_len = 64,
 *		.category_mask = QUIRE_PAGE_IS_WRITTEN, .return_mask = QUIRE_PAGE_IS_WRITTEN,
 *	};
 *	int64_t count = quire_pagemap_scan(space, &scan); (then on from scan.walk_end)
 */
#ifndef QUIRE_SCAN_H
#define QUIRE_SCAN_H

#include <stdint.h>

#include <quire/space.h>

/* Categories: what a page is. */
#define QUIRE_PAGE_IS_WPALLOWED ((uint64_t)1 << 0) /* its VMA is registered for WP, async */
/* Not write-protected by userfaultfd; of empty entries only in VMAs that are registered for WP. */
#define QUIRE_PAGE_IS_WRITTEN ((uint64_t)1 << 1)
#define QUIRE_PAGE_IS_FILE    ((uint64_t)1 << 2) /* never anonymous memory */
#define QUIRE_PAGE_IS_PRESENT ((uint64_t)1 << 3)
/* In swap, and all that a marker stands for: write protection, guard pages, poison. */
#define QUIRE_PAGE_IS_SWAPPED	 ((uint64_t)1 << 4)
#define QUIRE_PAGE_IS_PFNZERO	 ((uint64_t)1 << 5) /* the page of zeros */
#define QUIRE_PAGE_IS_HUGE	 ((uint64_t)1 << 6) /* a leaf above the lowest level */
#define QUIRE_PAGE_IS_SOFT_DIRTY ((uint64_t)1 << 7) /* never: there are no soft-dirty bits */
#define QUIRE_PAGE_IS_GUARD	 ((uint64_t)1 << 8)

/* Flags. */
#define QUIRE_SCAN_WP_MATCHING	 ((uint64_t)1 << 0) /* protects the pages that it reports */
#define QUIRE_SCAN_CHECK_WPASYNC ((uint64_t)1 << 1) /* refuses memory that is not WPALLOWED */

/* Pages that follow one another and agree in the categories asked for. */
struct quire_scan_region {
	uint64_t start, end; /* addresses */
	uint64_t categories; /* QUIRE_PAGE_IS_*, of return_mask */
};

/* struct pm_scan_arg. */
struct quire_scan {
	uint64_t size;	     /* of this structure: 96 */
	uint64_t flags;	     /* QUIRE_SCAN_* */
	uint64_t start, end; /* addresses; `end` is rounded up to a page */
	uint64_t walk_end;   /* out: where the scan stopped; `end` when it is done */
	uint64_t vec;	     /* host pointer to regions, aligned or not; 0: none */
	uint64_t vec_len;    /* regions that `vec` has room for; 0: nothing is told */
	uint64_t
		max_pages; /* to be reported at most; 0: any number.  Only where `vec_len` is not 0 */
	/*
	 * A page matches if, its categories XORed with category_inverted, it has all of
	 * category_mask and (that being not 0) one of category_anyof_mask.
	 */
	uint64_t category_inverted, category_mask, category_anyof_mask;
	uint64_t return_mask; /* categories to be told; 0 gives regions without any */
};

/*
 * Reports the pages of [start, end) that match, as regions in `vec`, ascending and as large as can
 * be.  What is not mapped is passed over.
 *
 * The scan stops early, with walk_end at the first matching page that it could not report, when
 * `vec` is full or max_pages are reported; going on from there gives the same as one large scan.
 *
 * WP_MATCHING protects the pages that are reported, and no others, as UFFDIO_WRITEPROTECT does,
 * markers on empty entries, guards and poison included; without a `vec`, all that match.  Memory
 * that is not WPALLOWED is passed over then, and so is a page of a device's own size (QUIRE_DEVICE_DAX) of
 * which the range or max_pages has a part only.  When the call returns, no CPU can write to a reported
 * page without clearing its mark, and whatever was written before is in pages that were reported.
 *
 * => Takes the space's lock: for writing with WP_MATCHING, else for reading.
 * => Cost: the populated entries of the range, and its VMAs; never its size.
 * => Allocates with WP_MATCHING alone: page tables, a handful for each VMA.
 *
 * The number of regions filled in, or
 *   -EINVAL  wrong size; unknown flag or category; `start` is not page aligned; vec_len without vec
 *   -EFAULT  the range wraps or leaves the address space; `vec` does not fit into memory
 *   -EPERM   CHECK_WPASYNC, and the scan came upon a VMA that is not WPALLOWED.  What it did
 *            before, in `vec` and in the page tables, stays; walk_end is `end`, as on Linux
 *   -ENOMEM  WP_MATCHING found no frame for a page table, and nothing was reported yet.  If
 *            something was, the scan stops there as if `vec` were full, so that no report is lost
 * With -EINVAL and -EFAULT nothing was done and walk_end is as it was.
 */
int64_t quire_pagemap_scan(struct quire_space *space, struct quire_scan *argument);

#endif
