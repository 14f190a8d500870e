/* SPDX-License-Identifier: MIT */
/*
 * Machines, processes and threads; and which call does what.
 *
 * A call has up to three parts: its work, populating what it has mapped or locked, and telling the
 * contexts that asked for it.  Each part may sleep; twin_run_woken() goes on where it was.
 */
#include "twin.h"

#include <errno.h>
#include <stdlib.h>

void *twin_allocate(size_t size)
{
	void *object = calloc(1, size);

	if (!object)
		target_fail("twin: the host is out of memory");
	return object;
}

struct target *twin_open(const struct limits *limits)
{
	struct target *target = twin_allocate(sizeof(*target));

	target->limits = *limits;
	return target;
}

struct thread *twin_thread(struct process *process)
{
	struct thread *thread = twin_allocate(sizeof(*thread));

	thread->process = process;
	thread->next = process->threads;
	process->threads = thread;
	return thread;
}

struct process *twin_process(struct target *target)
{
	struct process *process = twin_allocate(sizeof(*process));

	process->target = target;
	process->room = 64;
	process->pages = twin_allocate(process->room * sizeof(*process->pages));
	process->next = target->processes;
	target->processes = process;
	twin_thread(process);
	return process;
}

struct userfault *twin_userfault_new(struct process *process)
{
	struct userfault *context = twin_allocate(sizeof(*context));

	context->target = process->target;
	context->process = process;
	context->next = process->target->userfaults;
	process->target->userfaults = context;
	return context;
}

static void step(struct thread *thread);

/* Its threads end, whatever they wait for; its contexts have nothing to change any more. */
void twin_exit(struct process *process)
{
	struct target *target = process->target;
	struct process **link = &target->processes;

	for (struct thread *thread = process->threads; thread; thread = thread->next) {
		thread->waits_in = NULL;
		twin_forget_events(thread);
		thread->ends = true;
		/* A hole that was announced comes all the same, and those behind it. */
		if (thread->call && thread->call->kind == CALL_MADVISE && thread->announced &&
		    thread->removes)
			step(thread);
		/* A child whose fork has not returned comes to nothing. */
		if (thread->call && thread->call->kind == CALL_FORK && !thread->call->child->ended)
			twin_exit(thread->call->child);
		thread->call = NULL;
	}
	twin_unpin_all(process);
	twin_remove_pages(process, 0, UINT64_MAX / PAGE_BYTES);
	free(process->pages);
	process->pages = NULL;
	for (struct userfault *context = target->userfaults; context; context = context->next)
		if (context->process == process)
			context->process = NULL;
	while (*link != process)
		link = &(*link)->next;
	*link = process->next;
	process->next = target->ended;
	target->ended = process;
	process->ended = true;
}

static void process_free(struct process *process)
{
	struct thread *thread;

	while ((thread = process->threads)) {
		process->threads = thread->next;
		free(thread);
	}
	twin_pins_free(process);
	free(process);
}

void twin_close(struct target *target)
{
	struct process *process;
	struct userfault *context;
	struct file *file;

	while (target->processes)
		twin_exit(target->processes);
	while ((process = target->ended)) {
		target->ended = process->next;
		process_free(process);
	}
	while ((context = target->userfaults)) {
		target->userfaults = context->next;
		free(context);
	}
	while ((file = target->files)) {
		target->files = file->next;
		twin_file_free(file);
	}
	free(target);
}

/* --- calls --- */

static int work(struct thread *thread, struct call *call)
{
	switch (call->kind) {
	case CALL_SYSCALL_READ:
	case CALL_SYSCALL_WRITE:
		return twin_transfer(thread, call);
	case CALL_MMAP:
		return twin_mmap(thread, call);
	case CALL_MUNMAP:
		return twin_munmap(thread, call->address, call->length);
	case CALL_MPROTECT:
		return twin_mprotect(thread, call->address, call->length, call->prot);
	case CALL_MREMAP:
		return twin_mremap(thread, call);
	case CALL_MADVISE:
		return twin_madvise(thread, call->address, call->length, call->advice);
	case CALL_MLOCK:
		return twin_lock(thread, call->address, call->length, true);
	case CALL_MUNLOCK:
		return twin_lock(thread, call->address, call->length, false);
	case CALL_FORK:
		return twin_fork(thread, call);
	case CALL_PIN:
		return twin_pin(thread, call);
	case CALL_COPY:
		return twin_fill_copy(call->userfault, &call->copy, thread);
	default: /* accesses, see step() */
		return EINVAL;
	}
}

/* mremap populates before it tells, mmap afterwards. */
static int finish_work(struct thread *thread, const struct call *call)
{
	bool strict = call->kind == CALL_MLOCK;
	int error = call->kind == CALL_MREMAP ? twin_populate(thread, strict) : twin_tell(thread);

	if (error == BLOCKED)
		return BLOCKED;
	return call->kind == CALL_MREMAP ? twin_tell(thread) : twin_populate(thread, strict);
}

/* Begins the call, or goes on with it. */
static void step(struct thread *thread)
{
	struct call *call = thread->call;
	int error = 0;

	if (call->kind <= CALL_TOUCH_EXECUTE) {
		twin_access(thread, call);
	} else {
		if (!thread->worked) {
			call->error = 0;
			error = work(thread, call);
			if (error != BLOCKED) {
				thread->worked = true;
				call->error = error;
			}
		}
		if (error != BLOCKED) {
			error = finish_work(thread, call);
			if (error > 0)
				call->error = error;
		}
		call->status = error == BLOCKED ? CALL_BLOCKED
			       : call->error	? CALL_ERROR
						: CALL_DONE;
	}
	if (call->status != CALL_BLOCKED)
		thread->call = NULL;
}

void twin_call(struct thread *thread, struct call *call)
{
	thread->call = call;
	thread->worked = thread->waited = thread->saw_hole = false;
	thread->announced = thread->populate = thread->populate_end = thread->progress = 0;
	call->done = 0;
	step(thread);
}

static bool run_woken_once(struct target *target)
{
	bool ran = false;

	for (struct process *process = target->processes; process; process = process->next) {
		for (struct thread *thread = process->threads; thread; thread = thread->next) {
			if (!thread->call || thread->waits_in)
				continue;
			step(thread);
			ran = true;
		}
	}
	return ran;
}

void twin_run_woken(struct target *target)
{
	while (run_woken_once(target))
		;
}
