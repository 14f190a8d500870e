/* SPDX-License-Identifier: MIT */
/*
 * Writing a transcript as a script.
 *
 * Processes, threads, userfaultfds and mappings get variables with the names that the transcript
 * has for them, "p1.t2" as p1_t2.  An address is written relative to the mapping that the target
 * placed ("m3 + 0x2000"), and as a number where it follows from addresses that the script chose: a
 * mapping at a fixed address is where it was asked to be, so nothing needs its variable.
 */
#define _GNU_SOURCE 1
#include "check_emit.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "target.h"

/* A function of Lua has 200 local variables at most. */
#define LOCALS_MAX 150

/* A variable. */
struct definition {
	char name[32];
	size_t statement;	   /* whose result it is */
	char path[96];		   /* in the result: ".child", "[2].child"; "": the first result */
	const struct value *value; /* the result */
	bool used;
};

static void *grow(void *list, size_t count, size_t size)
{
	/* Doubles at powers of two. */
	if (count & (count - 1))
		return list;
	list = realloc(list, (count ? 2 * count : 1) * size);
	if (!list)
		target_fail("out of memory");
	return list;
}

/* --- names --- */

static bool is_mapping(const struct value *value)
{
	return value->kind == VALUE_NAME && value->address;
}

/* "m12+0x1000" is of mapping 12. */
static void mapping_name(const struct value *value, char name[32])
{
	snprintf(name, 32, "%.*s", (int)strcspn(value->name, "+-"), value->name);
}

static void variable_name(const char *object, char name[32])
{
	snprintf(name, 32, "%s", object);
	for (char *dot = name; *dot; dot++)
		if (*dot == '.')
			*dot = '_';
}

/* The last one of this name, or NULL. */
static struct definition *find(const struct scenario *scenario, const char *name)
{
	for (size_t i = scenario->definition_count; i > 0; i--)
		if (strcmp(scenario->definitions[i - 1].name, name) == 0)
			return &scenario->definitions[i - 1];
	return NULL;
}

/* --- what a call means for the script --- */

bool entry_awaits(const struct entry *entry)
{
	return strcmp(entry->function, "result") == 0 ||
	       strcmp(entry->function, "thread_result") == 0;
}

static const struct value *field(const struct value *table, const char *key)
{
	if (!table || table->kind != VALUE_TABLE)
		return NULL;
	for (const struct value *item = table->items; item; item = item->next)
		if (item->key && strcmp(item->key, key) == 0)
			return item;
	return NULL;
}

bool entry_observes(const struct entry *entry)
{
	static const char *const looks[] = {"pagemap", "mincore",  "smaps",  "maps",	"rss",
					    "poll",    "features", "ioctls", "resident"};

	for (size_t i = 0; i < sizeof(looks) / sizeof(looks[0]); i++)
		if (strcmp(entry->function, looks[i]) == 0)
			return true;
	return strcmp(entry->function, "scan") == 0 && !field(entry->arguments->items, "wp") &&
	       !field(entry->arguments->items, "flags");
}

static bool blocked(const struct entry *entry)
{
	const struct value *why = entry->results ? entry->results->items : NULL;

	why = why ? why->next : NULL;
	return why && why->kind == VALUE_STRING && strcmp(why->string.bytes, "blocked") == 0;
}

/* The address that a mapping was asked to be at and nowhere else. */
static const struct value *address_asked(const struct entry *entry)
{
	const struct value *argument = entry->arguments->items;
	const struct value *fixed;

	if (strcmp(entry->function, "mmap") == 0) {
		fixed = field(argument, "fixed");
		if (!fixed || (fixed->kind == VALUE_BOOLEAN && !fixed->boolean))
			return NULL;
		return field(argument, "address");
	}
	if (strcmp(entry->function, "mremap") != 0)
		return NULL;
	while (argument && argument->kind != VALUE_TABLE)
		argument = argument->next;
	return field(argument, "fixed");
}

/* The variable that a value is written with; NULL: it is written as a number. */
static struct definition *variable_of(const struct scenario *scenario, const struct value *value)
{
	struct definition *definition;
	char name[32];

	if (!is_mapping(value)) {
		variable_name(value->name, name);
		return find(scenario, name);
	}
	do {
		mapping_name(value, name);
		definition = find(scenario, name);
		value = definition
				? address_asked(&scenario->statements[definition->statement].entry)
				: NULL;
	} while (value && is_mapping(value));
	return value ? NULL : definition;
}

/* --- building --- */

static void need(struct statement *statement, size_t other)
{
	for (size_t i = 0; i < statement->need_count; i++)
		if (statement->needs[i] == other)
			return;
	statement->needs = grow(statement->needs, statement->need_count, sizeof(size_t));
	statement->needs[statement->need_count++] = other;
}

static void need_values(struct scenario *scenario, struct statement *statement,
			const struct value *table)
{
	for (const struct value *value = table->items; value; value = value->next) {
		const struct definition *definition;

		if (value->kind == VALUE_TABLE)
			need_values(scenario, statement, value);
		if (value->kind == VALUE_STRING && value->string.length > VALUE_STRING_MAX &&
		    !value->string.uniform)
			scenario->unwritable = true;
		if (value->kind != VALUE_NAME)
			continue;
		definition = variable_of(scenario, value);
		if (definition)
			need(statement, definition->statement);
	}
}

/* What waits needs the call that sleeps, the last one on the same object that did; it may have been
 * waited for before. */
static void need_sleeping_call(const struct scenario *scenario, size_t number)
{
	struct statement *statement = &scenario->statements[number];

	while (number-- > 0) {
		const struct entry *before = &scenario->statements[number].entry;

		if (strcmp(before->subject, statement->entry.subject) == 0 && blocked(before) &&
		    !entry_awaits(before)) {
			need(statement, number);
			return;
		}
	}
}

void scenario_link(struct scenario *scenario)
{
	for (size_t i = 0; i < scenario->count; i++) {
		struct statement *statement = &scenario->statements[i];
		const struct definition *subject;
		char name[32];

		statement->need_count = 0;
		variable_name(statement->entry.subject, name);
		subject = find(scenario, name);
		if (subject)
			need(statement, subject->statement);
		need_values(scenario, statement, statement->entry.arguments);
		if (entry_awaits(&statement->entry))
			need_sleeping_call(scenario, i);
	}
}

/* A table of one's own, with all that is in it. */
static struct value *copy_value(const struct value *value)
{
	struct value *copy = malloc(sizeof(*copy)), **link;

	if (!copy)
		target_fail("out of memory");
	*copy = *value;
	if (value->kind != VALUE_TABLE)
		return copy;
	link = &copy->items;
	for (const struct value *item = value->items; item; item = item->next) {
		*link = copy_value(item);
		link = &(*link)->next;
	}
	return copy;
}

void value_free(struct value *value)
{
	while (value->kind == VALUE_TABLE && value->items) {
		struct value *item = value->items;

		value->items = item->next;
		value_free(item);
	}
	free(value);
}

static void define(struct scenario *scenario, const struct value *value, const char *path)
{
	struct definition *definition;

	scenario->definitions = grow(scenario->definitions, scenario->definition_count,
				     sizeof(*scenario->definitions));
	definition = &scenario->definitions[scenario->definition_count++];
	*definition = (struct definition){.statement = scenario->count - 1, .value = value};
	snprintf(definition->path, sizeof(definition->path), "%s", path);
	if (is_mapping(value))
		mapping_name(value, definition->name);
	else
		variable_name(value->name, definition->name);
}

/* The objects in a table of results. */
static void define_inside(struct scenario *scenario, const struct value *table, const char *path)
{
	uint64_t index = 1;

	for (const struct value *value = table->items; value; value = value->next) {
		char inside[96];

		if (value->key)
			snprintf(inside, sizeof(inside), "%s.%s", path, value->key);
		else
			snprintf(inside, sizeof(inside), "%s[%" PRIu64 "]", path, index);
		if (value->kind == VALUE_TABLE)
			define_inside(scenario, value, inside);
		else if (value->kind == VALUE_NAME && !value->address)
			define(scenario, value, inside);
		index += value->repeat;
	}
}

/* mmap and mremap, or what waits for them: the result is the start of a mapping. */
static bool makes_mapping(const struct entry *entry)
{
	const struct value *first = entry->results->items;

	return is_mapping(first) && !first->next && !strpbrk(first->name, "+-") &&
	       (strcmp(entry->function, "mmap") == 0 || strcmp(entry->function, "mremap") == 0 ||
		entry_awaits(entry));
}

static void define_results(struct scenario *scenario, const struct entry *entry)
{
	const struct value *first = entry->results ? entry->results->items : NULL;

	if (!first)
		return;
	if (first->kind == VALUE_TABLE)
		define_inside(scenario, first, "");
	else if (first->kind == VALUE_NAME && (!first->address || makes_mapping(entry)))
		define(scenario, first, "");
}

static void add(struct scenario *scenario, const struct entry *entry)
{
	struct statement *statement;

	scenario->statements =
		grow(scenario->statements, scenario->count, sizeof(*scenario->statements));
	statement = &scenario->statements[scenario->count++];
	*statement = (struct statement){.entry = *entry, .kept = true};
	statement->entry.arguments = copy_value(entry->arguments);
	define_results(scenario, entry);
}

struct scenario scenario_new(const struct transcript *transcript, const struct entry *last)
{
	struct scenario scenario = {.count = 0};

	for (const struct entry *e = next_compared(transcript->first); e;
	     e = next_compared(e->next)) {
		add(&scenario, e);
		if (e == last)
			break;
	}
	scenario_link(&scenario);
	return scenario;
}

void scenario_free(struct scenario *scenario)
{
	for (size_t i = 0; i < scenario->count; i++) {
		value_free(scenario->statements[i].entry.arguments);
		free(scenario->statements[i].needs);
	}
	free(scenario->statements);
	free(scenario->definitions);
}

/* What a statement needs comes before it. */
void scenario_close(struct scenario *scenario)
{
	for (size_t i = 0; i < scenario->count; i++) {
		struct statement *statement = &scenario->statements[i];

		for (size_t k = 0; k < statement->need_count; k++)
			if (!scenario->statements[statement->needs[k]].kept)
				statement->kept = false;
	}
}

size_t scenario_kept(const struct scenario *scenario)
{
	size_t kept = 0;

	for (size_t i = 0; i < scenario->count; i++)
		kept += scenario->statements[i].kept;
	return kept;
}

/* --- printing --- */

static void print_address(FILE *out, const struct scenario *scenario, const struct value *value)
{
	const struct definition *base = variable_of(scenario, value);

	if (!base)
		fprintf(out, "0x%" PRIx64, value->address);
	else if (value->address < base->value->address)
		fprintf(out, "%s - 0x%" PRIx64, base->name, base->value->address - value->address);
	else if (value->address > base->value->address)
		fprintf(out, "%s + 0x%" PRIx64, base->name, value->address - base->value->address);
	else
		fputs(base->name, out);
}

static void print_string(FILE *out, const struct value *value)
{
	if (value->string.uniform && value->string.length >= 8) {
		putc('(', out);
		value_print_quoted(out, value->string.bytes, 1);
		fprintf(out, "):rep(%zu)", value->string.length);
	} else {
		value_print_quoted(out, value->string.bytes, value_kept(value->string.length));
	}
}

static void print_items(FILE *out, const struct scenario *scenario, const struct value *table);

static void print_value(FILE *out, const struct scenario *scenario, const struct value *value)
{
	char name[32];

	switch (value->kind) {
	case VALUE_NAME:
		if (is_mapping(value)) {
			print_address(out, scenario, value);
		} else {
			variable_name(value->name, name);
			fputs(name, out);
		}
		break;
	case VALUE_STRING:
		print_string(out, value);
		break;
	case VALUE_TABLE:
		fputs(value->items ? "{ " : "{", out);
		print_items(out, scenario, value);
		fputs(value->items ? " }" : "}", out);
		break;
	default:
		value_print(out, value, VALUE_EXACT);
		break;
	}
}

static void print_items(FILE *out, const struct scenario *scenario, const struct value *table)
{
	const char *separator = "";

	for (const struct value *item = table->items; item; item = item->next) {
		for (uint64_t i = 0; i < item->repeat; i++) {
			fputs(separator, out);
			if (item->key) {
				value_print_key(out, item->key);
				fputs(" = ", out);
			}
			print_value(out, scenario, item);
			separator = ", ";
		}
	}
}

static void print_call(FILE *out, const struct scenario *scenario, const struct entry *entry)
{
	char name[32];

	variable_name(entry->subject, name);
	fprintf(out, "%s%s%s", name, strcmp(name, "quire") == 0 ? "." : ":", entry->function);
	if (entry_takes_one_table(entry)) {
		print_items(out, scenario, entry->arguments);
	} else {
		putc('(', out);
		print_items(out, scenario, entry->arguments);
		putc(')', out);
	}
}

static void mark_used(const struct scenario *scenario, const struct value *table)
{
	for (const struct value *value = table->items; value; value = value->next) {
		struct definition *definition;

		if (value->kind == VALUE_TABLE)
			mark_used(scenario, value);
		if (value->kind != VALUE_NAME)
			continue;
		definition = variable_of(scenario, value);
		if (definition)
			definition->used = true;
	}
}

/* Returns how many variables there are. */
static size_t find_used(const struct scenario *scenario)
{
	size_t used = 0;

	for (size_t i = 0; i < scenario->definition_count; i++)
		scenario->definitions[i].used = false;
	for (size_t i = 0; i < scenario->count; i++) {
		const struct entry *entry = &scenario->statements[i].entry;
		struct definition *subject;
		char name[32];

		if (!scenario->statements[i].kept)
			continue;
		variable_name(entry->subject, name);
		subject = find(scenario, name);
		if (subject)
			subject->used = true;
		mark_used(scenario, entry->arguments);
	}
	for (size_t i = 0; i < scenario->definition_count; i++)
		used += scenario->definitions[i].used;
	return used;
}

/* A call whose results are several variables. */
static void print_several(FILE *out, const struct scenario *scenario, size_t statement,
			  const char *scope)
{
	fprintf(out, "%sr%zu = ", scope, statement);
	print_call(out, scenario, &scenario->statements[statement].entry);
	putc('\n', out);
	for (size_t i = 0; i < scenario->definition_count; i++) {
		const struct definition *definition = &scenario->definitions[i];

		if (definition->used && definition->statement == statement)
			fprintf(out, "%s%s = r%zu%s\n", scope, definition->name, statement,
				definition->path);
	}
}

static void print_statement(FILE *out, const struct scenario *scenario, size_t statement,
			    const char *scope)
{
	const struct definition *used = NULL;
	size_t count = 0;

	for (size_t i = 0; i < scenario->definition_count; i++) {
		if (scenario->definitions[i].used &&
		    scenario->definitions[i].statement == statement) {
			used = &scenario->definitions[i];
			count++;
		}
	}
	if (count > 1) {
		print_several(out, scenario, statement, scope);
		return;
	}
	if (used)
		fprintf(out, "%s%s = ", scope, used->name);
	print_call(out, scenario, &scenario->statements[statement].entry);
	fprintf(out, "%s\n", used ? used->path : "");
}

void scenario_print(FILE *out, const struct scenario *scenario)
{
	const char *scope = find_used(scenario) <= LOCALS_MAX ? "local " : "";

	for (size_t i = 0; i < scenario->count; i++)
		if (scenario->statements[i].kept)
			print_statement(out, scenario, i, scope);
}
