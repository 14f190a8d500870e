/* SPDX-License-Identifier: MIT */
/*
 * What must be equal on both targets, and the rules for what need not be.
 */
#include "differences.h"

#include <inttypes.h>
#include <string.h>

#define PAGE_SIZE 4096

const struct value *difference_field(const struct value *table, const char *key)
{
	for (const struct value *item = table->items; item; item = item->next)
		if (item->key && strcmp(item->key, key) == 0)
			return item;
	return NULL;
}

bool against_linux(const struct comparison *comparison)
{
	return strcmp(comparison->kernel, "linux") == 0;
}

static bool in_list(const char *const list[], const char *name)
{
	for (; *list; list++)
		if (strcmp(*list, name) == 0)
			return true;
	return false;
}

static bool at(const struct difference *difference, const char *function, const char *path)
{
	return strcmp(difference->quire->function, function) == 0 &&
	       (!path || strcmp(difference->path, path) == 0);
}

/* Numbers on both sides, of whole pages. */
static bool both_pages(const struct difference *difference)
{
	const struct value *quire = difference->quire_value, *kernel = difference->kernel_value;

	return quire && kernel && quire->kind == VALUE_INTEGER && kernel->kind == VALUE_INTEGER &&
	       quire->integer >= 0 && quire->integer % PAGE_SIZE == 0 && kernel->integer >= 0 &&
	       kernel->integer % PAGE_SIZE == 0;
}

/* A target needs page tables of its own kind; the kernel's hold the agent, too.  The twin has none. */
static bool table_bytes(const struct comparison *comparison, const struct difference *difference)
{
	if (!at(difference, "rss", "tables") || !both_pages(difference))
		return false;
	if (strcmp(comparison->kernel, "twin") == 0)
		return difference->kernel_value->integer == 0;
	if (strcmp(comparison->quire, "twin") == 0)
		return difference->quire_value->integer == 0;
	return difference->quire_value->integer < difference->kernel_value->integer;
}

/*
 * A field that one side lacks: a protection key, if the other's is 0, for processors without keys do
 * not show it; what kernels before 6.7 do not show; and in the twin, what is 0 of all its memory.
 */
static bool smaps_fields(const struct comparison *comparison, const struct difference *difference)
{
	static const char *const newer[] = {"Pss_Dirty", "KSM", NULL};
	static const char *const not_twin[] = {"KSM",
					       "AnonHugePages",
					       "ShmemPmdMapped",
					       "FilePmdMapped",
					       "Shared_Hugetlb",
					       "Private_Hugetlb",
					       "THPeligible",
					       NULL};
	const struct value *quire = difference->quire_value, *kernel = difference->kernel_value;
	const struct value *there = quire ? quire : kernel;
	const char *lacking = quire ? comparison->kernel : comparison->quire;

	if (!at(difference, "smaps", NULL) || (quire && kernel) || there->kind != VALUE_INTEGER)
		return false;
	if (strcmp(difference->path, "ProtectionKey") == 0)
		return there->integer == 0;
	if (strcmp(lacking, "linux") == 0)
		return in_list(newer, difference->path);
	return strcmp(lacking, "twin") == 0 && in_list(not_twin, difference->path) &&
	       there->integer == 0;
}

static uint64_t pages_of(const struct value *table, const char *name)
{
	const struct value *value = difference_field(table, name);

	return value ? (uint64_t)value->integer / PAGE_SIZE : 0;
}

/*
 * The kernel keeps a flag with the page that says it was used, too, which every process sees that maps
 * it.  It sets it when it accesses the page itself (mlock, system calls); and when it looks for pages
 * that are idle (reclaim, DAMON), it takes the bit out of the entries and sets the flag instead.  Then
 * pages show as used that others have used, or that were, before they were lazily freed.
 */
static bool smaps_referenced(const struct comparison *comparison,
			     const struct difference *difference)
{
	const struct value *quire = difference->quire_value, *kernel = difference->kernel_value;
	const struct value *smaps = difference->kernel->results->items;
	uint64_t excess, by_others;

	if (!against_linux(comparison) || !at(difference, "smaps", "Referenced") ||
	    !both_pages(difference) || quire->integer >= kernel->integer)
		return false;
	excess = (uint64_t)(kernel->integer - quire->integer) / PAGE_SIZE;
	by_others = pages_of(smaps, "Shared_Clean") + pages_of(smaps, "Shared_Dirty") +
		    pages_of(smaps, "LazyFree");
	return pages_of(smaps, "Referenced") <= pages_of(smaps, "Rss") &&
	       excess <= comparison->kernel_pages + by_others;
}

struct difference_rule difference_rules[] = {
	{.name = "table-bytes", .tolerates = table_bytes},
	{.name = "smaps-fields", .tolerates = smaps_fields},
	{.name = "smaps-referenced", .tolerates = smaps_referenced},
	{.name = "scan-empty-written", .tolerates_call = scan_empty_written},
};
const size_t difference_rule_count = sizeof(difference_rules) / sizeof(difference_rules[0]);

static bool tolerated(const struct comparison *comparison, const struct difference *difference)
{
	for (size_t i = 0; i < difference_rule_count; i++) {
		struct difference_rule *rule = &difference_rules[i];

		if (rule->tolerates && rule->tolerates(comparison, difference)) {
			rule->used++;
			return true;
		}
	}
	return false;
}

static bool tables_differ(const struct comparison *comparison, const struct value *quire,
			  const struct value *kernel, struct difference *difference);

/* Either value may be missing.  The path is that of the value. */
static bool values_differ(const struct comparison *comparison, const struct value *quire,
			  const struct value *kernel, struct difference *difference)
{
	if (quire && kernel) {
		if (quire->kind == VALUE_TABLE && kernel->kind == VALUE_TABLE)
			return tables_differ(comparison, quire->items, kernel->items, difference);
		if (value_equal(quire, kernel))
			return false;
	}
	difference->quire_value = quire;
	difference->kernel_value = kernel;
	return !tolerated(comparison, difference);
}

/* Appends the name of a table's item to the path. */
static void path_enter(char *path, const char *key, uint64_t index)
{
	size_t length = strlen(path);
	size_t room = DIFFERENCE_PATH_MAX - length;

	if (key)
		snprintf(path + length, room, "%s%s", length && *key != '[' ? "." : "", key);
	else
		snprintf(path + length, room, "[%" PRIu64 "]", index);
}

/* One side of a walk over two tables: an item, and how often it still stands in the array. */
struct side {
	const struct value *item;
	uint64_t left;
};

static struct side side_at(const struct value *item)
{
	return (struct side){.item = item, .left = item ? item->repeat : 0};
}

static void side_advance(struct side *side, uint64_t items)
{
	side->left -= items;
	if (!side->left)
		*side = side_at(side->item->next);
}

/* Items have one order: array items, then fields by name; what is missing comes last. */
static int item_order(const struct value *a, const struct value *b)
{
	if (!a || !b)
		return (a ? 0 : 1) - (b ? 0 : 1);
	if (!a->key || !b->key)
		return (a->key ? 1 : 0) - (b->key ? 1 : 0);
	return strcmp(a->key, b->key);
}

static bool tables_differ(const struct comparison *comparison, const struct value *quire,
			  const struct value *kernel, struct difference *difference)
{
	struct side q = side_at(quire), l = side_at(kernel);
	size_t length = strlen(difference->path);
	uint64_t index = 1;

	while (q.item || l.item) {
		int order = item_order(q.item, l.item);
		bool in_quire = order <= 0, in_linux = order >= 0;
		uint64_t items = in_quire ? q.left : l.left;

		if (in_quire && in_linux && l.left < items)
			items = l.left;
		path_enter(difference->path, (in_quire ? q.item : l.item)->key, index);
		if (values_differ(comparison, in_quire ? q.item : NULL, in_linux ? l.item : NULL,
				  difference))
			return true;
		difference->path[length] = '\0';
		if (in_quire)
			side_advance(&q, items);
		if (in_linux)
			side_advance(&l, items);
		index += items;
	}
	return false;
}

static bool same_call(const struct entry *quire, const struct entry *kernel)
{
	return strcmp(quire->subject, kernel->subject) == 0 &&
	       strcmp(quire->function, kernel->function) == 0 &&
	       value_equal(quire->arguments, kernel->arguments);
}

static bool call_tolerated(const struct comparison *comparison, const struct difference *difference)
{
	for (size_t i = 0; i < difference_rule_count; i++) {
		struct difference_rule *rule = &difference_rules[i];

		if (rule->tolerates_call && rule->tolerates_call(comparison, difference)) {
			rule->used++;
			return true;
		}
	}
	return false;
}

static bool results_differ(const struct comparison *comparison, const struct entry *quire,
			   const struct entry *kernel, struct difference *difference)
{
	const struct value *quire_items = quire->results->items;
	const struct value *kernel_items = kernel->results->items;

	/* "[1]" for the first result would only be noise where there is one. */
	if (quire_items && kernel_items && !quire_items->next && !kernel_items->next)
		return values_differ(comparison, quire_items, kernel_items, difference);
	return tables_differ(comparison, quire_items, kernel_items, difference);
}

bool entries_differ(struct comparison *comparison, const struct entry *quire,
		    const struct entry *kernel, struct difference *difference)
{
	*difference = (struct difference){
		.quire_name = comparison->quire,
		.kernel_name = comparison->kernel,
		.quire = quire,
		.kernel = kernel,
	};
	if (!quire || !kernel || !same_call(quire, kernel)) {
		difference->calls = true;
		return quire || kernel;
	}
	comparison->kernel_pages += quire->kernel_pages;
	if (!quire->results || !kernel->results)
		return quire->results != kernel->results;
	return results_differ(comparison, quire, kernel, difference) &&
	       !call_tolerated(comparison, difference);
}

bool transcripts_differ(const struct transcript *quire, const struct transcript *kernel,
			struct difference *difference)
{
	const struct entry *q = next_compared(quire->first), *l = next_compared(kernel->first);
	struct comparison comparison = {.quire = quire->target, .kernel = kernel->target};

	while (q || l) {
		if (entries_differ(&comparison, q, l, difference))
			return true;
		q = next_compared(q->next);
		l = next_compared(l->next);
	}
	return false;
}

static void print_side(FILE *out, const char *name, const struct difference *difference,
		       const struct entry *entry)
{
	fprintf(out, "  %s: ", name);
	if (!entry) {
		fputs("the script ended before", out);
	} else if (difference->calls) {
		fprintf(out, "line %d: ", entry->line);
		entry_print_call(out, entry);
	} else {
		entry_print_results(out, entry);
	}
	putc('\n', out);
}

static void print_value(FILE *out, const struct value *value)
{
	if (value)
		value_print(out, value, VALUE_EXACT);
	else
		fputs("nothing", out);
}

void difference_print(FILE *out, const char *file, const struct difference *difference)
{
	const struct entry *entry = difference->quire ? difference->quire : difference->kernel;

	fprintf(out, "%s:%d: the targets differ in ", file, entry->line);
	if (difference->calls) {
		fputs("what was called\n", out);
	} else {
		entry_print_call(out, entry);
		putc('\n', out);
	}
	print_side(out, difference->quire_name, difference, difference->quire);
	print_side(out, difference->kernel_name, difference, difference->kernel);
	if (*difference->path) {
		fprintf(out, "  at %s: %s ", difference->path, difference->quire_name);
		print_value(out, difference->quire_value);
		fprintf(out, ", %s ", difference->kernel_name);
		print_value(out, difference->kernel_value);
		putc('\n', out);
	}
}
