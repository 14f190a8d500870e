/* SPDX-License-Identifier: MIT */
/*
 * Comparing the transcripts of one script on two targets.
 */
#ifndef QUIRE_CLI_DIFFERENCES_H
#define QUIRE_CLI_DIFFERENCES_H

#include "transcript.h"

/* Where the targets may differ for a reason that is not the script's (docs/differences.md). */
struct difference_rule {
	const char *name;
	/* Both entries are the same call; a value is NULL on the side that lacks it. */
	bool (*tolerates)(const struct entry *entry, const char *path, const struct value *quire,
			  const struct value *kernel);
	/* The same for all results together; NULL: they are judged one by one. */
	bool (*tolerates_call)(const struct entry *quire, const struct entry *kernel);
	unsigned long used;
};

extern struct difference_rule difference_rules[];
extern const size_t difference_rule_count;

#define DIFFERENCE_PATH_MAX 128

/* The first untolerated difference.  What is called quire here is the target that is compared, and kernel
 * what it is compared with. */
struct difference {
	const char *quire_name, *kernel_name; /* of the targets; by transcripts_differ() */
	const struct entry *quire, *kernel;   /* NULL: that transcript ended before */
	bool calls;			      /* the calls themselves differ, not what came back */
	char path[DIFFERENCE_PATH_MAX];	      /* of the result that differs, from the outside in */
	const struct value *quire_value, *kernel_value; /* NULL: that side lacks it */
};

/* Both return whether there is a difference, and count the rules they used. */
bool entries_differ(const struct entry *quire, const struct entry *kernel,
		    struct difference *difference);
bool transcripts_differ(const struct transcript *quire, const struct transcript *kernel,
			struct difference *difference);

/* differences_scan.c: the rule scan-empty-written. */
bool scan_empty_written(const struct entry *quire, const struct entry *kernel);

void difference_print(FILE *out, const char *file, const struct difference *difference);

#endif
