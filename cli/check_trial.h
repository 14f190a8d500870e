/* SPDX-License-Identifier: MIT */
/*
 * A trial: one script on the library and, if there is one, on another target, and what was wrong.
 */
#ifndef QUIRE_CLI_CHECK_TRIAL_H
#define QUIRE_CLI_CHECK_TRIAL_H

#include "differences.h"
#include "script.h"

enum { LIBRARY, OTHER, CHECK_SIDES };

struct check_targets {
	const struct target_ops *ops[CHECK_SIDES]; /* OTHER may be NULL */
	bool verify;				   /* run the invariant checker on the library */
};

enum trouble {
	TROUBLE_NONE,
	TROUBLE_SKIPPED,    /* a target can't be had, or not as asked: no finding */
	TROUBLE_DIFFERENCE, /* the targets answered differently */
	TROUBLE_VIOLATION,  /* a check failed, or the invariant checker found something */
	TROUBLE_DEATH,	    /* a target crashed, or a call never returned */
	TROUBLE_ERROR,	    /* the script itself failed */
};

/* What a finding is known by when statements are left out: numbers in it don't count. */
struct symptom {
	enum trouble trouble;
	int side; /* the target that has it; LIBRARY for a difference */
	char function[32];
	char shape[160];
};

struct trial_script {
	const char *name;
	struct script_text text;
	const struct script_text *modules; /* NULL: none */
	char *const *arguments;
	double timeout;
	uint64_t fail;	/* the allocation to fail; 0: none */
	bool count;	/* allocations */
	unsigned sides; /* that it is run on, a bit each; 0: all */
	bool verify;
};

#define TRIAL_SAID_MAX 1024

struct trial {
	struct trial_script script;
	const char *names[CHECK_SIDES]; /* of the targets; NULL: not run on this side */
	struct transcript *transcripts[CHECK_SIDES];
	enum status status[CHECK_SIDES];
	char said[TRIAL_SAID_MAX]; /* the beginning of what came on standard error */
	struct symptom symptom;
	struct difference difference; /* TROUBLE_DIFFERENCE */
	const struct entry *culprit;  /* the call it happened in or after; NULL: none */
	uint64_t calls;		      /* of the library, whatever they did */
};

/* Fills in the trial, which holds transcripts from then on. */
void trial_run(struct trial *trial, const struct check_targets *targets,
	       const struct trial_script *script);
void trial_free(struct trial *trial);
bool same_symptom(const struct symptom *a, const struct symptom *b);
/* What was wrong, in lines for people.  `name` is the script's. */
void trial_print(FILE *out, const struct trial *trial);
/* What the command ends with for it. */
enum status trial_status(const struct trial *trial);

#endif
