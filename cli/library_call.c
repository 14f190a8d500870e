/* SPDX-License-Identifier: MIT */
/*
 * What the threads of the quire target do: accesses through their CPU, and calls of the library.
 */
#include "library_target.h"

/* The answer of a library call: 0 or a negative errno. */
static void answer(struct call *call, int error)
{
	call->status = error == -QUIRE_EINPROGRESS ? CALL_BLOCKED : error ? CALL_ERROR : CALL_DONE;
	call->error = -error;
}

/*
 * The answer of an access.  One that finds no frame left has no counterpart on Linux, where it
 * would wake the OOM killer: it is an ENOMEM here.
 */
static void answer_access(struct call *call, struct soft_result result)
{
	call->done += result.done;
	call->code = result.code;
	switch (result.outcome) {
	case QUIRE_DONE:
		call->status = CALL_DONE;
		break;
	case QUIRE_SEGV:
		call->status = CALL_SEGV;
		break;
	case QUIRE_BUS:
		call->status = CALL_BUS;
		break;
	case QUIRE_BLOCKED:
		call->status = CALL_BLOCKED;
		break;
	case QUIRE_OUT_OF_MEMORY:
		answer(call, -QUIRE_ENOMEM);
		break;
	}
}

/* An access that was blocked goes on where it was. */
static void call_access(struct thread *thread, struct call *call)
{
	struct soft_cpu *cpu = thread->cpu;
	uint64_t address = call->address + call->done;

	soft_cpu_enter(cpu, thread->process->space);
	if (call->kind == CALL_READ)
		answer_access(call, soft_load(cpu, address, call->data + call->done,
					      call->length - call->done));
	else if (call->kind == CALL_WRITE)
		answer_access(call, soft_store(cpu, address, call->data + call->done,
					       call->length - call->done));
	else if (call->kind == CALL_TOUCH_READ)
		answer_access(call, soft_touch(cpu, call->address, QUIRE_READ));
	else if (call->kind == CALL_TOUCH_WRITE)
		answer_access(call, soft_touch(cpu, call->address, QUIRE_WRITE));
	else
		answer_access(call, soft_touch(cpu, call->address, QUIRE_EXECUTE));
}

static void call_transfer(struct quire_space *space, struct call *call)
{
	size_t done = 0;

	if (call->kind == CALL_SYSCALL_READ)
		answer(call,
		       quire_access_read(space, call->address, call->data, call->length, &done));
	else
		answer(call,
		       quire_access_write(space, call->address, call->data, call->length, &done));
	call->done = done;
}

static int call_mmap(struct quire_space *space, struct call *call)
{
	if (call->file && !(call->flags & QUIRE_MAP_ANONYMOUS))
		return quire_mmap_object(space, call->address, call->length, call->prot,
					 call->flags, library_file_object(call->file), call->offset,
					 &call->value);
	return quire_mmap(space, call->address, call->length, call->prot, call->flags,
			  &call->value);
}

static void call_fork(struct process *process, struct call *call)
{
	struct quire_space *child;

	answer(call, quire_fork(process->space, &child));
	if (call->status == CALL_DONE)
		call->child = library_process(process->target, child);
}

static void make_call(struct thread *thread, struct call *call, bool resumes)
{
	struct quire_space *space = thread->process->space;
	uint64_t address = call->address, length = call->length;

	switch (call->kind) {
	case CALL_READ:
	case CALL_WRITE:
	case CALL_TOUCH_READ:
	case CALL_TOUCH_WRITE:
	case CALL_TOUCH_EXECUTE:
		call_access(thread, call);
		break;
	case CALL_SYSCALL_READ:
	case CALL_SYSCALL_WRITE:
		call_transfer(space, call);
		break;
	case CALL_MMAP:
		answer(call, call_mmap(space, call));
		break;
	case CALL_MUNMAP:
		answer(call, quire_munmap(space, address, length));
		break;
	case CALL_MPROTECT:
		answer(call, quire_mprotect(space, address, length, call->prot));
		break;
	case CALL_MREMAP:
		answer(call, quire_mremap(space, address, length, call->new_length, call->flags,
					  call->new_address, &call->value));
		break;
	case CALL_MADVISE:
		answer(call, quire_madvise(space, address, length, call->advice));
		break;
	case CALL_MLOCK:
		answer(call, quire_mlock(space, address, length));
		break;
	case CALL_MUNLOCK:
		answer(call, quire_munlock(space, address, length));
		break;
	case CALL_COPY:
		answer(call, library_userfault_copy(thread, call));
		break;
	case CALL_FORK:
		call_fork(thread->process, call);
		break;
	case CALL_PIN:
		answer(call, library_pin(thread->process, call, resumes));
		break;
	}
}

void library_call(struct thread *thread, struct call *call)
{
	bool resumes = thread->pending == call;

	if (!resumes)
		call->done = 0;
	thread->pending = NULL;
	soft_thread_use(&thread->guest);
	make_call(thread, call, resumes);
	soft_thread_use(NULL);
	if (call->status == CALL_BLOCKED)
		thread->pending = call;
}
