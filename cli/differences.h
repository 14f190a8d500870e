/* SPDX-License-Identifier: MIT */
/*
 * Comparing the transcripts of one script on two targets.
 *
 * What is called quire here is the target that is compared, and kernel what it is compared with.
 */
#ifndef QUIRE_CLI_DIFFERENCES_H
#define QUIRE_CLI_DIFFERENCES_H

#include "transcript.h"

/* What is known of both runs up to some call. */
struct comparison {
	const char *quire, *kernel; /* names of the targets */
	uint64_t kernel_pages;	    /* the kernel has accessed by itself, at most */
};

#define DIFFERENCE_PATH_MAX 128

/* The first difference that no rule tolerates. */
struct difference {
	const char *quire_name, *kernel_name; /* of the targets */
	const struct entry *quire, *kernel;   /* NULL: that transcript ended before */
	bool calls;			      /* the calls themselves differ, not what came back */
	char path[DIFFERENCE_PATH_MAX];	      /* of the result that differs, from the outside in */
	const struct value *quire_value, *kernel_value; /* NULL: that side lacks it */
};

/* Where the targets may differ for a reason that is not the script's (docs/differences.md). */
struct difference_rule {
	const char *name;
	/* Of one value, in two entries that are the same call. */
	bool (*tolerates)(const struct comparison *comparison, const struct difference *difference);
	/* Of all results together, where the first that differs is `difference`; NULL: they are judged one by
	 * one. */
	bool (*tolerates_call)(const struct comparison *comparison,
			       const struct difference *difference);
	unsigned long used;
};

extern struct difference_rule difference_rules[];
extern const size_t difference_rule_count;

/* Both return whether there is a difference, and count the rules they used.  Calls are compared in their
 * order. */
bool entries_differ(struct comparison *comparison, const struct entry *quire,
		    const struct entry *kernel, struct difference *difference);
bool transcripts_differ(const struct transcript *quire, const struct transcript *kernel,
			struct difference *difference);

/* The field of a table; NULL: there is none. */
const struct value *difference_field(const struct value *table, const char *key);
/* Is the kernel of the comparison a real one? */
bool against_linux(const struct comparison *comparison);

/* differences_scan.c: the rule scan-empty-written. */
bool scan_empty_written(const struct comparison *comparison, const struct difference *difference);

void difference_print(FILE *out, const char *file, const struct difference *difference);

#endif
