/* SPDX-License-Identifier: MIT */
/*
 * The transcript's memory, and its entries as text.
 */
#define _GNU_SOURCE 1
#include "transcript.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "target.h"

/* Address space only: memory is taken as the transcript grows. */
#define TRANSCRIPT_SIZE ((size_t)1 << 32)

struct transcript *transcript_new(bool keep)
{
	struct transcript *transcript = mmap(NULL, TRANSCRIPT_SIZE, PROT_READ | PROT_WRITE,
					     MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (transcript == MAP_FAILED)
		return NULL;
	transcript->keep = keep;
	transcript->used = sizeof(*transcript);
	return transcript;
}

void transcript_free(struct transcript *transcript)
{
	if (transcript)
		munmap(transcript, TRANSCRIPT_SIZE);
}

void transcript_keep_private(struct transcript *transcript)
{
	madvise(transcript, TRANSCRIPT_SIZE, MADV_DONTFORK);
}

void *transcript_alloc(struct transcript *transcript, size_t size)
{
	size_t aligned = (size + 15) & ~(size_t)15;
	char *memory = (char *)transcript + transcript->used;

	if (aligned > TRANSCRIPT_SIZE - transcript->used)
		target_fail("the transcript is full");
	transcript->used += aligned;
	return memset(memory, 0, aligned);
}

char *transcript_printf(struct transcript *transcript, const char *format, ...)
{
	va_list arguments;
	char *text, *copy;
	int length;

	va_start(arguments, format);
	length = vasprintf(&text, format, arguments);
	va_end(arguments);
	if (length < 0)
		target_fail("out of memory");
	copy = transcript_alloc(transcript, (size_t)length + 1);
	memcpy(copy, text, (size_t)length);
	free(text);
	return copy;
}

void transcript_rewind(struct transcript *transcript, size_t mark)
{
	transcript->used = mark;
}

bool call_pending(const struct entry *entry)
{
	return entry->subject && !entry->results;
}

/* A transcript that is not kept forgets a finished call when the next entry comes. */
static void forget_last_call(struct transcript *transcript)
{
	struct entry *last = transcript->last, **link = &transcript->first;

	if (transcript->keep || !last || last->kind == ENTRY_CHECK || call_pending(last))
		return;
	while (*link != last)
		link = &(*link)->next;
	*link = NULL;
	transcript->last = NULL;
	for (struct entry *entry = transcript->first; entry; entry = entry->next)
		transcript->last = entry;
	transcript_rewind(transcript, (size_t)((char *)last - (char *)transcript));
}

struct entry *transcript_entry(struct transcript *transcript, enum entry_kind kind, int line)
{
	struct entry *entry;

	forget_last_call(transcript);
	entry = transcript_alloc(transcript, sizeof(*entry));
	entry->kind = kind;
	entry->line = line;
	return entry;
}

void transcript_append(struct transcript *transcript, struct entry *entry)
{
	if (transcript->last)
		transcript->last->next = entry;
	else
		transcript->first = entry;
	transcript->last = entry;
}

const struct entry *next_compared(const struct entry *entry)
{
	while (entry && entry->kind != ENTRY_CALL)
		entry = entry->next;
	return entry;
}

bool entry_takes_one_table(const struct entry *entry)
{
	const struct value *first = entry->arguments->items;

	return first && !first->next && first->repeat == 1 && first->kind == VALUE_TABLE &&
	       first->items && first->items->key;
}

void entry_print_call(FILE *out, const struct entry *entry)
{
	fprintf(out, "%s%s%s", entry->subject, strcmp(entry->subject, "quire") == 0 ? "." : ":",
		entry->function);
	if (entry_takes_one_table(entry)) {
		value_print_items(out, entry->arguments, VALUE_CALL);
	} else {
		putc('(', out);
		value_print_items(out, entry->arguments, VALUE_CALL);
		putc(')', out);
	}
}

char *entry_call_text(const struct entry *entry)
{
	char *text = NULL;
	size_t length;
	FILE *out = open_memstream(&text, &length);

	if (!out)
		target_fail("out of memory");
	entry_print_call(out, entry);
	fclose(out);
	return text;
}

void entry_print_results(FILE *out, const struct entry *entry)
{
	if (!entry->results)
		fputs("did not return", out);
	else if (!entry->results->items)
		fputs("nothing", out);
	else
		value_print_items(out, entry->results, VALUE_RESULT);
}
