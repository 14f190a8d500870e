/* SPDX-License-Identifier: MIT */
/*
 * Two operations interleaved on purpose: one thread stops before its k-th call of the port until the
 * other one's operation is done, for every k.
 *
 *	a:  call 1   call 2   ...   | stopped before call k ............. |   call k   ...
 *	b:                          | its operation, from start to end    |
 *
 * The stopped thread goes on early where the other one would wait for it: for a lock that it holds, or
 * in quire_port_wait().  Which lock that is, is known from the calls, so nothing depends on time.
 */
#ifndef QUIRE_STALL_H
#define QUIRE_STALL_H

#include <stdbool.h>

#include "port_probe.h"

struct stall {
	void (*a)(void *context);
	void (*b)(void *context);
	void *context;

	/* of the last run */
	bool stopped;	     /* `a` made as many calls */
	enum port_call call; /* before which it stopped, */
	const void *what;    /* and what that is about (port_probe.h) */
	bool blocked;	     /* `b` had to wait for it */
};

/* Runs the two, `a` on a thread of its own; k counts from 1.  Returns stall->stopped. */
bool stall_run(struct stall *stall, unsigned k);

#endif
