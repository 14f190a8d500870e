/* SPDX-License-Identifier: MIT */
/*
 * From a finding to the few statements that it needs.
 */
#ifndef QUIRE_CLI_CHECK_SHRINK_H
#define QUIRE_CLI_CHECK_SHRINK_H

#include "check_trial.h"

struct shrunk {
	char *text;	      /* the script, malloc'ed */
	size_t before, after; /* its statements */
	bool reproduces;      /* written as a straight line, it shows the same */
	bool in_time;	      /* nothing more can be left out */
	const char *why_not;  /* static text, where it could not be written at all; NULL: it was */
};

/* `found` is the trial of the script to shrink.  Takes about as many seconds as it is given. */
struct shrunk shrink(const struct check_targets *targets, const struct trial *found,
		     double seconds);

#endif
