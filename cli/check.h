/* SPDX-License-Identifier: MIT */
/*
 * `quire check`: random scenarios on the library and on another target.
 *
 *	check_options.c		the command line
 *	check.c			the command: probes, collects what the jobs found, sums up
 *	check_jobs.c		the processes that work on cases side by side
 *	check_case.c		one case: runs it, runs it again, reports
 *	check_trial.c		one script on the targets, and what was wrong with it
 *	check_emit.c		a transcript as a script without loops and conditions
 *	check_shrink.c		the few statements of it that a finding needs
 *	check_simplify.c	the same for their arguments
 *	check_simplify.c	their arguments, made shorter
 *	check_coverage.c	the cells of coverage
 *	check_*.lua		draw the operations of a case; check_generator.lua is the script
 *
 * A case is a run of the generator with a seed of its own, which is made from the seed of the whole
 * run and the number of the case.  What is printed does not depend on how many jobs there are: the
 * command takes results in the order of the cases.
 */
#ifndef QUIRE_CLI_CHECK_H
#define QUIRE_CLI_CHECK_H

#include "check_trial.h"

struct check_options {
	struct check_targets targets;
	const char *against; /* how the other target is called on the command line */
	const char
		*replay; /* the options of `quire run` that compare the same targets; NULL: none */
	uint64_t seed;
	uint64_t first_case, cases, operations;
	uint64_t findings; /* stop after so many */
	uint64_t inject;   /* allocations to fail in each case */
	bool injecting;	   /* 0 allocations are all of them */
	bool coverage;	   /* print all cells */
	unsigned jobs;
	double time;	/* seconds; 0: no limit */
	double timeout; /* of one script */
	double shrink_time;
	const char *features, *all_features; /* what to draw from; what that is by default */
	const char *output; /* the directory for scripts */
};

int check_command(int argc, char **argv);

/* check_options.c: exits for wrong usage, and for --help. */
void check_parse_options(int argc, char **argv, struct check_options *options);

/* The files check_*.lua. */
extern const struct script_text check_texts[];
#define CHECK_GENERATOR "check_generator"

/* check_coverage.c */
struct coverage {
	size_t count;
	char **names;	   /* as the generator declares them */
	uint64_t *reached; /* how often */
};
/* Of what a transcript declares. */
struct coverage coverage_new(const struct transcript *transcript);
void coverage_free(struct coverage *coverage);
void coverage_clear(struct coverage *coverage);
/* Counts what a transcript reached. */
void coverage_add(struct coverage *coverage, const struct transcript *transcript);
/* How many were, and the names of those that were not; or all, with their counts. */
void coverage_print(FILE *out, const struct coverage *coverage, bool all);

/* What a case came to. */
struct case_result {
	uint64_t number;
	uint64_t seed;
	uint64_t operations, calls; /* calls that change something, and all */
	enum status status;	    /* PASSED: no finding */
	bool noise;		    /* differed, and did not when run again */
	uint64_t *rules;	    /* how often each rule of differences.h was used */
	uint64_t *reached;	    /* of each cell of coverage */
	char *report;		    /* of a finding or noise, for people; NULL: none */
	char *script;		    /* of a finding; NULL: none */
};

/* check_case.c */
uint64_t check_case_seed(uint64_t seed, uint64_t number);
/* The file that the script of a finding is written to, malloc'ed. */
char *check_script_path(const struct check_options *options, uint64_t number);
/* Runs the generator with no operations, for what it declares. */
void check_probe(struct trial *trial, const struct check_options *options);
/* Fills in the result; `coverage` is for counting. */
void check_case(const struct check_options *options, uint64_t number, struct coverage *coverage,
		struct case_result *result);
void case_result_free(struct case_result *result);

/* check_jobs.c: runs the cases, and calls take() in their order until it returns false.  Returns the
 * signal that ended it early, or 0. */
int check_jobs(const struct check_options *options, struct coverage *coverage,
	       bool (*take)(void *context, const struct case_result *result), void *context);

#endif
