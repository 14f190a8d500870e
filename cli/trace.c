/* SPDX-License-Identifier: MIT */
/*
 * How a trace looks:
 *
 *	Narration, from quire.say().
 *	   12: p1:mmap{length=64K, prot="rw"} → m1
 *
 * and beside another target's transcript, where both saw the same and where they did not:
 *
 *	   13: p1:pagemap(m1) = {exclusive, present}
 *	   14: p1:pagemap(m1+0x1000)
 *	         quire → {exclusive, present}
 *	         linux → {present}
 */
#include "trace.h"

#include <string.h>

#include "differences.h"

struct trace trace_new(bool on, const struct transcript *own, const struct transcript *other)
{
	struct trace trace = {.on = on, .comparison.quire = own->target};

	if (other) {
		trace.other = next_compared(other->first);
		trace.comparison.kernel = other->target;
	}
	return trace;
}

static void print_both(struct trace *trace, const struct entry *entry, const struct entry *other)
{
	struct difference difference;

	if (!entries_differ(&trace->comparison, entry, other, &difference)) {
		if (entry->results->items) {
			fputs(" = ", stdout);
			entry_print_results(stdout, entry);
		}
		putchar('\n');
		return;
	}
	printf("\n         %s → ", trace->comparison.quire);
	entry_print_results(stdout, entry);
	printf("\n         %s → ", trace->comparison.kernel);
	if (difference.calls) {
		printf("did something else: line %d: ", other->line);
		entry_print_call(stdout, other);
	} else {
		entry_print_results(stdout, other);
	}
	putchar('\n');
}

void trace_call(struct trace *trace, const struct entry *entry)
{
	const struct entry *other = entry->kind == ENTRY_CALL ? trace->other : NULL;

	if (!trace->on)
		return;
	trace->saying = false;
	printf("%5d: ", entry->line);
	entry_print_call(stdout, entry);
	if (other) {
		print_both(trace, entry, other);
		trace->other = next_compared(other->next);
	} else if (entry->results->items) {
		fputs(" → ", stdout);
		entry_print_results(stdout, entry);
		putchar('\n');
	} else {
		putchar('\n');
	}
	fflush(stdout);
}

void trace_say(struct trace *trace, const char *text)
{
	if (!trace->on)
		return;
	printf("%s%s\n", trace->saying ? "" : "\n", text);
	trace->saying = true;
	fflush(stdout);
}

void trace_text(struct trace *trace, const char *text)
{
	if (!trace->on)
		return;
	trace->saying = false;
	while (*text) {
		size_t length = strcspn(text, "\n");

		printf("       %.*s\n", (int)length, text);
		text += length;
		text += *text == '\n';
	}
	fflush(stdout);
}
