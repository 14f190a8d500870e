/* SPDX-License-Identifier: MIT */
/*
 * --json FILE: one object for the whole run.
 */
#ifndef QUIRE_CLI_JSON_H
#define QUIRE_CLI_JSON_H

#include "differences.h"
#include "script.h"

/* What one script did on one target. */
struct script_run {
	const char *target;
	enum status status;
	struct transcript *transcript;
};

struct skip {
	const char *target, *file;
	char *reason;
	bool unexplained;
	struct skip *next; /* a later one */
};

/* Of a whole run.  A script that ran on one target and was skipped on the other counts twice. */
struct run_counts {
	unsigned long passed, failed; /* scripts */
	unsigned long skipped;	      /* as many as there are skips */
	struct skip *skips;
};

const char *status_name(enum status status);

/* Each takes a FILE that may be NULL: then nothing is written. */
void json_begin(FILE *out);
void json_script(FILE *out, const char *file, enum status status, const struct script_run *runs,
		 size_t count, const struct difference *difference);
/* `on` and `against` are the targets; there may be no second. */
void json_end(FILE *out, const struct run_counts *counts, const char *on, const char *against);

#endif
