/* SPDX-License-Identifier: MIT */
/* Calls of threads that may not sleep: blocked half-way, and made again (<quire/thread.h>). */
#include "space/hooks.h"

static bool same(const struct quire_call *a, const struct quire_call *b)
{
	if (QUIRE_MISTAKE(RESUME_ANY_CALL))
		return true;
	return a->operation == b->operation && a->on == b->on &&
	       memcmp(a->arguments, b->arguments, sizeof(a->arguments)) == 0;
}

bool call_resumes(const struct quire_space *space, const struct quire_call *call)
{
	struct quire_thread *thread = space_caller(space);
	bool resumes;

	if (!thread)
		return false;
	/* One that sleeps has given up what it sleeps for. */
	if (thread->blocked.operation == QUIRE_CALL_NONE && !quire_thread_asleep(thread))
		return false;
	resumes = same(&thread->blocked, call);
	thread->blocked.operation = QUIRE_CALL_NONE;
	if (!resumes)
		space_hooks(space)->forget(space->machine);
	return resumes;
}

uint64_t call_reached(const struct quire_space *space, uint64_t start)
{
	struct quire_thread *thread = space_caller(space);

	if (!thread || !thread->part_done)
		return start;
	thread->part_done = false;
	return thread->reached;
}

void call_block(const struct quire_space *space, const struct quire_call *call, uint64_t reached)
{
	struct quire_thread *thread = space_caller(space);

	thread->blocked = *call;
	thread->part_done = true;
	thread->reached = reached;
}
