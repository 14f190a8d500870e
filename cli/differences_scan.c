/* SPDX-License-Identifier: MIT */
/*
 * The rule scan-empty-written.
 *
 * PAGEMAP_SCAN calls a page "written" whose entry is empty if its memory is registered for write
 * protection.  The kernel calls it so elsewhere, too, where the page table that would hold the
 * entry happens to exist, because of a neighbour.  That shows in which pages match, and by that in
 * where regions begin and end, and in where a limited walk ends.
 *
 * So the regions are compared as what they say of each page.  The rule holds if, wherever the sides
 * differ,
 *  - the page lies in memory that is not registered for write protection,
 *  - the library says of it what a scan with these masks says of an entry with no category, and the
 *    kernel what it says of one that is written and nothing else,
 *  - and, where the scan takes every page, the kernel says the same of all such pages that would
 *    have their entries in the same page table: it exists, or it does not.
 *
 * That a page is empty is only told where the scan reports whether it is there, so scans that do
 * not report "written", "present" and "swapped" have to agree.
 */
#include "differences.h"

#include <string.h>

#include "userfault_abi.h"

#define TABLE_SPAN (UINT64_C(2) << 20) /* of the lowest page table */

/* What a side says of a page: that it is left out, or which categories it has. */
#define LEFT_OUT UINT64_MAX

static bool lists(const struct value *array, const char *name)
{
	for (const struct value *item = array->items; item; item = item->next)
		if (item->kind == VALUE_STRING && strcmp(item->string.bytes, name) == 0)
			return true;
	return false;
}

/* A number that may be an address. */
static uint64_t number(const struct value *value)
{
	return value->kind == VALUE_NAME ? value->address : (uint64_t)value->integer;
}

/* A side's regions, from some address on. */
struct walk {
	const struct scan_record *scan;
	const struct value *region;
	uint64_t base; /* what addresses are relative to */
};

static uint64_t region_start(const struct walk *walk)
{
	return number(difference_field(walk->region, "start")) - walk->base;
}

static uint64_t region_length(const struct value *region)
{
	return number(difference_field(region, "length"));
}

static uint64_t region_end(const struct walk *walk)
{
	return region_start(walk) + region_length(walk->region);
}

static void skip_to(struct walk *walk, uint64_t address)
{
	while (walk->region && region_end(walk) <= address)
		walk->region = walk->region->next;
}

/* Up to where the side says the same as at `address`. */
static uint64_t reach(const struct walk *walk, uint64_t address, uint64_t end)
{
	uint64_t next;

	if (!walk->region)
		return end;
	next = region_start(walk) > address ? region_start(walk) : region_end(walk);
	return next < end ? next : end;
}

static uint64_t said(const struct walk *walk, uint64_t address)
{
	static const struct {
		const char *name;
		uint64_t bit;
	} names[] = {
		{"wpallowed", PAGE_IS_WPALLOWED}, {"written", PAGE_IS_WRITTEN},
		{"file", PAGE_IS_FILE},		  {"present", PAGE_IS_PRESENT},
		{"swapped", PAGE_IS_SWAPPED},	  {"pfnzero", PAGE_IS_PFNZERO},
		{"huge", PAGE_IS_HUGE},		  {"soft_dirty", PAGE_IS_SOFT_DIRTY},
		{"guard", PAGE_IS_GUARD},
	};
	const struct value *categories;
	uint64_t bits = 0;

	if (!walk->region || region_start(walk) > address)
		return LEFT_OUT;
	categories = difference_field(walk->region, "categories");
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (lists(categories, names[i].name))
			bits |= names[i].bit;
	return bits;
}

/* What a scan says of a page with these categories. */
static uint64_t should_say(const struct scan_record *scan, uint64_t categories)
{
	uint64_t compared = categories ^ scan->inverted;

	if ((compared & scan->mask) != scan->mask || (scan->anyof && !(compared & scan->anyof)))
		return LEFT_OUT;
	return categories & scan->report;
}

/* Up to where memory is, or is not, registered for write protection as it is at `address`. */
static bool registered(const struct walk *walk, uint64_t address, uint64_t *end)
{
	for (size_t i = 0; i < walk->scan->registrations; i++) {
		uint64_t from = walk->scan->registered[2 * i] - walk->base;
		uint64_t to = walk->scan->registered[2 * i + 1] - walk->base;

		if ((int64_t)(from - address) > 0) {
			*end = from < *end ? from : *end;
			return false;
		}
		if (to > address && (int64_t)to > 0) {
			*end = to < *end ? to : *end;
			return true;
		}
	}
	return false;
}

/* What has been seen of one page table on the kernel's side. */
struct table {
	uint64_t number;
	bool written, not_written; /* empty pages that it calls written, and others */
};

/* One more empty page of memory that is not registered: does it go with its neighbours? */
static bool same_table(struct table *table, uint64_t number, bool written)
{
	if (table->number != number)
		*table = (struct table){.number = number};
	if (written)
		table->written = true;
	else
		table->not_written = true;
	return !(table->written && table->not_written);
}

/* The same for a stretch of pages, which may reach over several tables. */
static bool same_tables(struct table *table, uint64_t start, uint64_t end, bool written)
{
	return same_table(table, start / TABLE_SPAN, written) &&
	       same_table(table, (end - 1) / TABLE_SPAN, written);
}

/* The results of a scan that went well: regions and the end of the walk. */
static bool is_scan(const struct entry *entry)
{
	const struct value *regions, *end;

	if (strcmp(entry->function, "scan") != 0 || !entry->scan)
		return false;
	regions = entry->results->items;
	end = regions ? regions->next : NULL;
	return regions && regions->kind == VALUE_TABLE && end &&
	       (end->kind == VALUE_NAME || end->kind == VALUE_INTEGER);
}

static struct walk walk_of(const struct entry *entry)
{
	return (struct walk){
		.scan = entry->scan,
		.region = entry->results->items->items,
		.base = number(difference_field(entry->arguments->items, "start")),
	};
}

static uint64_t walk_end(const struct entry *entry)
{
	return number(entry->results->items->next) - walk_of(entry).base;
}

/* Is there no room for another page? */
static bool is_full(const struct entry *entry)
{
	uint64_t regions = 0, pages = 0;

	for (const struct value *r = entry->results->items->items; r; r = r->next) {
		regions++;
		pages += region_length(r) / 4096;
	}
	return regions == entry->scan->vec_len || (pages && pages == entry->scan->max_pages);
}

static bool may_end_so(const struct entry *quire, const struct entry *kernel)
{
	if (walk_end(quire) == walk_end(kernel))
		return true;
	return is_full(walk_end(quire) < walk_end(kernel) ? quire : kernel);
}

bool scan_empty_written(const struct comparison *comparison, const struct difference *difference)
{
	const struct entry *quire = difference->quire, *kernel = difference->kernel;
	const uint64_t presence = PAGE_IS_WRITTEN | PAGE_IS_PRESENT | PAGE_IS_SWAPPED;
	struct walk by_quire, by_kernel;
	struct table table = {.number = UINT64_MAX};
	uint64_t end, empty, written;
	bool all, differ = false;

	if (!against_linux(comparison) || !is_scan(quire) || !is_scan(kernel) ||
	    (quire->scan->flags & PM_SCAN_WP_MATCHING) || !quire->scan->registered ||
	    (quire->scan->report & presence) != presence || !may_end_so(quire, kernel))
		return false;
	by_quire = walk_of(quire);
	by_kernel = walk_of(kernel);
	empty = should_say(quire->scan, 0);
	written = should_say(quire->scan, PAGE_IS_WRITTEN);
	all = !quire->scan->mask && !quire->scan->anyof;
	end = walk_end(quire) < walk_end(kernel) ? walk_end(quire) : walk_end(kernel);
	for (uint64_t address = 0, next; address < end; address = next) {
		uint64_t one, other;
		bool bound;

		skip_to(&by_quire, address);
		skip_to(&by_kernel, address);
		one = said(&by_quire, address);
		other = said(&by_kernel, address);
		next = reach(&by_kernel, address, reach(&by_quire, address, end));
		bound = registered(&by_quire, address, &next);
		if (one != other) {
			differ = true;
			if (bound || one != empty || other != written)
				return false;
		}
		if (all && !bound && one == empty &&
		    !same_tables(&table, by_kernel.base + address, by_kernel.base + next,
				 one != other))
			return false;
	}
	return differ;
}
