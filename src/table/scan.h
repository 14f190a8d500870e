/* SPDX-License-Identifier: MIT */
/*
 * The walk of PAGEMAP_SCAN: tells entries by their traits, and may write-protect what is taken.
 */
#ifndef QUIRE_TABLE_SCAN_H
#define QUIRE_TABLE_SCAN_H

#include "table/table.h"

/* What a scan tells entries apart by; a set of bits.  An absent entry has none. */
enum table_trait {
	TRAIT_LEAF = 1,
	TRAIT_MARKER = 2,
	TRAIT_PROTECTED = 4, /* by userfaultfd */
	TRAIT_ZERO = 8,	     /* the zero page */
	TRAIT_HUGE = 16,     /* a leaf above level 0 */
	TRAIT_GUARD = 32,
	TRAIT_FILE = 64, /* a page of an object; the highest */
};
#define TRAIT_SETS 128

/*
 * `wanted` has bit n % 64 of word n / 64 where entries of the set of traits n are of interest: the
 * second word is for pages of objects.  Each of them, in order, is offered to take(): how much of
 * [start, end) it takes, up to an address in between; the scan ends where not all is taken.  take()
 * is called with a table locked.
 *
 * With a gather, what is taken is write-protected before the next entry is looked at: leaves get
 * the bit, markers too, and absent entries become markers.  Needs the space's lock for writing,
 * and tables in reserve; else, the lock for reading.  Of a leaf that is protected in part its parts are
 * told of, as on Linux.
 */
struct table_scan {
	struct page_tables *tables;
	uint64_t start, end;
	bool files; /* leaves may be pages of objects */
	uint64_t wanted[TRAIT_SETS / 64];
	uint64_t (*take)(void *context, unsigned traits, uint64_t start, uint64_t end);
	/* Whether the page that was evicted from `address` is in swap. */
	bool (*swapped)(void *context, uint64_t address);
	void *context;
	const uint64_t *
		room; /* pages that take() takes at most: a leaf of more is cut; NULL: no leaf is */
	bool cuts;    /* as with a gather, but leaves are cut only */
	struct gather *gather; /* NULL: only looks */
	struct table_reserve *reserve;
};

/* Where the scan ended: at the first address that was wanted and not taken, or at the end. */
uint64_t table_scan(const struct table_scan *scan);

/* Tables for a protecting scan; `anywhere`: take() may stop inside what it is offered. */
unsigned table_scan_cost(struct page_tables *tables, uint64_t start, uint64_t end, bool anywhere);

#endif
