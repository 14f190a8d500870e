/* SPDX-License-Identifier: MIT */
/*
 * The rule scan-empty-written: which scans may differ.
 *
 * Drawings: one character a page, what a side says of it: '.' left out, '-' no category, 'w'
 * written, 'p' written and present.
 */
#include "test_support.h"

#include <string.h>

#include "differences.h"
#include "target.h"

#define PAGE  0x1000u
#define START UINT64_C(0x7ff000000000)

_Noreturn void target_fail(const char *format, ...)
{
	fprintf(stderr, "%s\n", format);
	exit(2);
}

static struct transcript *transcript;

static struct value *new_value(enum value_kind kind, const char *key)
{
	struct value *value = transcript_alloc(transcript, sizeof(*value));

	value->kind = kind;
	value->key = key;
	value->repeat = 1;
	return value;
}

static void append(struct value *table, struct value *item)
{
	struct value **link = &table->items;

	while (*link)
		link = &(*link)->next;
	*link = item;
}

static struct value *integer(const char *key, uint64_t integer)
{
	struct value *value = new_value(VALUE_INTEGER, key);

	value->integer = (int64_t)integer;
	return value;
}

static struct value *address(const char *key, uint64_t page)
{
	struct value *value = new_value(VALUE_NAME, key);

	value->address = START + page * PAGE;
	value->name = transcript_printf(transcript, "m1+0x%x", (unsigned)page * PAGE);
	return value;
}

static void append_name(struct value *array, const char *name)
{
	struct value *value = new_value(VALUE_STRING, NULL);

	value->string.bytes = name;
	value->string.length = strlen(name);
	append(array, value);
}

static struct value *region(unsigned first, unsigned pages, char says)
{
	struct value *region = new_value(VALUE_TABLE, NULL);
	struct value *categories = new_value(VALUE_TABLE, "categories");

	if (says != '-')
		append_name(categories, "written");
	if (says == 'p')
		append_name(categories, "present");
	append(region, categories);
	append(region, integer("length", pages * PAGE));
	append(region, address("start", first));
	return region;
}

/* The walk ends with the drawing. */
static struct entry *scan(const char *drawing, const char *report, bool limited)
{
	struct entry *entry = transcript_entry(transcript, ENTRY_CALL, 1);
	struct value *argument = new_value(VALUE_TABLE, NULL), *regions;
	unsigned pages = (unsigned)strlen(drawing);

	entry->subject = "p1";
	entry->function = "scan";
	if (limited)
		append(argument, integer("max_pages", 4));
	if (report) {
		append(argument, new_value(VALUE_TABLE, "report"));
		append_name(argument->items->next ? argument->items->next : argument->items,
			    report);
	}
	append(argument, address("start", 0));
	entry->arguments = new_value(VALUE_TABLE, NULL);
	append(entry->arguments, argument);
	entry->results = new_value(VALUE_TABLE, NULL);
	regions = new_value(VALUE_TABLE, NULL);
	for (unsigned first = 0, next; first < pages; first = next) {
		for (next = first + 1; next < pages && drawing[next] == drawing[first];)
			next++;
		if (drawing[first] != '.')
			append(regions, region(first, next - first, drawing[first]));
	}
	append(entry->results, regions);
	append(entry->results, address(NULL, pages));
	return entry;
}

static bool differ(const char *quire, const char *kernel, const char *report, bool limited)
{
	struct difference difference;

	return entries_differ(scan(quire, report, limited), scan(kernel, report, limited),
			      &difference);
}

static void what_the_kernel_calls_written(void **state)
{
	(void)state;
	assert_false(differ("p..p", "p..p", NULL, false));
	/* Neighbours of pages that are there, with a filter and without. */
	assert_false(differ("p..p", "pwwp", NULL, false));
	assert_false(differ("....", "wwww", NULL, false));
	assert_false(differ("p--p", "pwwp", NULL, false));
	assert_false(differ("p--p", "pw-p", NULL, false));
	/* Filtered for what is not written. */
	assert_false(differ("-", ".", NULL, false));
}

static void anything_else_differs(void **state)
{
	(void)state;
	assert_true(differ("p..p", "p.pp", NULL, false));
	assert_true(differ("p..p", "p..w", NULL, false));
	assert_true(differ("pw.p", "p..p", NULL, false));
	assert_true(differ("p..p", "p.-p", NULL, false));
	assert_true(differ("pw", "p-", NULL, false));
	assert_true(differ("p.", "p.w", NULL, false));
	/* One difference that is tolerated does not hide another. */
	assert_true(differ("...p", "w..w", NULL, false));
}

static void presence_must_be_told(void **state)
{
	(void)state;
	assert_true(differ("w..w", "wwww", "written", false));
	assert_false(differ("w..w", "w..w", "written", false));
}

static void limited_walks_may_end_elsewhere(void **state)
{
	(void)state;
	assert_false(differ("p..p.p.p", "pwwp", NULL, true));
	assert_true(differ("p..p.p.p", "pwwpp", NULL, true));
	assert_true(differ("p..p.p.p", "p..p", NULL, true));
	assert_true(differ("p..p.p.p", "pwwp", NULL, false));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_the_kernel_calls_written),
		cmocka_unit_test(anything_else_differs),
		cmocka_unit_test(presence_must_be_told),
		cmocka_unit_test(limited_walks_may_end_elsewhere),
	};
	int failed;

	transcript = transcript_new(true);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	transcript_free(transcript);
	return failed;
}
