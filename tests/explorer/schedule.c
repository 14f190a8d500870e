/* SPDX-License-Identifier: MIT */
#include "schedule.h"

#include <stdlib.h>

#include "soft.h"

#define STACK_BYTES (256 << 10)
#define CALLS_MAX   200000 /* of one task in a run: more is a loop without end */
#define TURN_MAX    4000   /* calls in a row: more is a loop that waits for the other task */

static struct schedule
	*running;	     /* the one whose tasks are switched; a host thread has one at most */
static struct task *current; /* the task that runs, or NULL */
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
	if (other_can_have_its_lock(task) || ++task->turn > TURN_MAX)
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

void schedule_step(void)
{
	if (current && running->by_steps)
		yield(current);
}

static void run_task(void)
{
	struct task *task = current;

	task->run(task->context);
	if (task->held_count)
		running->fault("a task ends with a lock held");
	task->done = true;
	yield(task);
}

static void resume(struct schedule *schedule, struct task *task)
{
	current = task;
	task->turn = 0;
	soft_thread_use(task->thread);
	port_probe_set(probe, task);
	swapcontext(&schedule->caller, &task->machine_state);
	port_probe_set(NULL, NULL);
	soft_thread_use(NULL);
	current = NULL;
}

static unsigned follow_script(struct schedule *schedule)
{
	unsigned bit = schedule->choices++;

	return bit < schedule->script_length ? schedule->script >> bit & 1 : 0;
}

/* Runs `number`, if it can go on, and then whoever can, the other one first. */
static void run_all(struct schedule *schedule, unsigned number)
{
	for (;;) {
		bool can[2] = {can_run(schedule, &schedule->task[0]),
			       can_run(schedule, &schedule->task[1])};

		if (!can[0] && !can[1])
			break;
		if (!can[number])
			number ^= 1;
		else if (can[0] && can[1] && schedule->by_steps)
			number = follow_script(schedule);
		resume(schedule, &schedule->task[number]);
		number ^= 1;
	}
	for (number = 0; number < 2; number++)
		if (schedule->task[number].wants)
			schedule->fault("deadlock: a task waits for a lock of one that sleeps");
}

/* No loop around getcontext(), which may return twice as far as a compiler knows. */
static void make_ready(struct task *task, void *stack)
{
	getcontext(&task->machine_state);
	task->machine_state.uc_stack.ss_sp = stack;
	task->machine_state.uc_stack.ss_size = STACK_BYTES;
	task->machine_state.uc_link = NULL;
	makecontext(&task->machine_state, run_task, 0);
}

void schedule_run(struct schedule *schedule)
{
	running = schedule;
	schedule->choices = 0;
	for (unsigned i = 0; i < 2; i++)
		make_ready(&schedule->task[i], stacks[i]);
	run_all(schedule, 0);
}

bool schedule_go_on(struct schedule *schedule)
{
	bool any = can_run(schedule, &schedule->task[0]) || can_run(schedule, &schedule->task[1]);

	run_all(schedule, 0);
	return any;
}

bool schedule_next_script(struct schedule *schedule)
{
	uint64_t taken = schedule->script_length < 64
				 ? schedule->script & (((uint64_t)1 << schedule->script_length) - 1)
				 : schedule->script;
	unsigned i = schedule->choices;

	while (i-- > 0)
		if (!(taken >> i & 1)) {
			schedule->script = (taken & (((uint64_t)1 << i) - 1)) | (uint64_t)1 << i;
			schedule->script_length = i + 1;
			return true;
		}
	return false;
}
