/* SPDX-License-Identifier: MIT */
/*
 * The twin target: the model in twin/, in this very process.
 *
 * Its limits are the host's, as those of the quire target are; of memory it has as much as it takes.
 */
#include <errno.h>
#include <poll.h>

#include "host.h"
#include "twin.h"
#include "window.h"

static struct target *target_open(const struct target_setup *setup, const char **why)
{
	struct limits limits = {
		.lowest = host_mmap_lowest(),
		.highest = USER_END,
		.top = WINDOW_TOP,
		.table = TABLE_BYTES,
		.swap = setup->has_swap && setup->swap,
		.execute_only = setup->execute_only,
	};
	uint64_t memory;

	(void)why;
	host_memory(&memory, &limits.commit);
	return twin_open(&limits);
}

static struct thread *process_first_thread(struct process *process)
{
	struct thread *thread = process->threads;

	while (thread->next)
		thread = thread->next;
	return thread;
}

static void thread_call(struct thread *thread, struct call *call)
{
	struct target *target = thread->process->target;

	twin_call(thread, call);
	twin_run_woken(target);
}

/* Whatever woke the thread has let it go on. */
static void thread_result(struct thread *thread, struct call *call)
{
	(void)thread;
	(void)call;
}

/* The access is made again, and reported again; one that has been woken may be over.  Where the kernel waits on the thread's behalf, for a
 * fault or for an event to be read, the signal has to wait, too. */
static int thread_signal(struct thread *thread)
{
	if (thread->call && thread->call->kind <= CALL_TOUCH_EXECUTE)
		thread->waits_in = NULL;
	twin_run_woken(thread->process->target);
	return 0;
}

static int userfault_ioctl(struct userfault *userfault, unsigned long request, void *argument)
{
	int error = twin_userfault_request(userfault, request, argument);

	twin_run_woken(userfault->target);
	return error;
}

static int userfault_read(struct userfault *userfault, struct target_message *messages,
			  size_t count, size_t *got)
{
	int error = count && userfault->negotiated ? 0 : EINVAL;

	for (*got = 0; !error && *got < count; *got += !error)
		error = twin_read_message(userfault, &messages[*got]);
	twin_run_woken(userfault->target);
	return *got ? 0 : error;
}

/* One that was opened for blocking reads can't be polled. */
static int userfault_poll(struct userfault *userfault, int *events)
{
	*events = twin_has_message(userfault) ? POLLIN : 0;
	if (!userfault->negotiated || !userfault->nonblock)
		*events = POLLERR;
	return 0;
}

static void userfault_close(struct userfault *userfault)
{
	twin_userfault_release(userfault);
	twin_run_woken(userfault->target);
}

/* What maps it needs it still. */
static void file_close(struct file *file)
{
	(void)file;
}

const struct target_ops target_twin = {
	.name = "twin",
	.profile = profile_model,
	.open = target_open,
	.close = twin_close,
	.process = twin_process,
	.first_thread = process_first_thread,
	.thread = twin_thread,
	.exit = twin_exit,
	.call = thread_call,
	.result = thread_result,
	.signal = thread_signal,
	.userfaultfd = twin_userfaultfd,
	.userfault_ioctl = userfault_ioctl,
	.userfault_read = userfault_read,
	.userfault_poll = userfault_poll,
	.userfault_close = userfault_close,
	.file_shmem = twin_file_new,
	.file_device = twin_device_new,
	.file_close = file_close,
	.file_write = twin_file_write,
	.file_read = twin_file_read,
	.file_truncate = twin_file_truncate,
	.file_punch = twin_file_punch,
	.file_allocate = twin_file_allocate,
	.file_resident = twin_file_resident,
	.swapoff = twin_swapoff,
	.migrate = twin_migrate,
	.unpin = twin_unpin,
	.pagemap = twin_report_pagemap,
	.mincore = twin_report_mincore,
	.smaps = twin_report_smaps,
	.maps = twin_report_maps,
	.rss = twin_report_rss,
	.scan = twin_scan,
};
