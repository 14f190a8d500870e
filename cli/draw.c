/* SPDX-License-Identifier: MIT */
/*
 * Page tables as a picture in text, for people: what stands in each page's place, pages that are
 * alike on one line.
 *
 *	7feffffff000 ┬ rw-p 64K
 *	             │ page 0        rw- own page, written           level 0
 *	             │ page 1        nothing                         level 0
 *	             └ pages 2-15    guard                           level 0
 *	page tables 16K: 1 at level 3, 1 at level 2, 1 at level 1, 1 at level 0
 */
#include "draw.h"

#include <quire/quire.h>

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What one line says of its pages. */
struct look {
	char text[48];
	unsigned level;
};

static void look_at_leaf(struct quire_space *space, uint64_t page,
			 const struct quire_entry_report *entry, char *text, size_t size)
{
	uint64_t word = 0;
	const char *whose = "page of several";

	quire_pagemap(space, page, 1, &word);
	if (entry->special)
		whose = "the page of zeros";
	else if (word & QUIRE_PAGEMAP_EXCLUSIVE)
		whose = "own page";
	snprintf(text, size, "%c%c%c %s%s", entry->readable ? 'r' : '-', entry->writable ? 'w' : '-',
		 entry->exec ? 'x' : '-', whose, entry->dirty ? ", written" : "");
}

static void look_at(struct quire_space *space, uint64_t page, struct look *look, uint64_t *end)
{
	static const char *const names[] = {
		[QUIRE_ENTRY_ABSENT] = "nothing",      [QUIRE_ENTRY_MARKER] = "marker",
		[QUIRE_ENTRY_SWAP] = "in swap",	       [QUIRE_ENTRY_MIGRATION] = "in migration",
		[QUIRE_ENTRY_GUARD] = "guard",	       [QUIRE_ENTRY_POISON] = "poison",
		[QUIRE_ENTRY_PARKED] = "parked table", [QUIRE_ENTRY_LEAF] = "",
	};
	struct quire_entry_report entry;

	*look = (struct look){0};
	*end = page + QUIRE_PAGE_SIZE;
	if (quire_entry(space, page, &entry))
		return;
	look->level = entry.level;
	*end = entry.end;
	if (entry.kind == QUIRE_ENTRY_LEAF)
		look_at_leaf(space, page, &entry, look->text, sizeof(look->text));
	else
		snprintf(look->text, sizeof(look->text), "%s", names[entry.kind]);
}

static void print_size(FILE *out, uint64_t bytes)
{
	static const char units[] = "KMGT";
	unsigned unit = 0;

	for (bytes /= 1024; bytes && bytes % 1024 == 0 && units[unit + 1]; bytes /= 1024)
		unit++;
	fprintf(out, "%" PRIu64 "%c", bytes, units[unit]);
}

static void draw_line(FILE *out, const struct quire_vma_report *vma, uint64_t start, uint64_t end,
		      const struct look *look)
{
	uint64_t first = (start - vma->start) / QUIRE_PAGE_SIZE;
	uint64_t last = (end - vma->start) / QUIRE_PAGE_SIZE - 1;
	char pages[48];

	if (first == last)
		snprintf(pages, sizeof(pages), "page %" PRIu64, first);
	else
		snprintf(pages, sizeof(pages), "pages %" PRIu64 "-%" PRIu64, first, last);
	fprintf(out, "             %s %-14s %-30s level %u\n", end == vma->end ? "└" : "│", pages,
		look->text, look->level);
}

static void draw_vma(FILE *out, struct quire_space *space, const struct quire_vma_report *vma)
{
	uint64_t start = vma->start, end;
	struct look look, next;

	fprintf(out, "%12" PRIx64 " ┬ %c%c%c%c ", vma->start,
		vma->prot & QUIRE_PROT_READ ? 'r' : '-', vma->prot & QUIRE_PROT_WRITE ? 'w' : '-',
		vma->prot & QUIRE_PROT_EXEC ? 'x' : '-', vma->shared ? 's' : 'p');
	print_size(out, vma->end - vma->start);
	fprintf(out, "\n");
	look_at(space, start, &look, &end);
	while (end < vma->end) {
		uint64_t reach;

		look_at(space, end, &next, &reach);
		if (strcmp(look.text, next.text) != 0 || look.level != next.level) {
			draw_line(out, vma, start, end, &look);
			start = end;
			look = next;
		}
		end = reach;
	}
	draw_line(out, vma, start, vma->end, &look);
}

static void draw_tables(FILE *out, struct quire_space *space)
{
	struct quire_tables_report tables;
	const char *before = ": ";

	quire_tables(space, &tables);
	fprintf(out, "page tables ");
	print_size(out, tables.bytes);
	for (unsigned level = tables.levels; level-- > 0;) {
		if (!tables.level[level].tables)
			continue;
		fprintf(out, "%s%" PRIu64 " at level %u", before, tables.level[level].tables,
			level);
		before = ", ";
	}
	fprintf(out, "\n");
}

char *draw_space(struct quire_space *space)
{
	struct quire_vma_report vma = {0};
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return NULL;
	while (quire_vma(space, vma.end, &vma) == 0)
		draw_vma(out, space, &vma);
	draw_tables(out, space);
	return fclose(out) ? NULL : text;
}
