/* SPDX-License-Identifier: MIT */
/*
 * A script runs in a worker process of its own, so that a crash or a hang is the script's result
 * and not the runner's end.
 */
#ifndef QUIRE_CLI_WORKER_H
#define QUIRE_CLI_WORKER_H

#include "script.h"

/*
 * Runs the script and returns when its worker is gone.  The transcript's reason says what happened
 * if it was skipped, had an error, crashed, or took too long.  If the runner itself is told to
 * stop, it stops the worker first and does not return.
 */
enum status worker_run(const struct script_options *options, struct transcript *transcript);

/* Of a clock that is never set. */
double seconds_now(void);

#endif
