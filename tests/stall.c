/* SPDX-License-Identifier: MIT */
#include "stall.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>

#define LOCKS_MAX 32

/* A lock that the stopped thread holds. */
struct held {
	const void *lock;
	bool shared;
};

struct run {
	struct stall *stall;
	unsigned k, calls; /* calls: of `a` so far */
	struct held held[LOCKS_MAX];
	unsigned held_count;
	sem_t stopped, go_on;
	bool going; /* `a` has been let go: go_on is posted once */
};

static void take(struct run *run, const void *lock, bool shared)
{
	if (run->held_count == LOCKS_MAX)
		abort();
	run->held[run->held_count++] = (struct held){lock, shared};
}

static void release(struct run *run, const void *lock)
{
	for (unsigned i = run->held_count; i-- > 0;) {
		if (run->held[i].lock != lock)
			continue;
		memmove(&run->held[i], &run->held[i + 1],
			(run->held_count - i - 1) * sizeof(*run->held));
		run->held_count--;
		return;
	}
}

static void probe_a(void *context, enum port_call call, const void *what)
{
	struct run *run = context;

	if (++run->calls == run->k) {
		run->stall->stopped = true;
		run->stall->call = call;
		run->stall->what = what;
		sem_post(&run->stopped);
		sem_wait(&run->go_on);
	}
	switch (call) {
	case PORT_LOCK:
	case PORT_WRITE_LOCK:
		take(run, what, false);
		break;
	case PORT_READ_LOCK:
		take(run, what, true);
		break;
	case PORT_UNLOCK:
	case PORT_READ_UNLOCK:
	case PORT_WRITE_UNLOCK:
		release(run, what);
		break;
	default:
		break;
	}
}

static void let_go(struct run *run)
{
	if (!run->going)
		sem_post(&run->go_on);
	run->going = true;
}

/* Whether the stopped thread keeps others from taking the lock. */
static bool excludes(const struct run *run, const void *lock, bool shared)
{
	for (unsigned i = 0; i < run->held_count; i++)
		if (run->held[i].lock == lock && !(shared && run->held[i].shared))
			return true;
	return false;
}

static void probe_b(void *context, enum port_call call, const void *what)
{
	struct run *run = context;

	if (run->going)
		return;
	if (call == PORT_WAIT ||
	    ((call == PORT_LOCK || call == PORT_WRITE_LOCK) && excludes(run, what, false)) ||
	    (call == PORT_READ_LOCK && excludes(run, what, true))) {
		run->stall->blocked = run->stall->stopped;
		let_go(run);
	}
}

static void *run_a(void *context)
{
	struct run *run = context;

	port_probe_set(probe_a, run);
	run->stall->a(run->stall->context);
	port_probe_set(NULL, NULL);
	if (!run->stall->stopped)
		sem_post(&run->stopped);
	return NULL;
}

bool stall_run(struct stall *stall, unsigned k)
{
	struct run run = {.stall = stall, .k = k};
	pthread_t thread;

	stall->stopped = stall->blocked = false;
	sem_init(&run.stopped, 0, 0);
	sem_init(&run.go_on, 0, 0);
	if (pthread_create(&thread, NULL, run_a, &run))
		abort();
	sem_wait(&run.stopped);
	port_probe_set(probe_b, &run);
	stall->b(stall->context);
	port_probe_set(NULL, NULL);
	let_go(&run);
	pthread_join(thread, NULL);
	sem_destroy(&run.stopped);
	sem_destroy(&run.go_on);
	return stall->stopped;
}
