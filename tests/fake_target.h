/* SPDX-License-Identifier: MIT */
/*
 * Two targets without any memory, for tests of what compares them.  They answer the same, but for
 * what the faulty one does wrong in a process that has called mprotect:
 *
 *	munmap	fails
 *	mremap	fails, for another reason than the sound one does
 *	mlock	crashes
 *	munlock	never returns
 *	madvise	breaks an invariant
 *
 * A write of 7 bytes sleeps once.  A userfaultfd always has a message of a fork.
 */
#ifndef QUIRE_TEST_FAKE_TARGET_H
#define QUIRE_TEST_FAKE_TARGET_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "target.h"

struct target {
	bool faulty;
};

struct thread {
	struct process *process;
};

struct process {
	struct target *target;
	struct thread first;
	uint64_t mapped;
	bool protected;
	bool broken;
};

struct userfault {
	int unused;
};

static void *fake_new(size_t size)
{
	void *memory = calloc(1, size);

	if (!memory)
		abort();
	return memory;
}

static struct target *fake_open(bool faulty)
{
	struct target *target = fake_new(sizeof(*target));

	target->faulty = faulty;
	return target;
}

static struct target *open_sound(const struct target_setup *setup, const char **why)
{
	(void)setup;
	(void)why;
	return fake_open(false);
}

static struct target *open_faulty(const struct target_setup *setup, const char **why)
{
	(void)setup;
	(void)why;
	return fake_open(true);
}

static void fake_close(struct target *target)
{
	free(target);
}

static struct process *fake_process(struct target *target)
{
	struct process *process = fake_new(sizeof(*process));

	process->target = target;
	process->first.process = process;
	return process;
}

static struct thread *fake_first_thread(struct process *process)
{
	return &process->first;
}

static struct thread *fake_thread(struct process *process)
{
	struct thread *thread = fake_new(sizeof(*thread));

	thread->process = process;
	return thread;
}

static void fake_exit(struct process *process)
{
	(void)process;
}

static void fake_mmap(struct process *process, struct call *call)
{
	call->value = call->address;
	if (call->flags & MAP_FIXED)
		return;
	process->mapped += 0x100000;
	call->value = UINT64_C(0x7f0000000000) + process->mapped;
}

static void fake_call(struct thread *thread, struct call *call)
{
	struct process *process = thread->process;
	bool faulty = process->target->faulty && process->protected;

	call->status = CALL_DONE;
	switch (call->kind) {
	case CALL_MMAP:
		fake_mmap(process, call);
		break;
	case CALL_MREMAP:
		call->value = call->flags & MREMAP_FIXED ? call->new_address : call->address;
		call->error = faulty ? EFAULT : call->length > 4096 ? ENOMEM : EINVAL;
		call->status = process->protected ? CALL_ERROR : CALL_DONE;
		break;
	case CALL_MPROTECT:
		process->protected = true;
		break;
	case CALL_MUNMAP:
		call->error = EFAULT;
		call->status = faulty ? CALL_ERROR : CALL_DONE;
		break;
	case CALL_MLOCK:
		if (faulty)
			abort();
		break;
	case CALL_MUNLOCK:
		while (faulty)
			pause();
		break;
	case CALL_MADVISE:
		process->broken |= faulty;
		break;
	case CALL_WRITE:
		call->done = call->length;
		call->status = call->length == 7 ? CALL_BLOCKED : CALL_DONE;
		break;
	case CALL_FORK:
		call->child = fake_process(process->target);
		break;
	default:
		break;
	}
}

static void fake_result(struct thread *thread, struct call *call)
{
	(void)thread;
	call->status = CALL_DONE;
}

static struct userfault *fake_userfaultfd(struct process *process, int flags)
{
	(void)process;
	(void)flags;
	return fake_new(sizeof(struct userfault));
}

static int fake_ioctl(struct userfault *userfault, unsigned long request, void *argument)
{
	(void)userfault;
	(void)request;
	(void)argument;
	return 0;
}

static int fake_read(struct userfault *userfault, struct target_message *messages, size_t count,
		     size_t *got)
{
	(void)userfault;
	(void)count;
	memset(messages, 0, sizeof(*messages));
	messages->message.event = UFFD_EVENT_FORK;
	messages->child = fake_new(sizeof(struct userfault));
	*got = 1;
	return 0;
}

static void fake_userfault_close(struct userfault *userfault)
{
	free(userfault);
}

static int fake_pagemap(struct process *process, uint64_t address, uint64_t pages, uint64_t *bits)
{
	(void)process;
	(void)address;
	memset(bits, 0, pages * sizeof(*bits));
	return 0;
}

static int fake_maps(struct process *process, struct target_vma **vmas, size_t *count)
{
	(void)process;
	*vmas = NULL;
	*count = 0;
	return 0;
}

static char *fake_verify_range(struct process *process, uint64_t start, uint64_t end)
{
	char *text;

	(void)end;
	if (!process->broken)
		return NULL;
	return asprintf(&text, "the page at %#jx is lost", (uintmax_t)start) < 0 ? NULL : text;
}

#define FAKE_OPS(title, opener)                                                                    \
	{                                                                                          \
		.name = title, .open = opener, .close = fake_close, .process = fake_process,       \
		.first_thread = fake_first_thread, .thread = fake_thread, .exit = fake_exit,       \
		.call = fake_call, .result = fake_result, .userfaultfd = fake_userfaultfd,         \
		.userfault_ioctl = fake_ioctl, .userfault_read = fake_read,                        \
		.userfault_close = fake_userfault_close, .pagemap = fake_pagemap,                  \
		.maps = fake_maps, .verify_range = fake_verify_range,                              \
	}

static const struct target_ops sound = FAKE_OPS("sound", open_sound);
static const struct target_ops faulty = FAKE_OPS("faulty", open_faulty);

#endif
