/* SPDX-License-Identifier: MIT */
/*
 * Two tasks on one host thread, switched at the calls of the port, so that every run can be had again.
 *
 *	first:   call 1   call 2  ... | stopped before call k ......... |   call k   ...
 *	second:                       | from start to end               |
 *
 * A task that would wait for a lock of the other's lets that one go on until the lock is free; one
 * that sleeps in quire_port_wait() waits until it is woken.  Nobody can wait for real, so a deadlock
 * is seen at once.  What the port promises its host (<quire/port.h>: no lock is taken twice, nothing
 * sleeps with a lock held) is looked at on the way.
 */
#ifndef EXPLORER_SCHEDULE_H
#define EXPLORER_SCHEDULE_H

#include <stdbool.h>
#include <ucontext.h>

#include <quire/thread.h>

#include "port_probe.h"

#define TASK_LOCKS_MAX 32

struct task {
	void (*run)(void *context);
	void *context;
	struct quire_thread *thread; /* of the guest, that it plays */
	unsigned stop;		     /* before which call it stops, counted from 1; 0: none */

	/* of the run */
	unsigned calls, turn; /* made, and since it went on last */
	bool stopped, done;
	const void *wants; /* a lock of the other task's */
	bool wants_shared;
	const _Atomic uint32_t *sleeps; /* in quire_port_wait() */
	struct {
		const void *lock;
		bool shared, may_sleep;
	} held[TASK_LOCKS_MAX];
	unsigned held_count;
	ucontext_t machine_state;
};

struct schedule {
	struct task task[2];
	/*
	 * If set, tasks are switched where they end a step and nowhere else, as the script says: one bit
	 * for each time that both could go on, 0 when it has none any more.
	 */
	bool by_steps;
	uint64_t script;
	unsigned script_length;
	unsigned choices; /* that there were in the run */

	/* Does not return: `what` can not go on. */
	void (*fault)(const char *what);
	ucontext_t caller;
};

/* Starts both, task 0 first if there is no script, and comes back when each is done or asleep. */
void schedule_run(struct schedule *schedule);
/* The script of the next run by steps; false: that was the last. */
bool schedule_next_script(struct schedule *schedule);
/* Ends a step of the task that calls it. */
void schedule_step(void);
/* Goes on with those that were woken since; whether there were any. */
bool schedule_go_on(struct schedule *schedule);
/* A place where a task may be stopped that is no call of the port: in what the host does for it. */
void schedule_host_call(void);

#endif
