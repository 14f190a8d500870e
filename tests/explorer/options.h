/* SPDX-License-Identifier: MIT */
/* The explorer's command line. */
#ifndef EXPLORER_OPTIONS_H
#define EXPLORER_OPTIONS_H

#include "operations.h"

#define JOBS_MAX 16

struct options {
	const struct operation *a, *b;
	const struct registration *registration;
	const struct memory *memory;
	unsigned at[2];
	uint64_t sample, seed, seconds;
	unsigned depth, jobs;
	uint64_t limit;
	bool verbose, all;
};
extern struct options options;

/* Ends the program if they are wrong, or only ask for a list. */
void parse_options(int argc, char **argv);

#endif
