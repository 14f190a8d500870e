/* SPDX-License-Identifier: MIT */
/*
 * The rules of comparison: for each precondition a pair of results just inside it and one just
 * outside.
 */
#include "test_support.h"

#include <string.h>

#include "differences.h"
#include "target.h"

#define PAGE  0x1000u
#define START UINT64_C(0x7fe000000000)
#define TABLE 512 /* pages with entries in one page table */

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

static struct value *integer(const char *key, int64_t integer)
{
	struct value *value = new_value(VALUE_INTEGER, key);

	value->integer = integer;
	return value;
}

static struct entry *call(const char *function)
{
	struct entry *entry = transcript_entry(transcript, ENTRY_CALL, 1);

	entry->subject = "p1";
	entry->function = function;
	entry->arguments = new_value(VALUE_TABLE, NULL);
	entry->results = new_value(VALUE_TABLE, NULL);
	return entry;
}

/* ---- tables of numbers: smaps and rss ---- */

struct field {
	const char *name; /* in the order of names; NULL: no more */
	int64_t value;
};

static struct entry *table(const char *function, const struct field *fields)
{
	struct entry *entry = call(function);
	struct value *result = new_value(VALUE_TABLE, NULL);

	for (; fields->name; fields++)
		append(result, integer(fields->name, fields->value));
	append(entry->results, result);
	return entry;
}

static struct comparison between(const char *quire, const char *kernel)
{
	return (struct comparison){.quire = quire, .kernel = kernel};
}

/* How often the rule held in the last comparison. */
static unsigned long used(const char *name)
{
	for (size_t i = 0; i < difference_rule_count; i++)
		if (strcmp(difference_rules[i].name, name) == 0)
			return difference_rules[i].used;
	fail_msg("no rule %s", name);
	return 0;
}

static bool differ(struct comparison comparison, struct entry *quire, struct entry *kernel)
{
	struct difference difference;

	for (size_t i = 0; i < difference_rule_count; i++)
		difference_rules[i].used = 0;
	return entries_differ(&comparison, quire, kernel, &difference);
}

/* One field on each side; a side without a name lacks it. */
static bool fields_differ(struct comparison comparison, const char *function, struct field quire,
			  struct field kernel)
{
	return differ(comparison, table(function, (struct field[]){quire, {NULL, 0}}),
		      table(function, (struct field[]){kernel, {NULL, 0}}));
}

static bool tables_differ(const char *quire, const char *kernel, int64_t mine, int64_t its)
{
	return fields_differ(between(quire, kernel), "rss", (struct field){"tables", mine},
			     (struct field){"tables", its});
}

static void table_bytes(void **state)
{
	(void)state;
	assert_false(tables_differ("quire", "linux", 4 * PAGE, 5 * PAGE));
	assert_int_equal(used("table-bytes"), 1);
	/* The kernel has the agent's, too. */
	assert_true(tables_differ("quire", "linux", 5 * PAGE, 4 * PAGE));
	assert_true(tables_differ("quire", "linux", 4 * PAGE, 5 * PAGE + 1));
	assert_true(tables_differ("quire", "linux", 4 * PAGE + 1, 5 * PAGE));
	assert_true(tables_differ("quire", "linux", -(int64_t)PAGE, 5 * PAGE));
	/* The twin has none. */
	assert_false(tables_differ("quire", "twin", 4 * PAGE, 0));
	assert_false(tables_differ("twin", "linux", 0, 4 * PAGE));
	assert_true(tables_differ("quire", "twin", 4 * PAGE, PAGE));
	assert_true(tables_differ("twin", "linux", PAGE, 4 * PAGE));
	/* Nothing but tables. */
	assert_true(fields_differ(between("quire", "linux"), "rss", (struct field){"anon", PAGE},
				  (struct field){"anon", 2 * PAGE}));
	assert_true(fields_differ(between("quire", "linux"), "stats", (struct field){"tables", 0},
				  (struct field){"tables", PAGE}));
	assert_true(fields_differ(between("quire", "linux"), "rss", (struct field){NULL, 0},
				  (struct field){"tables", PAGE}));
}

static bool lacks(const char *quire, const char *kernel, const char *field, int64_t value)
{
	return fields_differ(between(quire, kernel), "smaps", (struct field){NULL, 0},
			     (struct field){field, value});
}

static bool lacked(const char *quire, const char *kernel, const char *field, int64_t value)
{
	return fields_differ(between(quire, kernel), "smaps", (struct field){field, value},
			     (struct field){NULL, 0});
}

static void smaps_fields(void **state)
{
	(void)state;
	/* What processors without protection keys do not show. */
	assert_false(lacks("quire", "linux", "ProtectionKey", 0));
	assert_int_equal(used("smaps-fields"), 1);
	assert_false(lacked("quire", "twin", "ProtectionKey", 0));
	assert_true(lacks("quire", "linux", "ProtectionKey", 1));
	assert_true(lacked("quire", "linux", "ProtectionKey", 1));
	assert_true(lacks("quire", "linux", "Pss", 0));
	/* What older kernels do not. */
	assert_false(lacked("quire", "linux", "KSM", 0));
	assert_false(lacked("quire", "linux", "Pss_Dirty", PAGE));
	assert_true(lacked("quire", "linux", "Pss", PAGE));
	assert_true(lacks("quire", "linux", "KSM", 0));
	/* What the twin need not have, as long as it is zero. */
	assert_false(lacked("quire", "twin", "AnonHugePages", 0));
	assert_false(lacks("twin", "linux", "THPeligible", 0));
	assert_true(lacked("quire", "twin", "AnonHugePages", PAGE));
	assert_true(lacked("quire", "twin", "LazyFree", 0));
	assert_true(lacked("quire", "linux", "AnonHugePages", 0));
	/* Elsewhere nothing may lack. */
	assert_true(fields_differ(between("quire", "linux"), "maps", (struct field){NULL, 0},
				  (struct field){"ProtectionKey", 0}));
}

static bool referenced(const char *kernel, uint64_t accessed, const char *field, int64_t mine,
		       int64_t its)
{
	struct comparison comparison = between("quire", kernel);
	struct field quire[] = {{field, mine}, {"Rss", 4 * PAGE}, {NULL, 0}};
	struct field linux_[] = {{field, its}, {"Rss", 4 * PAGE}, {NULL, 0}};

	comparison.kernel_pages = accessed;
	return differ(comparison, table("smaps", quire), table("smaps", linux_));
}

/* Three of four pages are referenced on Linux alone; so many pages are as the field says. */
static bool shared_referenced(const char *field, int64_t pages)
{
	struct field quire[] = {
		{"Referenced", 0}, {"Rss", 4 * PAGE}, {field, pages * PAGE}, {NULL, 0}};
	struct field linux_[] = {
		{"Referenced", 3 * PAGE}, {"Rss", 4 * PAGE}, {field, pages * PAGE}, {NULL, 0}};

	return differ(between("quire", "linux"), table("smaps", quire), table("smaps", linux_));
}

static void smaps_referenced(void **state)
{
	(void)state;
	assert_false(referenced("linux", 2, "Referenced", PAGE, 3 * PAGE));
	assert_int_equal(used("smaps-referenced"), 1);
	/* More than it has accessed by itself, or than there is. */
	assert_true(referenced("linux", 1, "Referenced", PAGE, 3 * PAGE));
	assert_true(referenced("linux", 0, "Referenced", 0, PAGE));
	assert_false(referenced("linux", 9, "Referenced", PAGE, 4 * PAGE));
	assert_true(referenced("linux", 9, "Referenced", PAGE, 5 * PAGE));
	assert_true(referenced("linux", 9, "Referenced", PAGE, 2 * PAGE + 1024));
	/* What others use as well, or used before it was lazily freed. */
	assert_false(shared_referenced("Shared_Dirty", 3));
	assert_true(shared_referenced("Shared_Dirty", 2));
	assert_false(shared_referenced("Shared_Clean", 3));
	assert_false(shared_referenced("LazyFree", 3));
	assert_true(shared_referenced("LazyFree", 2));
	assert_true(shared_referenced("Private_Dirty", 3));
	/* Fewer; another field; another target. */
	assert_true(referenced("linux", 9, "Referenced", 2 * PAGE, PAGE));
	assert_true(referenced("linux", 9, "Private_Dirty", PAGE, 2 * PAGE));
	assert_true(referenced("twin", 9, "Referenced", PAGE, 2 * PAGE));
}

/* What calls have had the kernel access counts from then on. */
static void the_kernel_s_own_accesses_add_up(void **state)
{
	struct comparison comparison = between("quire", "linux");
	struct field none[] = {{"Referenced", 0}, {"Rss", PAGE}, {NULL, 0}};
	struct field one[] = {{"Referenced", PAGE}, {"Rss", PAGE}, {NULL, 0}};
	struct difference difference;
	struct entry *lock = call("mlock");

	(void)state;
	assert_true(entries_differ(&comparison, table("smaps", none), table("smaps", one),
				   &difference));
	assert_string_equal(difference.path, "Referenced");
	lock->kernel_pages = 1;
	assert_false(entries_differ(&comparison, lock, call("mlock"), &difference));
	assert_false(entries_differ(&comparison, table("smaps", none), table("smaps", one),
				    &difference));
}

static void lazily_freed_pages_are_equal(void **state)
{
	(void)state;
	assert_true(referenced("linux", 9, "LazyFree", 2 * PAGE, PAGE));
	assert_true(referenced("linux", 9, "LazyFree", PAGE, 2 * PAGE));
}

/*
 * ---- scans ----
 *
 * Drawings: one character a page, what a side says of it: '.' left out, '-' no category, 'w'
 * written, 'p' written and present.
 */

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

#define ALL ((uint64_t)PAGE_IS_GUARD * 2 - 1)

/* How a scan is made, and where it starts: its first page is page `first` of START. */
struct made {
	struct scan_record scan;
	uint64_t registered[2]; /* pages; none if both are 0 */
	bool unknown;		/* nobody has asked where memory is registered */
	unsigned first;
	const char *kernel;
};

/* The walk ends with the drawing. */
static struct entry *scan(const char *drawing, const struct made *made)
{
	struct entry *entry = call("scan");
	struct value *argument = new_value(VALUE_TABLE, NULL), *regions;
	unsigned pages = (unsigned)strlen(drawing);
	struct scan_record *record = transcript_alloc(transcript, sizeof(*record));
	uint64_t *spans = transcript_alloc(transcript, 2 * sizeof(*spans));

	append(argument, address("start", made->first));
	append(entry->arguments, argument);
	*record = made->scan;
	if (!record->report)
		record->report = ALL;
	if (!record->vec_len)
		record->vec_len = 1000;
	record->registered = made->unknown ? NULL : spans;
	record->registrations = made->registered[1] ? 1 : 0;
	spans[0] = START + made->registered[0] * PAGE;
	spans[1] = START + made->registered[1] * PAGE;
	entry->scan = record;
	regions = new_value(VALUE_TABLE, NULL);
	for (unsigned first = 0, next; first < pages; first = next) {
		for (next = first + 1; next < pages && drawing[next] == drawing[first];)
			next++;
		if (drawing[first] != '.')
			append(regions, region(made->first + first, next - first, drawing[first]));
	}
	append(entry->results, regions);
	append(entry->results, address(NULL, made->first + pages));
	return entry;
}

static bool scans_differ(const char *quire, const char *kernel, struct made made)
{
	return differ(between("quire", made.kernel ? made.kernel : "linux"), scan(quire, &made),
		      scan(kernel, &made));
}

static const struct made plain;

static void what_the_kernel_calls_written(void **state)
{
	(void)state;
	assert_false(scans_differ("p--p", "p--p", plain));
	assert_int_equal(used("scan-empty-written"), 0);
	assert_false(scans_differ("p--p", "pwwp", plain));
	assert_int_equal(used("scan-empty-written"), 1);
	assert_false(scans_differ("----", "wwww", plain));
	/* By a filter that wants it, and by one that does not. */
	assert_false(scans_differ("p..p", "pwwp", (struct made){.scan.mask = PAGE_IS_WRITTEN}));
	assert_false(scans_differ(
		"-", ".",
		(struct made){.scan = {.mask = PAGE_IS_WRITTEN, .inverted = PAGE_IS_WRITTEN}}));
}

static void anything_else_differs(void **state)
{
	const struct made written = {.scan.mask = PAGE_IS_WRITTEN};

	(void)state;
	assert_true(scans_differ("p--p", "p-pp", plain));
	assert_true(scans_differ("p--p", "p--w", plain));
	assert_true(scans_differ("pw-p", "p--p", plain));
	assert_true(scans_differ("pw", "p-", plain));
	/* One difference that is tolerated does not hide another. */
	assert_true(scans_differ("---p", "w--w", plain));
	/* What a filter leaves out must not be told, what it wants must be. */
	assert_true(scans_differ("p..p", "pwwp", plain));
	assert_true(scans_differ("p--p", "pwwp", written));
	assert_true(scans_differ("p..p", "p-.p", written));
	assert_true(scans_differ("p-.p", "pw.p", written));
	assert_true(scans_differ("....", "ww..", (struct made){.scan.mask = PAGE_IS_PRESENT}));
	assert_true(scans_differ("--", "w-", (struct made){.kernel = "twin"}));
}

static void registered_memory_must_agree(void **state)
{
	(void)state;
	assert_false(scans_differ("--ww", "wwww", (struct made){.registered = {2, 4}}));
	assert_true(scans_differ("----", "wwww", (struct made){.registered = {2, 4}}));
	assert_true(scans_differ("----", "wwww", (struct made){.registered = {3, 9}}));
	assert_true(scans_differ("----", "wwww", (struct made){.registered = {0, 1}}));
	assert_false(scans_differ("----", "wwww", (struct made){.registered = {4, 5}}));
	assert_true(scans_differ("----", "wwww", (struct made){.unknown = true}));
}

/* A page table exists, or it does not. */
static void pages_of_one_table_are_alike(void **state)
{
	const struct made edge = {.first = TABLE - 2}, inside = {.first = TABLE};

	(void)state;
	assert_false(scans_differ("----", "ww--", edge));
	assert_true(scans_differ("----", "ww--", inside));
	assert_false(scans_differ("----", "--ww", edge));
	assert_true(scans_differ("----", "-www", edge));
	assert_true(scans_differ("-p--", "wp-w", inside));
	/* Registered pages of the table say nothing about it. */
	assert_false(
		scans_differ("--w-", "wwww",
			     (struct made){.first = TABLE, .registered = {TABLE + 2, TABLE + 3}}));
}

static void presence_must_be_told(void **state)
{
	(void)state;
	assert_true(scans_differ("--", "ww",
				 (struct made){.scan.report = PAGE_IS_WRITTEN | PAGE_IS_PRESENT}));
	assert_false(scans_differ(
		"--", "ww",
		(struct made){.scan.report = PAGE_IS_WRITTEN | PAGE_IS_PRESENT | PAGE_IS_SWAPPED}));
}

static void protecting_scans_must_agree(void **state)
{
	(void)state;
	assert_true(scans_differ("--", "ww", (struct made){.scan.flags = PM_SCAN_WP_MATCHING}));
}

static void limited_walks_may_end_elsewhere(void **state)
{
	const struct made pages = {.scan = {.mask = PAGE_IS_WRITTEN, .max_pages = 4}};
	const struct made regions = {.scan = {.mask = PAGE_IS_WRITTEN, .vec_len = 2}};

	(void)state;
	assert_false(scans_differ("p..p.p.p", "pwwp", pages));
	assert_true(scans_differ("p..p.p.p", "pww", pages));
	assert_true(scans_differ("p..p.p.p", "pwwpp", pages));
	assert_true(scans_differ("p..p.p.p", "p..p", pages));
	assert_true(scans_differ("p..p.p.p", "pwwp", plain));
	assert_false(scans_differ("p.p", "pw", regions));
	assert_true(scans_differ("p.p", "p.", regions));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(table_bytes),
		cmocka_unit_test(smaps_fields),
		cmocka_unit_test(smaps_referenced),
		cmocka_unit_test(the_kernel_s_own_accesses_add_up),
		cmocka_unit_test(lazily_freed_pages_are_equal),
		cmocka_unit_test(what_the_kernel_calls_written),
		cmocka_unit_test(anything_else_differs),
		cmocka_unit_test(registered_memory_must_agree),
		cmocka_unit_test(pages_of_one_table_are_alike),
		cmocka_unit_test(presence_must_be_told),
		cmocka_unit_test(protecting_scans_must_agree),
		cmocka_unit_test(limited_walks_may_end_elsewhere),
	};
	int failed;

	transcript = transcript_new(true);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	transcript_free(transcript);
	return failed;
}
