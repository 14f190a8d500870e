/* SPDX-License-Identifier: MIT */
/*
 * p:scan{}: PAGEMAP_SCAN, field by field.
 *
 * For bad calls: `flags` is passed on instead of wp and check_wpasync, `size` instead of the size
 * of the structure, categories may be integers, and vec = false leaves out the array for the
 * regions.
 */
#include "script.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#include "arguments.h"

#define REGIONS_DEFAULT (1u << 16)
#define REGIONS_MAX	(1u << 20)

static const struct bit_name categories[] = {
	{"wpallowed", PAGE_IS_WPALLOWED}, {"written", PAGE_IS_WRITTEN},
	{"file", PAGE_IS_FILE},		  {"present", PAGE_IS_PRESENT},
	{"swapped", PAGE_IS_SWAPPED},	  {"pfnzero", PAGE_IS_PFNZERO},
	{"huge", PAGE_IS_HUGE},		  {"soft_dirty", PAGE_IS_SOFT_DIRTY},
	{"guard", PAGE_IS_GUARD},	  {NULL, 0},
};
#define ALL_CATEGORIES (((uint64_t)PAGE_IS_GUARD << 1) - 1)

/* The field, or `otherwise` where the table does not have it. */
static uint64_t field_or(lua_State *L, int table, const char *name, uint64_t otherwise)
{
	if (field_given(L, table, name)) {
		otherwise = argument_size(L, -1, name);
		lua_pop(L, 1);
	}
	return otherwise;
}

static void read_range(lua_State *L, struct pm_scan_arg *scan)
{
	if (!field_given(L, 2, "start") || !field_given(L, 2, "length"))
		script_error(L, "the fields 'start' and 'length' are needed");
	lua_pop(L, 2);
	scan->start = field_address(L, 2, "start");
	scan->end = scan->start + field_size(L, 2, "length");
}

static void read_argument(lua_State *L, struct pm_scan_arg *scan)
{
	uint64_t flags = 0;

	if (field_boolean(L, 2, "wp"))
		flags |= PM_SCAN_WP_MATCHING;
	if (field_boolean(L, 2, "check_wpasync"))
		flags |= PM_SCAN_CHECK_WPASYNC;
	scan->size = field_or(L, 2, "size", sizeof(*scan));
	scan->flags = field_or(L, 2, "flags", flags);
	scan->max_pages = field_address(L, 2, "max_pages");
	scan->category_inverted = field_bits(L, 2, "inverted", categories);
	scan->category_mask = field_bits(L, 2, "mask", categories);
	scan->category_anyof_mask = field_bits(L, 2, "anyof", categories);
	scan->return_mask = ALL_CATEGORIES;
	if (field_given(L, 2, "report")) {
		lua_pop(L, 1);
		scan->return_mask = field_bits(L, 2, "report", categories);
	}
	scan->vec_len = field_or(L, 2, "vec_len", REGIONS_DEFAULT);
	if (scan->vec_len > REGIONS_MAX)
		script_error(L, "vec_len is at most %d", (int)REGIONS_MAX);
}

/* Where memory of the range is registered for write protection, as the target has it. */
static void record_registered(struct script *script, const struct script_process *process,
			      const struct pm_scan_arg *scan, struct scan_record *record)
{
	struct target_vma *vmas;
	uint64_t *spans;
	size_t count;

	if (script->ops->maps(process->process, &vmas, &count))
		return;
	spans = transcript_alloc(script->transcript, (count + 1) * 2 * sizeof(*spans));
	record->registered = spans;
	for (size_t i = 0; i < count; i++) {
		if (vmas[i].end <= scan->start || vmas[i].start >= scan->end ||
		    !strstr(vmas[i].flags, "uw"))
			continue;
		spans[2 * record->registrations] = vmas[i].start;
		spans[2 * record->registrations++ + 1] = vmas[i].end;
	}
	free(vmas);
}

/* What comparing scans must know.  A kernel would have to be asked for its VMAs each time. */
static const struct scan_record *record_scan(struct script *script,
					     const struct script_process *process,
					     const struct pm_scan_arg *scan)
{
	struct scan_record *record = transcript_alloc(script->transcript, sizeof(*record));

	*record = (struct scan_record){
		.flags = scan->flags,
		.max_pages = scan->max_pages,
		.vec_len = scan->vec_len,
		.inverted = scan->category_inverted,
		.mask = scan->category_mask,
		.anyof = scan->category_anyof_mask,
		.report = scan->return_mask,
	};
	if (script->ops != &target_linux)
		record_registered(script, process, scan, record);
	return record;
}

static bool without_vec(lua_State *L)
{
	bool without;

	if (!field_given(L, 2, "vec"))
		return false;
	without = !argument_boolean(L, -1, "vec");
	lua_pop(L, 1);
	return without;
}

static void push_regions(lua_State *L, const struct page_region *regions, size_t count)
{
	lua_createtable(L, (int)count, 0);
	for (size_t i = 0; i < count; i++) {
		lua_createtable(L, 0, 3);
		lua_pushinteger(L, (lua_Integer)regions[i].start);
		lua_setfield(L, -2, "start");
		lua_pushinteger(L, (lua_Integer)(regions[i].end - regions[i].start));
		lua_setfield(L, -2, "length");
		push_bit_names(L, regions[i].categories, categories);
		lua_setfield(L, -2, "categories");
		lua_rawseti(L, -2, (lua_Integer)i + 1);
	}
}

int script_scan(lua_State *L)
{
	static const char *const names[] = {
		"start",     "length",	      "inverted", "mask",  "anyof", "report", "wp",
		"max_pages", "check_wpasync", "vec_len",  "flags", "size",  "vec",    NULL};
	struct script_process *process = argument_process(L, 1);
	struct pm_scan_arg scan = {.size = 0};
	struct page_region *regions = NULL;
	struct entry *entry;
	size_t count = 0;
	int error, results = 2;

	if (!script_of(L)->ops->scan)
		script_not_built_here(L);
	argument_count(L, 1, 1, 1);
	argument_table(L, 2, "the argument");
	fields_known(L, 2, names);
	read_range(L, &scan);
	read_argument(L, &scan);
	if (scan.vec_len && !without_vec(L)) {
		regions = malloc(scan.vec_len * sizeof(*regions));
		if (!regions)
			target_fail("out of memory");
	}
	scan.vec = (uint64_t)regions;
	entry = record_begin(L, ENTRY_CALL, process->name, 2, process);
	entry->scan = record_scan(script_of(L), process, &scan);
	error = inject_scan(script_of(L), process, &scan, &count);
	if (error) {
		results = script_push_error(L, error);
	} else {
		push_regions(L, regions, count);
		lua_pushinteger(L, (lua_Integer)scan.walk_end);
	}
	free(regions);
	record_end(L, entry, results, process);
	script_verify(L, process, scan.start, scan.end - scan.start);
	return results;
}
