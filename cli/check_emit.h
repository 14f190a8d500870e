/* SPDX-License-Identifier: MIT */
/*
 * A transcript as a scenario: a straight line of statements, one for each call.
 */
#ifndef QUIRE_CLI_CHECK_EMIT_H
#define QUIRE_CLI_CHECK_EMIT_H

#include "transcript.h"

struct statement {
	struct entry entry; /* the arguments are its own and may be changed, the results not */
	bool kept;
	bool renamed;  /* while it is tried on another process or thread */
	size_t *needs; /* the statements that define what it uses */
	size_t need_count;
};

struct scenario {
	struct statement *statements;
	size_t count;
	struct definition *definitions;
	size_t definition_count;
	bool unwritable; /* a call has a string that the transcript did not keep */
};

/* Up to the entry `last`, all kept.  The transcript has to outlive it. */
struct scenario scenario_new(const struct transcript *transcript, const struct entry *last);
void value_free(struct value *value);
void scenario_free(struct scenario *scenario);
/* Finds out anew what each statement needs; for statements that were changed. */
void scenario_link(struct scenario *scenario);
/* Drops what needs something that is not kept. */
void scenario_close(struct scenario *scenario);
size_t scenario_kept(const struct scenario *scenario);
void scenario_print(FILE *out, const struct scenario *scenario);

/* check_simplify.c: changes the kept statements as long as `holds` does; whether it did. */
bool scenario_simplify(struct scenario *scenario, bool (*holds)(void *context), void *context);

/* Does the call only look? */
bool entry_observes(const struct entry *entry);
/* Does it wait for a call that was made before? */
bool entry_awaits(const struct entry *entry);

#endif
