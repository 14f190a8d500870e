/* SPDX-License-Identifier: MIT */
/*
 * One call of a script: checked, turned into a request to the agent's thread, and its answer back.
 *
 * Arguments go to the kernel as they are.  The one exception is a call that reaches memory of the
 * agent's own: it is an error of the script, because one that goes on could not be believed.  What
 * the kernel refuses anyway passes.
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "linux_target.h"

#define MREMAP_KNOWN (MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP)

static const char *const names[] = {
	[CALL_READ] = "read",
	[CALL_WRITE] = "write",
	[CALL_TOUCH_READ] = "touch r",
	[CALL_TOUCH_WRITE] = "touch w",
	[CALL_TOUCH_EXECUTE] = "touch x",
	[CALL_SYSCALL_READ] = "syscall_read",
	[CALL_SYSCALL_WRITE] = "syscall_write",
	[CALL_MMAP] = "mmap",
	[CALL_MUNMAP] = "munmap",
	[CALL_MPROTECT] = "mprotect",
	[CALL_MREMAP] = "mremap",
	[CALL_MADVISE] = "madvise",
	[CALL_MLOCK] = "mlock",
	[CALL_MUNLOCK] = "munlock",
	[CALL_FORK] = "fork",
	[CALL_COPY] = "copy",
	[CALL_PIN] = "pin",
};

const char *call_text(const struct call *call)
{
	static char text[128];

	snprintf(text, sizeof(text), "%s(%#jx, %#jx)", names[call->kind], (uintmax_t)call->address,
		 (uintmax_t)call->length);
	return text;
}

/* Refuses the call if [start, start + length) holds memory of the agent's own; the kernel can address it. */
static void check_bytes(const struct process *process, const char *what, uint64_t start,
			uint64_t length)
{
	if (length && start < USER_END && length <= USER_END - start &&
	    is_own(process, start, start + length))
		target_refuse("%s reaches the agent's own memory; scripts have what is below %#jx, "
			      "but for %#jx to %#jx",
			      what, (uintmax_t)WINDOW_TOP, (uintmax_t)process->own_start,
			      (uintmax_t)process->own_end);
}

/* The same for calls on whole pages. */
static void check_pages(const struct process *process, const char *what, uint64_t start,
			uint64_t length)
{
	if (start % PAGE_SIZE == 0 && length <= USER_END)
		check_bytes(process, what, start, (length + PAGE_SIZE - 1) & -(uint64_t)PAGE_SIZE);
}

void check_own(const struct process *process, const char *what, uint64_t start, uint64_t length)
{
	check_pages(process, what, start, length);
}

/* The same for what is to be placed there: a hole stays before our own, at which calls end. */
static void check_place(const struct process *process, const char *what, uint64_t start,
			uint64_t length)
{
	const uint64_t end = start + ((length + PAGE_SIZE - 1) & -(uint64_t)PAGE_SIZE);

	check_pages(process, what, start, end == OWN_START ? length + PAGE_SIZE : length);
}

/*
 * How much of a range is below the end of what the kernel lets processes have: madvise goes through
 * that part.
 */
static uint64_t reachable(uint64_t start, uint64_t length)
{
	uint64_t pages = (length + PAGE_SIZE - 1) & -(uint64_t)PAGE_SIZE;

	if (pages < length || start + pages < start) /* which the kernel refuses */
		return length;
	return start < USER_END && length > USER_END - start ? USER_END - start : length;
}

static bool is_advice(int advice)
{
	return (advice >= MADV_NORMAL && advice <= 25) ||
	       (advice >= MADV_HWPOISON && advice <= 103);
}

/* A hint is followed where there is room, which there may be among what the agent has below. */
static void check_mmap(const struct process *process, const struct call *call)
{
	const bool fixed = (call->flags & MAP_FIXED) &&
			   (call->flags & MAP_FIXED_NOREPLACE) != MAP_FIXED_NOREPLACE;

	if (!call->file && !(call->flags & MAP_ANONYMOUS))
		return;
	if (fixed)
		check_place(process, call_text(call), call->address, call->length);
	else if (call->address && call->address < WINDOW_TOP)
		check_pages(process, call_text(call), call->address, call->length);
}

static void check(const struct process *process, const struct call *call)
{
	const char *what = call_text(call);

	switch (call->kind) {
	case CALL_READ:
	case CALL_WRITE:
	case CALL_SYSCALL_READ:
	case CALL_SYSCALL_WRITE:
		if (call->length > TARGET_TRANSFER_MAX)
			target_fail("linux: %s moves too much at once", what);
		check_bytes(process, what, call->address, call->length);
		break;
	case CALL_TOUCH_READ:
	case CALL_TOUCH_WRITE:
	case CALL_TOUCH_EXECUTE:
		check_bytes(process, what, call->address, 1);
		break;
	case CALL_PIN:
		check_bytes(process, what, call->address, call->length);
		break;
	case CALL_MMAP:
		check_mmap(process, call);
		break;
	case CALL_MREMAP:
		if (!call->new_length || (call->flags & ~MREMAP_KNOWN))
			break;
		check_pages(process, what, call->address, call->length);
		if (call->flags & MREMAP_FIXED)
			check_place(process, what, call->new_address, call->new_length);
		break;
	case CALL_MADVISE:
		if (is_advice(call->advice))
			check_pages(process, what, call->address,
				    reachable(call->address, call->length));
		break;
	case CALL_MPROTECT:
	case CALL_MLOCK:
	case CALL_MUNLOCK: /* which end at the first hole, as there is one before our own */
		if (call->length && call->length <= UINT64_MAX - PAGE_SIZE - call->address)
			check_pages(process, what, call->address, PAGE_SIZE);
		break;
	case CALL_MUNMAP:
		check_pages(process, what, call->address, call->length);
		break;
	case CALL_FORK:
	case CALL_COPY:
		break;
	}
}

static void set_access(struct agent_slot *slot, enum agent_request request, uint64_t address,
		       uint64_t length)
{
	slot->request = request;
	slot->argument[0] = address;
	slot->argument[1] = length;
}

/* The agent asks the kernel to copy between its own memory and the slot's data. */
static void set_transfer(struct thread *thread, uint64_t number, const struct call *call)
{
	struct agent_slot *slot = thread->slot;

	slot->vector[0].iov_base = (void *)thread_address(thread, slot->data);
	slot->vector[0].iov_len = call->length;
	slot->vector[1].iov_base = (void *)call->address;
	slot->vector[1].iov_len = call->length;
	slot_set_system_call(slot, number,
			     (uint64_t[6]){(uint64_t)thread->process->pid,
					   thread_address(thread, &slot->vector[0]), 1,
					   thread_address(thread, &slot->vector[1]), 1, 0});
}

/* Returns an error if there is no room for a child. */
static int set_fork(struct thread *thread)
{
	struct process *child = process_new(thread->process->target);
	struct agent_slot *slots = thread->process->target->slots;

	if (!child)
		return EAGAIN;
	child->group = thread->process->group;
	child->own_start = thread->process->own_start;
	child->own_end = thread->process->own_end;
	thread->child = child;
	set_access(thread->slot, AGENT_FORK, (uint64_t)(child->server.slot - slots),
		   (uint64_t)(child->threads->slot - slots));
	return 0;
}

static void set_mmap(struct thread *thread, const struct call *call)
{
	thread->lent_file = call->file ? memfd_lend(call->file, &thread->process->server) : -1;
	slot_set_system_call(thread->slot, SYS_mmap,
			     (uint64_t[6]){call->address, call->length, (uint64_t)call->prot,
					   (uint64_t)call->flags, (uint64_t)thread->lent_file,
					   call->offset});
}

/* Returns an error if it can't even be asked for. */
static int set_request(struct thread *thread, const struct call *call)
{
	struct agent_slot *slot = thread->slot;
	const uint64_t address = call->address, length = call->length;

	switch (call->kind) {
	case CALL_READ:
		set_access(slot, AGENT_LOAD, address, length);
		return 0;
	case CALL_WRITE:
		memcpy(slot->data, call->data, length);
		set_access(slot, AGENT_STORE, address, length);
		return 0;
	case CALL_TOUCH_READ:
		set_access(slot, AGENT_LOAD, address, 1);
		return 0;
	case CALL_TOUCH_WRITE:
		set_access(slot, AGENT_TOUCH, address, 1);
		return 0;
	case CALL_TOUCH_EXECUTE:
		set_access(slot, AGENT_EXECUTE, address, 1);
		return 0;
	case CALL_SYSCALL_READ:
		set_transfer(thread, SYS_process_vm_readv, call);
		return 0;
	case CALL_SYSCALL_WRITE:
		memcpy(slot->data, call->data, length);
		set_transfer(thread, SYS_process_vm_writev, call);
		return 0;
	case CALL_MMAP:
		set_mmap(thread, call);
		return 0;
	case CALL_MUNMAP:
		slot_set_system_call(slot, SYS_munmap, (uint64_t[6]){address, length});
		return 0;
	case CALL_MPROTECT:
		slot_set_system_call(slot, SYS_mprotect,
				     (uint64_t[6]){address, length, (uint64_t)call->prot});
		return 0;
	case CALL_MREMAP:
		slot_set_system_call(slot, SYS_mremap,
				     (uint64_t[6]){address, length, call->new_length,
						   (uint64_t)call->flags, call->new_address});
		return 0;
	case CALL_MADVISE:
		slot_set_system_call(slot, SYS_madvise,
				     (uint64_t[6]){address, length, (uint64_t)call->advice});
		return 0;
	case CALL_MLOCK:
		slot_set_system_call(slot, SYS_mlock, (uint64_t[6]){address, length});
		return 0;
	case CALL_MUNLOCK:
		slot_set_system_call(slot, SYS_munlock, (uint64_t[6]){address, length});
		return 0;
	case CALL_FORK:
		return set_fork(thread);
	case CALL_COPY:
		userfault_set_copy(thread, call);
		return 0;
	case CALL_PIN:
		return pin_set(thread, call);
	}
	target_fail("linux: unknown call %d", (int)call->kind);
}

static void fail_call(struct call *call, int error)
{
	call->status = CALL_ERROR;
	call->error = error;
}

/* Large data are not left in the mailbox. */
static void take_data(struct agent_slot *slot, struct call *call)
{
	if (call->kind == CALL_READ || call->kind == CALL_SYSCALL_READ)
		memcpy(call->data, slot->data, call->done);
	if (call->length > (64u << 10))
		madvise(slot->data, TARGET_TRANSFER_MAX, MADV_REMOVE);
}

static void finish_access(struct agent_slot *slot, struct call *call)
{
	call->status = slot->signal == SIGSEGV	? CALL_SEGV
		       : slot->signal == SIGBUS ? CALL_BUS
						: CALL_DONE;
	call->code = slot->signal ? slot->code : 0;
	if (call->kind == CALL_READ || call->kind == CALL_WRITE) {
		call->done = slot->done;
		take_data(slot, call);
	}
}

static void finish_transfer(struct agent_slot *slot, struct call *call)
{
	call->done = slot->result < 0 ? 0 : (uint64_t)slot->result;
	call->status = CALL_DONE;
	if (slot->result < 0)
		fail_call(call, (int)-slot->result);
	else if (call->done < call->length)
		fail_call(call, EFAULT);
	take_data(slot, call);
}

static void finish_system_call(struct agent_slot *slot, struct call *call)
{
	call->status = CALL_DONE;
	if (slot->result < 0)
		fail_call(call, (int)-slot->result);
	else
		call->value = (uint64_t)slot->result;
}

static void finish_fork(struct thread *thread, struct call *call)
{
	struct process *child = thread->child;

	thread->child = NULL;
	if (thread->slot->result < 0) {
		process_free(child);
		fail_call(call, (int)-thread->slot->result);
		return;
	}
	child->pid = (pid_t)thread->slot->result;
	if (!process_await(child))
		target_fail("linux: a forked agent died before it was ready");
	userfault_adopt(child, thread->process);
	call->status = CALL_DONE;
	call->child = child;
}

static void finish(struct thread *thread, struct call *call)
{
	switch (call->kind) {
	case CALL_READ:
	case CALL_WRITE:
	case CALL_TOUCH_READ:
	case CALL_TOUCH_WRITE:
	case CALL_TOUCH_EXECUTE:
		finish_access(thread->slot, call);
		break;
	case CALL_SYSCALL_READ:
	case CALL_SYSCALL_WRITE:
		finish_transfer(thread->slot, call);
		break;
	case CALL_FORK:
		finish_fork(thread, call);
		break;
	case CALL_COPY:
		finish_system_call(thread->slot, call);
		userfault_finish_copy(thread, call);
		break;
	case CALL_MMAP:
		finish_system_call(thread->slot, call);
		if (call->file)
			thread_close_file(&thread->process->server, thread->lent_file);
		break;
	case CALL_PIN:
		finish_system_call(thread->slot, call);
		pin_finish(thread, call);
		break;
	default:
		finish_system_call(thread->slot, call);
		break;
	}
}

void call_result(struct thread *thread, struct call *call)
{
	if (thread->pending != call || !thread->slot)
		target_fail("linux: %s is not pending", call_text(call));
	if (!thread_await(thread)) {
		call->status = CALL_BLOCKED;
		return;
	}
	thread->pending = NULL;
	finish(thread, call);
}

int call_signal(struct thread *thread)
{
	if (!thread->slot)
		return ESRCH;
	if (tgkill(thread->process->pid, thread->slot->tid, AGENT_SIGNAL))
		return errno;
	thread_await(thread);
	return 0;
}

void call_run(struct thread *thread, struct call *call)
{
	int error;

	if (thread->pending || !thread->slot)
		target_fail("linux: %s on a thread that can't", call_text(call));
	check(thread->process, call);
	target_drain(thread->process->target);
	error = set_request(thread, call);
	if (error) {
		fail_call(call, error);
		return;
	}
	thread->pending = call;
	thread_go(thread);
	call_result(thread, call);
}
