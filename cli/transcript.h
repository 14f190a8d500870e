/* SPDX-License-Identifier: MIT */
/*
 * The transcript: what a script did on a target, call by call, with arguments and results.
 *
 * It lives in memory that the runner shares with the worker that runs the script: nothing has to
 * be sent, and what a worker recorded outlives its crash.  The worker appends, and the runner reads
 * when the worker has ended.  Its memory is handed out from front to back and freed all at once.
 */
#ifndef QUIRE_CLI_TRANSCRIPT_H
#define QUIRE_CLI_TRANSCRIPT_H

#include "value.h"

enum entry_kind {
	ENTRY_CALL,    /* a call that has to give the same on every target */
	ENTRY_LOCAL,   /* a call that shows what only one target has: never compared */
	ENTRY_CHECK,   /* a failed check: text, with file and line */
	ENTRY_SAY,     /* narration: text */
	ENTRY_CELL,    /* coverage: the name of something that can be reached */
	ENTRY_REACHED, /* coverage: the name of such a cell, each time */
};

/* A scan as it was made, for the rule that must know (differences_scan.c). */
struct scan_record {
	uint64_t flags, max_pages, vec_len;
	uint64_t inverted, mask, anyof, report; /* categories */
	/* Where memory is registered for write protection, by address, [start, end) in pairs; NULL: nobody has
	 * asked. */
	const uint64_t *registered;
	size_t registrations;
};

struct entry {
	enum entry_kind kind;
	int line;
	struct entry *next;

	/* calls */
	const char *subject;  /* "p1", "p1.t1", "quire" */
	const char *function; /* "mmap" */
	struct value *arguments;
	struct value *results; /* NULL: it has not returned */
	const struct scan_record *scan;
	uint64_t kernel_pages; /* which the kernel has to access itself for the call, at most */

	const char *text;
};

struct transcript {
	const char *target; /* whose it is */
	bool keep;	    /* false: only the last call and the failed checks are kept */
	struct entry *first, *last;
	size_t used;

	/* what else the worker tells the runner */
	bool finished;	    /* the worker came to its end by itself */
	const char *reason; /* why the script was skipped, or its error */
	bool unexplained;   /* skipped for a reason that the profile of the target does not give */
	int line;	    /* where the script was when it was told to stop */
	bool died;	    /* the worker crashed, hung, or its target gave up */
	double opening;	    /* since when it waits for its target, in seconds_now(); 0: not now */
	double opened;	    /* how long it has waited */
	uint64_t checks, failed;
	uint64_t allocations;	/* asked for by the script's calls */
	bool allocation_failed; /* the one that was to fail did */
};

/* NULL: errno says why. */
struct transcript *transcript_new(bool keep);
void transcript_free(struct transcript *transcript);
/* For a worker: the processes that it forks don't get the transcript. */
void transcript_keep_private(struct transcript *transcript);

/* Zeroed memory that lives as long as the transcript. */
void *transcript_alloc(struct transcript *transcript, size_t size);
char *transcript_printf(struct transcript *transcript, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* Gives back everything allocated since `used` was `mark`. */
void transcript_rewind(struct transcript *transcript, size_t mark);

struct entry *transcript_entry(struct transcript *transcript, enum entry_kind kind, int line);
/* The entry is complete up to here: it may be seen. */
void transcript_append(struct transcript *transcript, struct entry *entry);

/* Has the call not returned? */
bool call_pending(const struct entry *entry);
/* From `entry` on, itself included, the first that both targets have to agree on. */
const struct entry *next_compared(const struct entry *entry);

/* Is its one argument a table with fields, for which a script can leave out the parentheses? */
bool entry_takes_one_table(const struct entry *entry);
void entry_print_call(FILE *out, const struct entry *entry);
/* The same, malloc'ed. */
char *entry_call_text(const struct entry *entry);
void entry_print_results(FILE *out, const struct entry *entry);

#endif
