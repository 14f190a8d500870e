/* SPDX-License-Identifier: MIT */
/*
 * The rule scan-empty-written.
 *
 * PAGEMAP_SCAN calls a page "written" whose entry is empty if its memory is registered for write
 * protection.  The kernel calls it so everywhere else, too, where the page table that would hold
 * the entry happens to exist, because of a neighbour.  That shows in which pages match, and by that
 * in where regions begin and end, and in where a limited walk ends.
 *
 * So the regions are compared as what they say of each page.  The rule holds if, wherever the sides
 * differ, the kernel says that a page is written and nothing else, or leaves out a page of which
 * the library says nothing at all.  That is only told where the scan reports whether a page is
 * there, so scans that do not report "written", "present" and "swapped" have to agree.
 */
#include "differences.h"

#include <string.h>

/* What a side says of a page. */
enum said {
	LEFT_OUT,
	NOTHING, /* no category */
	WRITTEN, /* that alone */
	MORE,
};

static const struct value *field(const struct value *table, const char *key)
{
	for (const struct value *item = table->items; item; item = item->next)
		if (item->key && strcmp(item->key, key) == 0)
			return item;
	return NULL;
}

static bool lists(const struct value *array, const char *name)
{
	for (const struct value *item = array->items; item; item = item->next)
		if (item->kind == VALUE_STRING && strcmp(item->string.bytes, name) == 0)
			return true;
	return false;
}

/* Does a page that is there look different from one that is not? */
static bool reports_presence(const struct value *argument)
{
	const struct value *report = field(argument, "report");

	if (!report)
		return true;
	return report->kind == VALUE_TABLE && lists(report, "written") &&
	       lists(report, "present") && lists(report, "swapped");
}

static bool limited(const struct value *argument)
{
	return field(argument, "max_pages") || field(argument, "vec_len");
}

/* A number that may be an address. */
static uint64_t number(const struct value *value)
{
	return value->kind == VALUE_NAME ? value->address : (uint64_t)value->integer;
}

/* A side's regions, from some address on. */
struct walk {
	const struct value *region;
	uint64_t base; /* what addresses are relative to */
};

static uint64_t region_start(const struct walk *walk)
{
	return number(field(walk->region, "start")) - walk->base;
}

static uint64_t region_end(const struct walk *walk)
{
	return region_start(walk) + number(field(walk->region, "length"));
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

static enum said said(const struct walk *walk, uint64_t address)
{
	const struct value *categories;

	if (!walk->region || region_start(walk) > address)
		return LEFT_OUT;
	categories = field(walk->region, "categories");
	if (!categories->items)
		return NOTHING;
	return !categories->items->next && lists(categories, "written") ? WRITTEN : MORE;
}

static bool same_categories(const struct walk *quire, const struct walk *kernel)
{
	return value_equal(field(quire->region, "categories"), field(kernel->region, "categories"));
}

/* Of the pages from `address` on, up to where one side's word changes. */
static bool only_empty_written(const struct walk *quire, const struct walk *kernel,
			       uint64_t address, bool *differ)
{
	enum said by_quire = said(quire, address), by_kernel = said(kernel, address);

	if (by_quire == by_kernel && (by_quire != MORE || same_categories(quire, kernel)))
		return true;
	*differ = true;
	return by_quire <= NOTHING && (by_kernel == WRITTEN || by_kernel == LEFT_OUT);
}

/* The results of a scan that went well: regions and the end of the walk. */
static bool is_scan(const struct entry *entry)
{
	const struct value *regions, *end;

	if (strcmp(entry->function, "scan") != 0)
		return false;
	regions = entry->results->items;
	end = regions ? regions->next : NULL;
	return regions && regions->kind == VALUE_TABLE && end &&
	       (end->kind == VALUE_NAME || end->kind == VALUE_INTEGER);
}

static struct walk walk_of(const struct entry *entry)
{
	return (struct walk){
		.region = entry->results->items->items,
		.base = number(field(entry->arguments->items, "start")),
	};
}

static uint64_t walk_end(const struct entry *entry)
{
	return number(entry->results->items->next) - walk_of(entry).base;
}

bool scan_empty_written(const struct entry *quire, const struct entry *kernel)
{
	struct walk by_quire, by_kernel;
	uint64_t end;
	bool differ = false;

	if (!is_scan(quire) || !is_scan(kernel) || !reports_presence(quire->arguments->items))
		return false;
	by_quire = walk_of(quire);
	by_kernel = walk_of(kernel);
	end = walk_end(quire) < walk_end(kernel) ? walk_end(quire) : walk_end(kernel);
	if (!limited(quire->arguments->items) && walk_end(quire) != walk_end(kernel))
		return false;
	for (uint64_t address = 0; address < end;) {
		uint64_t next;

		skip_to(&by_quire, address);
		skip_to(&by_kernel, address);
		if (!only_empty_written(&by_quire, &by_kernel, address, &differ))
			return false;
		next = reach(&by_quire, address, end);
		address = reach(&by_kernel, address, next);
	}
	return differ;
}
