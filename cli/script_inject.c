/* SPDX-License-Identifier: MIT */
/*
 * Letting one allocation fail (--fail N), and counting them (--fail-count).  What is said of them here
 * is also true of pages that are read from swap.
 *
 * The N-th allocation that a script's calls ask for fails once.  The call that asked for it may
 * then do without, or fail with ENOMEM; an access whose page cannot be read is a BUS.  A failed unit
 * changes nothing: where the unit is the whole call, the machine must look as it did before.  A call
 * that failed is done once more, now with memory, and the script goes on: all its checks must still
 * hold.
 */
#define _GNU_SOURCE 1
#include "script.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static bool injecting(const struct script *script)
{
	return script->fail_in || script->options->count_allocations;
}

void inject_arm(struct script *script)
{
	bool unused;

	if (injecting(script))
		script->ops->fail_nth(script->target, script->fail_in, &unused);
}

/* Whether the allocation failed since inject_arm(), which it does only once.  Keeps errno. */
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

/* What the failure makes of calls; EFAULT: the kernel's own access could not read a page. */
static bool fails_with(int error)
{
	return error == ENOMEM || error == EIO || error == EFAULT;
}

bool inject_again(struct script *script, int error)
{
	return fired(script) && fails_with(error);
}

static uint64_t in_pages(uint64_t bytes)
{
	return (bytes + PAGE_SIZE - 1) / PAGE_SIZE;
}

/* mremap without a change of size moves one VMA after the other. */
static bool moves_several(const struct script *script, const struct script_thread *thread,
			  const struct call *call)
{
	struct target_vma *vmas = NULL;
	size_t count = 0, inside = 0;

	if (!(call->flags & MREMAP_FIXED) || in_pages(call->length) != in_pages(call->new_length) ||
	    script->ops->maps(thread->process->process, &vmas, &count))
		return false;
	for (size_t i = 0; i < count; i++)
		inside +=
			vmas[i].end > call->address && vmas[i].start < call->address + call->length;
	free(vmas);
	return inside > 1;
}

static bool whole_call(const struct script *script, const struct script_thread *thread,
		       const struct call *call)
{
	switch (call->kind) {
	case CALL_MMAP:
	case CALL_MUNMAP:
	case CALL_FORK:
		return true;
	case CALL_MREMAP:
		return !moves_several(script, thread, call);
	default:
		return false;
	}
}

/* The part of a request on a range that tells how far it came; NULL: none. */
static int64_t *progress(unsigned long request, void *argument)
{
	switch (request) {
	case UFFDIO_COPY:
		return (int64_t *)&((struct uffdio_copy *)argument)->copy;
	case UFFDIO_ZEROPAGE:
		return (int64_t *)&((struct uffdio_zeropage *)argument)->zeropage;
	case UFFDIO_CONTINUE:
		return (int64_t *)&((struct uffdio_continue *)argument)->mapped;
	case UFFDIO_POISON:
		return (int64_t *)&((struct uffdio_poison *)argument)->updated;
	case UFFDIO_MOVE:
		return (int64_t *)&((struct uffdio_move *)argument)->move;
	default:
		return NULL;
	}
}

/* Leaves what is still to do after the first `done` bytes. */
static void advance(unsigned long request, void *argument, uint64_t done)
{
	struct uffdio_range *range = argument; /* that is how all but two begin */

	if (request == UFFDIO_COPY) {
		struct uffdio_copy *copy = argument;

		copy->dst += done;
		copy->src += done;
		copy->len -= done;
	} else if (request == UFFDIO_MOVE) {
		struct uffdio_move *move = argument;

		move->dst += done;
		move->src += done;
		move->len -= done;
	} else {
		range->start += done;
		range->len -= done;
	}
}

/* A request came `before` bytes far, and then as far as it says.  Returns the error of both. */
static int add_progress(int64_t *done, int64_t before, int error)
{
	if (*done < 0) { /* some progress, and then an error */
		*done = before;
		return EAGAIN;
	}
	*done += before;
	return error;
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

/*
 * Whether the call met the failure that was asked for, and said so: mlock's word for it is EAGAIN.
 */
static bool ran_out(const struct call *call)
{
	if (call->status == CALL_ERROR)
		return fails_with(call->error) ||
		       (call->kind == CALL_MLOCK && call->error == EAGAIN);
	return call->status == CALL_BUS;
}

/* Faults in what a call has left out, since memory did not last. */
static void populate(struct script *script, struct script_thread *thread, uint64_t address,
		     uint64_t length)
{
	struct call call = {.kind = CALL_MADVISE,
			    .address = address,
			    .length = length,
			    .advice = 23 /* MADV_POPULATE_WRITE */};

	script->ops->call(thread->thread, &call);
}

/*
 * What meets the failure and does not say so, or not clearly: memory that was to be populated.
 * A mapping is made again in its place; mprotect and mremap populate locked memory, which
 * mprotect does when it becomes writable.  Or pages that stay where they are: the advice is given again.
 */
static void make_good(struct script *script, struct script_thread *thread, struct call again)
{
	struct call *call = &thread->call;

	if (call->status != CALL_DONE) {
		return;
	} else if (call->kind == CALL_MMAP && (call->flags & (MAP_POPULATE | MAP_LOCKED))) {
		again.address = call->value;
		again.flags |= MAP_FIXED;
		*call = again;
		script->ops->call(thread->thread, call);
	} else if (call->kind == CALL_MPROTECT) {
		struct call back = again;

		back.prot &= ~PROT_WRITE;
		script->ops->call(thread->thread, &back);
		*call = again;
		script->ops->call(thread->thread, call);
	} else if (call->kind == CALL_MADVISE) {
		*call = again;
		script->ops->call(thread->thread, call);
	} else if (call->kind == CALL_MREMAP) {
		populate(script, thread, call->value + call->length,
			 call->new_length - call->length);
	}
}

void inject_call(lua_State *L, struct script_thread *thread)
{
	struct script *script = script_of(L);
	struct call call = thread->call;
	char *before = NULL, *after;
	bool hit;

	if (script->fail_in && whole_call(script, thread, &call))
		before = dump(script);
	/* What several VMAs have moved before one fails can't be moved again. */
	if (call.kind != CALL_MREMAP || !moves_several(script, thread, &call))
		inject_arm(script);
	script->ops->call(thread->thread, &thread->call);
	hit = fired(script);
	if (hit && ran_out(&thread->call)) {
		if (before) {
			after = dump(script);
			check_unchanged(L, before, after);
			free(after);
		}
		thread->call = call;
		script->ops->call(thread->thread, &thread->call);
	} else if (hit) {
		make_good(script, thread, call);
	}
	free(before);
}

int inject_userfault_ioctl(struct script *script, struct userfault *userfault,
			   unsigned long request, void *argument, size_t size)
{
	const struct target_ops *ops = script->ops;
	int64_t *done = progress(request, argument), before;
	unsigned char again[128];
	int error;

	memcpy(again, argument, size);
	inject_arm(script);
	error = ops->userfault_ioctl(userfault, request, argument);
	if (!fired(script))
		return error;
	if (fails_with(error)) {
		memcpy(argument, again, size);
		return ops->userfault_ioctl(userfault, request, argument);
	}
	if (error != EAGAIN || !done || *done <= 0)
		return error;
	before = *done;
	memcpy(argument, again, size);
	advance(request, argument, (uint64_t)before);
	error = ops->userfault_ioctl(userfault, request, argument);
	return add_progress(done, before, error);
}

struct userfault *inject_userfaultfd(struct script *script, struct script_process *process,
				     int flags)
{
	struct userfault *userfault;

	inject_arm(script);
	userfault = script->ops->userfaultfd(process->process, flags);
	if (fired(script) && !userfault && errno == ENOMEM)
		userfault = script->ops->userfaultfd(process->process, flags);
	return userfault;
}

int inject_scan(struct script *script, struct script_process *process, struct pm_scan_arg *argument,
		size_t *regions)
{
	struct pm_scan_arg again = *argument;
	int error;

	inject_arm(script);
	error = script->ops->scan(process->process, argument, regions);
	if (fired(script) && error == ENOMEM) {
		*argument = again;
		error = script->ops->scan(process->process, argument, regions);
	}
	return error;
}

void inject_result(struct script *script, struct script_thread *thread)
{
	struct call call = thread->call;

	inject_arm(script);
	script->ops->result(thread->thread, &thread->call);
	if (fired(script) && ran_out(&thread->call)) {
		thread->call = call;
		script->ops->call(thread->thread, &thread->call);
	}
}

struct process *script_make_process(struct script *script)
{
	struct process *process;

	inject_arm(script);
	process = script->ops->process(script->target);
	if (fired(script) && !process && errno == ENOMEM)
		process = script->ops->process(script->target);
	return process;
}

struct thread *script_make_thread(struct script *script, struct script_process *process)
{
	struct thread *thread;

	inject_arm(script);
	thread = script->ops->thread(process->process);
	if (fired(script) && !thread && errno == ENOMEM)
		thread = script->ops->thread(process->process);
	return thread;
}
