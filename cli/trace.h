/* SPDX-License-Identifier: MIT */
/*
 * --trace: the transcript, printed by the worker while it grows.
 */
#ifndef QUIRE_CLI_TRACE_H
#define QUIRE_CLI_TRACE_H

#include "differences.h"

struct trace {
	bool on;
	bool saying; /* the last line was narration */
	/* The other target's next call, where that target has run the script before. */
	const struct entry *other;
	struct comparison comparison;
};

/* `other` is NULL if no other target has run the script. */
struct trace trace_new(bool on, const struct transcript *own, const struct transcript *other);
void trace_call(struct trace *trace, const struct entry *entry);
void trace_say(struct trace *trace, const char *text);
/* A drawing or a dump, indented. */
void trace_text(struct trace *trace, const char *text);

#endif
