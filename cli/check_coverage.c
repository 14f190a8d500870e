/* SPDX-License-Identifier: MIT */
/*
 * Coverage: how often each cell that the generator declares was reached.
 */
#define _GNU_SOURCE 1
#include "check.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define WIDTH 100 /* of a line of names */

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void *allocate(size_t count, size_t size)
{
	void *memory = calloc(count + 1, size);

	if (!memory)
		target_fail("out of memory");
	return memory;
}

/* Sorted, and each once. */
static size_t unique(char **names, size_t count)
{
	size_t kept = 0;

	qsort(names, count, sizeof(*names), compare_names);
	for (size_t i = 0; i < count; i++) {
		if (kept && strcmp(names[kept - 1], names[i]) == 0)
			free(names[i]);
		else
			names[kept++] = names[i];
	}
	return kept;
}

struct coverage coverage_new(const struct transcript *transcript)
{
	struct coverage coverage = {.count = 0};

	for (const struct entry *e = transcript->first; e; e = e->next)
		coverage.count += e->kind == ENTRY_CELL;
	coverage.names = allocate(coverage.count, sizeof(*coverage.names));
	coverage.count = 0;
	for (const struct entry *e = transcript->first; e; e = e->next) {
		if (e->kind != ENTRY_CELL)
			continue;
		coverage.names[coverage.count] = strdup(e->text);
		if (!coverage.names[coverage.count++])
			target_fail("out of memory");
	}
	coverage.count = unique(coverage.names, coverage.count);
	coverage.reached = allocate(coverage.count, sizeof(*coverage.reached));
	return coverage;
}

void coverage_free(struct coverage *coverage)
{
	for (size_t i = 0; i < coverage->count; i++)
		free(coverage->names[i]);
	free(coverage->names);
	free(coverage->reached);
}

void coverage_clear(struct coverage *coverage)
{
	memset(coverage->reached, 0, coverage->count * sizeof(*coverage->reached));
}

void coverage_add(struct coverage *coverage, const struct transcript *transcript)
{
	for (const struct entry *e = transcript->first; e; e = e->next) {
		char *const *name;

		if (e->kind != ENTRY_REACHED)
			continue;
		name = bsearch(&e->text, coverage->names, coverage->count, sizeof(*coverage->names),
			       compare_names);
		if (name)
			coverage->reached[name - coverage->names]++;
	}
}

static void print_unreached(FILE *out, const struct coverage *coverage)
{
	size_t column = 0;

	fputs("not reached:", out);
	for (size_t i = 0; i < coverage->count; i++) {
		size_t length = strlen(coverage->names[i]);

		if (coverage->reached[i])
			continue;
		if (!column || column + length + 2 > WIDTH) {
			fputs(column ? ",\n  " : "\n  ", out);
			column = 2;
		} else {
			fputs(", ", out);
			column += 2;
		}
		fputs(coverage->names[i], out);
		column += length;
	}
	putc('\n', out);
}

void coverage_print(FILE *out, const struct coverage *coverage, bool all)
{
	size_t reached = 0;

	for (size_t i = 0; i < coverage->count; i++)
		reached += coverage->reached[i] != 0;
	fprintf(out, "cells reached: %zu of %zu\n", reached, coverage->count);
	if (all)
		for (size_t i = 0; i < coverage->count; i++)
			fprintf(out, "%10" PRIu64 "  %s\n", coverage->reached[i],
				coverage->names[i]);
	else if (reached < coverage->count)
		print_unreached(out, coverage);
}
