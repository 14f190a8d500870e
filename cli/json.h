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

const char *status_name(enum status status);

/* Each takes a FILE that may be NULL: then nothing is written. */
void json_begin(FILE *out);
void json_script(FILE *out, const char *file, enum status status, const struct script_run *runs,
		 size_t count, const struct difference *difference);
void json_end(FILE *out, unsigned long passed, unsigned long failed, unsigned long skipped);

#endif
