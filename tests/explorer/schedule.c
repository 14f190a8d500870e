/* SPDX-License-Identifier: MIT */
#include "schedule.h"

#include <stdlib.h>

#include "soft.h"

#define STACK_BYTES (256 << 10)
#define CALLS_MAX   200000 /* of one task in a run: more is a loop without end */

static struct schedule
	*running; /* the one whose tasks are switched; a host thread has one at most */
static _Alignas(16) char stacks[2][STACK_BYTES];

static struct task *other_of(struct schedule *schedule, const struct task *task)
{
	return &schedule->task[task == &schedule->task[0]];
}

/* --- locks --- */

static bool excludes(const struct task *holder, const void *lock, bool shared)
{
	for (unsigned i = 0; i < holder->held_count; i++)
		if (holder->held[i].lock == lock && !(shared && holder->held[i].shared))
			return true;
	return false;
}

static bool holds(const struct task *task, const void *lock)
{
	return excludes(task, lock, false);
}

static void take(struct task *task, const void *lock, bool shared, bool may_sleep)
{
	if (task->held_count == TASK_LOCKS_MAX)
		running->fault("a task holds too many locks");
	task->held[task->held_count].lock = lock;
	task->held[task->held_count].shared = shared;
	task->held[task->held_count++].may_sleep = may_sleep;
}

static void release(struct task *task, const void *lock)
{
	unsigned i = task->held_count;

	while (i-- > 0)
		if (task->held[i].lock == lock)
			break;
	if (i == (unsigned)-1)
		running->fault("a lock is released that is not held");
	for (task->held_count--; i < task->held_count; i++)
		task->held[i] = task->held[i + 1];
}

static bool holds_short_lock(const struct task *task)
{
	for (unsigned i = 0; i < task->held_count; i++)
		if (!task->held[i].may_sleep)
			return true;
	return false;
}

/* --- switching --- */

static bool can_run(struct schedule *schedule, const struct task *task)
{
	if (task->done || (task->sleeps && *task->sleeps == 1))
		return false;
	return !task->wants || !excludes(other_of(schedule, task), task->wants, task->wants_shared);
}

static void yield(struct task *task)
{
	swapcontext(&task->machine_state, &running->caller);
}

/* The other task waits for a lock that is free now. */
static bool other_can_have_its_lock(const struct task *task)
{
	const struct task *other = other_of(running, task);

	return other->wants && can_run(running, other);
}

static void want(struct task *task, const void *lock, bool shared, bool may_sleep)
{
	if (holds(task, lock))
		running->fault("a task takes a lock that it holds already");
	if (may_sleep && holds_short_lock(task))
		running->fault("a task takes a lock that may sleep, with a short lock held");
	if (excludes(other_of(running, task), lock, shared)) {
		task->wants = lock;
		task->wants_shared = shared;
		yield(task);
		task->wants = NULL;
	}
	take(task, lock, shared, may_sleep);
}

static void probe(void *context, enum port_call call, const void *what)
{
	struct task *task = context;

	if (++task->calls > CALLS_MAX)
		running->fault("a task makes calls without end");
	if (other_can_have_its_lock(task))
		yield(task);
	if (task->calls == task->stop) {
		task->stopped = true;
		yield(task);
	}
	switch (call) {
	case PORT_LOCK:
		want(task, what, false, false);
		break;
	case PORT_READ_LOCK:
		want(task, what, true, true);
		break;
	case PORT_WRITE_LOCK:
		want(task, what, false, true);
		break;
	case PORT_UNLOCK:
	case PORT_READ_UNLOCK:
	case PORT_WRITE_UNLOCK:
		release(task, what);
		break;
	case PORT_WAIT:
		if (task->held_count)
			running->fault("a task sleeps with a lock held");
		task->sleeps = what;
		if (*task->sleeps == 1)
			yield(task);
		task->sleeps = NULL;
		break;
	case PORT_SWAP_READ:
	case PORT_SWAP_WRITE:
	case PORT_HOST:
		if (task->held_count)
			running->fault("the host is called with a lock held");
		break;
	default:
		break;
	}
}

void schedule_host_call(void)
{
	port_probe_call(PORT_HOST, NULL);
}

static void run_task(void)
{
	struct task *task = &running->task[running->current];

	task->run(task->context);
	if (task->held_count)
		running->fault("a task ends with a lock held");
	task->done = true;
	yield(task);
}

static void resume(struct schedule *schedule, unsigned number)
{
	struct task *task = &schedule->task[number];

	schedule->current = number;
	soft_thread_use(task->thread);
	port_probe_set(probe, task);
	swapcontext(&schedule->caller, &task->machine_state);
	port_probe_set(NULL, NULL);
	soft_thread_use(NULL);
}

/* Runs `number` and then whoever can go on, the other one first. */
static void run_all(struct schedule *schedule, unsigned number)
{
	while (can_run(schedule, &schedule->task[number]) ||
	       can_run(schedule, &schedule->task[number ^= 1])) {
		resume(schedule, number);
		number ^= 1;
	}
	for (number = 0; number < 2; number++)
		if (schedule->task[number].wants)
			schedule->fault("deadlock: a task waits for a lock of one that sleeps");
}

void schedule_run(struct schedule *schedule, unsigned first)
{
	running = schedule;
	for (unsigned i = 0; i < 2; i++) {
		struct task *task = &schedule->task[i];

		getcontext(&task->machine_state);
		task->machine_state.uc_stack.ss_sp = stacks[i];
		task->machine_state.uc_stack.ss_size = STACK_BYTES;
		task->machine_state.uc_link = NULL;
		makecontext(&task->machine_state, run_task, 0);
	}
	run_all(schedule, first);
}

bool schedule_go_on(struct schedule *schedule)
{
	bool any = can_run(schedule, &schedule->task[0]) || can_run(schedule, &schedule->task[1]);

	run_all(schedule, 0);
	return any;
}
