/* SPDX-License-Identifier: MIT */
/*
 * `quire run`: scripts on targets.
 */
#ifndef QUIRE_CLI_RUN_H
#define QUIRE_CLI_RUN_H

#include <stdio.h>

#include "script.h"

struct run_options {
	/* Where to run; the second, if there is one, is what the first is compared with. */
	const struct target_ops *on[2];
	bool trace, tap, verify;
	bool strict_skips; /* one that the target's profile does not explain is a failure */
	const char *json; /* the file's name, or NULL */
	double timeout;	  /* seconds */
	uint64_t fail;	  /* --fail: the allocation that fails, from 1; 0: none */
	bool fail_count;  /* --fail-count */
	bool sweep;	  /* --fail-sweep */
	uint64_t sweep_places;
	char *const *files;	/* NULL at the end */
	char *const *arguments; /* of the scripts, NULL at the end */
};

/* `quire run ...`; argv[0] is the command's name.  Returns the exit status. */
int run_command(int argc, char **argv);

/* run_options.c: exits for wrong usage, and for --help. */
void run_parse_options(int argc, char **argv, struct run_options *options);

/* Of two statuses the one that a run with both ends with. */
enum status worse(enum status a, enum status b);

struct transcript *run_new_transcript(bool keep);
/* What most scripts run with on this target. */
struct script_options run_script_options(const struct run_options *options, const char *file,
					 const struct target_ops *ops);
/* The reason of a script that was skipped or did not come to its end. */
void run_print_reason(const char *file, const char *target, enum status status,
		      const struct transcript *transcript);

/* sweep.c */
/* How many allocations to let fail if `wanted` are asked for (0: all) and there are `count`. */
uint64_t sweep_places(uint64_t wanted, uint64_t count);
/* The number of the one that fails in the i-th place, from 0; they are evenly spread. */
uint64_t sweep_place(uint64_t i, uint64_t places, uint64_t count);
enum status count_allocations(const struct run_options *options, const char *file);
enum status sweep_allocations(const struct run_options *options, const char *file);

#endif
