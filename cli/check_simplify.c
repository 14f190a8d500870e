/* SPDX-License-Identifier: MIT */
/*
 * Simpler statements: one change after the other, each undone if the scenario then no longer shows
 * what it has to.
 *
 *	threads		their process instead, and the first process instead of others
 *	options		left out; so what was mapped at a fixed address is placed by the target
 *	sizes		one page
 *	strings		one byte
 */
#define _GNU_SOURCE 1
#include "check_emit.h"

#include <string.h>

#define PAGE 4096
/* Larger numbers are addresses. */
#define SIZES_BELOW (INT64_C(1) << 32)

struct simplifier {
	struct scenario *scenario;
	bool (*holds)(void *context);
	void *context;
	bool changed;
};

/* After a change; false: it has to be undone. */
static bool still_holds(struct simplifier *simplifier)
{
	bool holds;

	scenario_link(simplifier->scenario);
	holds = simplifier->holds(simplifier->context);
	simplifier->changed |= holds;
	return holds;
}

/* --- what calls are made on --- */

/* Makes all calls on one object on another instead. */
static void try_subject(struct simplifier *simplifier, const char *from, const char *to)
{
	const struct scenario *scenario = simplifier->scenario;

	for (size_t i = 0; i < scenario->count; i++) {
		struct statement *statement = &scenario->statements[i];

		statement->renamed = statement->kept && strcmp(statement->entry.subject, from) == 0;
		if (statement->renamed)
			statement->entry.subject = to;
	}
	if (still_holds(simplifier))
		return;
	for (size_t i = 0; i < scenario->count; i++)
		if (scenario->statements[i].renamed)
			scenario->statements[i].entry.subject = from;
}

/* The process of a thread; NULL: it is none. */
static const char *process_of(const struct scenario *scenario, const char *thread)
{
	const char *dot = strchr(thread, '.');

	for (size_t i = 0; dot && i < scenario->count; i++) {
		const char *subject = scenario->statements[i].entry.subject;

		if (strlen(subject) == (size_t)(dot - thread) &&
		    strncmp(subject, thread, strlen(subject)) == 0)
			return subject;
	}
	return NULL;
}

static void simplify_subject(struct simplifier *simplifier, const struct statement *statement)
{
	const char *process = process_of(simplifier->scenario, statement->entry.subject);

	if (process)
		try_subject(simplifier, statement->entry.subject, process);
	if (*statement->entry.subject == 'p' && strcmp(statement->entry.subject, "p1") != 0)
		try_subject(simplifier, statement->entry.subject, "p1");
}

/* --- what they are given --- */

static void simplify_size(struct simplifier *simplifier, struct value *value)
{
	int64_t before = value->integer;

	if (before <= PAGE || before >= SIZES_BELOW)
		return;
	value->integer = PAGE;
	if (!still_holds(simplifier))
		value->integer = before;
}

static void simplify_string(struct simplifier *simplifier, struct value *value)
{
	size_t before = value->string.length;

	if (!value->string.uniform || before <= 1)
		return;
	value->string.length = 1;
	if (!still_holds(simplifier))
		value->string.length = before;
}

static void simplify_repeat(struct simplifier *simplifier, struct value *value)
{
	uint64_t before = value->repeat;

	if (before == 1)
		return;
	value->repeat = 1;
	if (!still_holds(simplifier))
		value->repeat = before;
}

/* Does it go without what the link leads to? */
static bool drop(struct simplifier *simplifier, struct value **link)
{
	struct value *item = *link;

	*link = item->next;
	if (still_holds(simplifier)) {
		value_free(item);
		return true;
	}
	*link = item;
	return false;
}

/* The items of a table; those of a call's arguments can't be left out, but for options. */
static void simplify_items(struct simplifier *simplifier, struct value *table, bool arguments)
{
	struct value **link = &table->items;

	while (*link) {
		struct value *item = *link;
		bool optional = !arguments || (item->kind == VALUE_TABLE && link != &table->items);

		if (optional && drop(simplifier, link))
			continue;
		simplify_repeat(simplifier, item);
		if (item->kind == VALUE_INTEGER)
			simplify_size(simplifier, item);
		else if (item->kind == VALUE_STRING)
			simplify_string(simplifier, item);
		else if (item->kind == VALUE_TABLE)
			simplify_items(simplifier, item, false);
		link = &item->next;
	}
}

bool scenario_simplify(struct scenario *scenario, bool (*holds)(void *context), void *context)
{
	struct simplifier simplifier = {.scenario = scenario, .holds = holds, .context = context};

	for (size_t i = 0; i < scenario->count; i++) {
		struct statement *statement = &scenario->statements[i];

		if (!statement->kept)
			continue;
		simplify_subject(&simplifier, statement);
		simplify_items(&simplifier, statement->entry.arguments, true);
	}
	scenario_link(scenario);
	return simplifier.changed;
}
