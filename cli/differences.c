/* SPDX-License-Identifier: MIT */
/*
 * What must be equal on both targets, and the rules for what need not be.
 */
#include "differences.h"

#include <inttypes.h>
#include <string.h>

/* The kernel and the library need different amounts of page tables. */
static bool table_bytes(const struct entry *entry, const char *path, const struct value *quire,
			const struct value *kernel)
{
	(void)quire;
	(void)kernel;
	return strcmp(entry->function, "rss") == 0 && strcmp(path, "tables") == 0;
}

/* A kernel shows the smaps fields that it was built with; those that both show must agree. */
static bool smaps_fields(const struct entry *entry, const char *path, const struct value *quire,
			 const struct value *kernel)
{
	(void)path;
	return strcmp(entry->function, "smaps") == 0 && !(quire && kernel);
}

/* Whether both sides of an smaps field are numbers, the one that `more` belongs to the larger. */
static bool smaps_more(const struct entry *entry, const char *path, const char *field,
		       const struct value *more, const struct value *less)
{
	return strcmp(entry->function, "smaps") == 0 && strcmp(path, field) == 0 && more && less &&
	       more->kind == VALUE_INTEGER && less->kind == VALUE_INTEGER &&
	       more->integer > less->integer;
}

/*
 * The kernel also counts pages as referenced that it has accessed itself (mlock, system calls), in
 * every process that maps them.
 */
static bool smaps_referenced(const struct entry *entry, const char *path, const struct value *quire,
			     const struct value *kernel)
{
	return smaps_more(entry, path, "Referenced", kernel, quire);
}

/*
 * The kernel counts a lazily freed page only when a batch of them has been worked off, per CPU and
 * some time later.
 */
static bool smaps_lazyfree(const struct entry *entry, const char *path, const struct value *quire,
			   const struct value *kernel)
{
	return smaps_more(entry, path, "LazyFree", quire, kernel);
}

struct difference_rule difference_rules[] = {
	{.name = "table-bytes", .tolerates = table_bytes},
	{.name = "smaps-fields", .tolerates = smaps_fields},
	{.name = "smaps-referenced", .tolerates = smaps_referenced},
	{.name = "smaps-lazyfree", .tolerates = smaps_lazyfree},
	{.name = "scan-empty-written", .tolerates_call = scan_empty_written},
};
const size_t difference_rule_count = sizeof(difference_rules) / sizeof(difference_rules[0]);

static bool tolerated(const struct difference *difference)
{
	for (size_t i = 0; i < difference_rule_count; i++) {
		struct difference_rule *rule = &difference_rules[i];

		if (rule->tolerates &&
		    rule->tolerates(difference->quire, difference->path, difference->quire_value,
				    difference->kernel_value)) {
			rule->used++;
			return true;
		}
	}
	return false;
}

static bool tables_differ(const struct value *quire, const struct value *kernel,
			  struct difference *difference);

/* Either value may be missing.  The path is that of the value. */
static bool values_differ(const struct value *quire, const struct value *kernel,
			  struct difference *difference)
{
	if (quire && kernel) {
		if (quire->kind == VALUE_TABLE && kernel->kind == VALUE_TABLE)
			return tables_differ(quire->items, kernel->items, difference);
		if (value_equal(quire, kernel))
			return false;
	}
	difference->quire_value = quire;
	difference->kernel_value = kernel;
	return !tolerated(difference);
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

static bool tables_differ(const struct value *quire, const struct value *kernel,
			  struct difference *difference)
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
		if (values_differ(in_quire ? q.item : NULL, in_linux ? l.item : NULL, difference))
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

static bool call_tolerated(const struct entry *quire, const struct entry *kernel)
{
	for (size_t i = 0; i < difference_rule_count; i++) {
		struct difference_rule *rule = &difference_rules[i];

		if (rule->tolerates_call && rule->tolerates_call(quire, kernel)) {
			rule->used++;
			return true;
		}
	}
	return false;
}

static bool results_differ(const struct entry *quire, const struct entry *kernel,
			   struct difference *difference)
{
	const struct value *quire_items = quire->results->items;
	const struct value *kernel_items = kernel->results->items;

	/* "[1]" for the first result would only be noise where there is one. */
	if (quire_items && kernel_items && !quire_items->next && !kernel_items->next)
		return values_differ(quire_items, kernel_items, difference);
	return tables_differ(quire_items, kernel_items, difference);
}

bool entries_differ(const struct entry *quire, const struct entry *kernel,
		    struct difference *difference)
{
	*difference = (struct difference){.quire = quire, .kernel = kernel};
	if (!quire || !kernel || !same_call(quire, kernel)) {
		difference->calls = true;
		return quire || kernel;
	}
	if (!quire->results || !kernel->results)
		return quire->results != kernel->results;
	return results_differ(quire, kernel, difference) && !call_tolerated(quire, kernel);
}

bool transcripts_differ(const struct transcript *quire, const struct transcript *kernel,
			struct difference *difference)
{
	const struct entry *q = next_compared(quire->first), *l = next_compared(kernel->first);

	while (q || l) {
		if (entries_differ(q, l, difference)) {
			difference->quire_name = quire->target;
			difference->kernel_name = kernel->target;
			return true;
		}
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
