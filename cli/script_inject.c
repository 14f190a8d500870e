/* SPDX-License-Identifier: MIT */
/*
 * Letting one allocation fail (--fail N), and counting them (--fail-count).
 *
 * The N-th allocation that a script's calls ask for fails once.  The call that asked for it may
 * then do without, or fail with ENOMEM.  A failed unit changes nothing: where the unit is the whole
 * call, the machine must look as it did before.  A call that failed is done once more, now with
 * memory, and the script goes on: all its checks must still hold.
 */
#include "script.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool injecting(const struct script *script)
{
	return script->fail_in || script->options->count_allocations;
}

static void arm(struct script *script)
{
	bool unused;

	if (injecting(script))
		script->ops->fail_nth(script->target, script->fail_in, &unused);
}

/* Whether the allocation failed since arm(), which it does only once.  Keeps errno. */
static bool fired(struct script *script)
{
	int error = errno;
	bool fired = false;
	uint64_t asked;

	if (!injecting(script))
		return false;
	asked = script->ops->fail_nth(script->target, 0, &fired);
	script->transcript->allocations += asked;
	if (fired) {
		script->transcript->allocation_failed = true;
		script->fail_in = 0;
	} else if (script->fail_in) {
		script->fail_in -= asked;
	}
	errno = error;
	return fired;
}

static bool whole_call(const struct call *call)
{
	switch (call->kind) {
	case CALL_MMAP:
	case CALL_MUNMAP:
	case CALL_MREMAP:
	case CALL_FORK:
		return true;
	default:
		return false;
	}
}

static char *dump(struct script *script)
{
	return script->ops->dump_machine(script->target);
}

/* The first line in which the dumps differ. */
static void check_unchanged(lua_State *L, const char *before, const char *after)
{
	int line = script_line(L);
	size_t length = 0;

	if (strcmp(before, after) == 0)
		return;
	while (strncmp(before, after, length) == 0) {
		before += length;
		after += length;
		length = strcspn(before, "\n") + 1;
	}
	check_failed(script_of(L), line, "a failed %s changed state: got %.*s, want %.*s",
		     script_function(L), (int)strcspn(after, "\n"), after,
		     (int)strcspn(before, "\n"), before);
}

/* Whether the call met the failure that was asked for, and said so: mlock's word for it is EAGAIN. */
static bool ran_out(struct script *script, const struct call *call)
{
	return fired(script) && call->status == CALL_ERROR &&
	       (call->error == ENOMEM || (call->kind == CALL_MLOCK && call->error == EAGAIN));
}

void inject_call(lua_State *L, struct script_thread *thread)
{
	struct script *script = script_of(L);
	struct call call = thread->call;
	char *before = NULL, *after;

	if (script->fail_in && whole_call(&call))
		before = dump(script);
	arm(script);
	script->ops->call(thread->thread, &thread->call);
	if (ran_out(script, &thread->call)) {
		if (before) {
			after = dump(script);
			check_unchanged(L, before, after);
			free(after);
		}
		thread->call = call;
		script->ops->call(thread->thread, &thread->call);
	}
	free(before);
}

void inject_result(struct script *script, struct script_thread *thread)
{
	struct call call = thread->call;

	arm(script);
	script->ops->result(thread->thread, &thread->call);
	if (ran_out(script, &thread->call)) {
		thread->call = call;
		script->ops->call(thread->thread, &thread->call);
	}
}

struct process *script_make_process(struct script *script)
{
	struct process *process;

	arm(script);
	process = script->ops->process(script->target);
	if (fired(script) && !process && errno == ENOMEM)
		process = script->ops->process(script->target);
	return process;
}

struct thread *script_make_thread(struct script *script, struct script_process *process)
{
	struct thread *thread;

	arm(script);
	thread = script->ops->thread(process->process);
	if (fired(script) && !thread && errno == ENOMEM)
		thread = script->ops->thread(process->process);
	return thread;
}
