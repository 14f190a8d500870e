/* SPDX-License-Identifier: MIT */
/*
 * userfaultfd on the quire target.
 *
 * The controller plays monitor and threads alike.  A call that is blocked is left pending; whatever
 * a monitor does may let it go on, so after each such thing the calls of all threads that have
 * woken are made again, until each has finished or sleeps.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "library_target.h"

struct userfault {
	struct target *target;
	struct quire_userfault *context;
	bool nonblock;
	struct userfault *next;
};

_Static_assert(sizeof(struct uffd_msg) == sizeof(struct quire_uffd_msg), "one ABI");

/*
 * A call that goes on by itself has nobody to repeat it when the allocation that a test wants to
 * fail is one of its own; so it is made again here.
 */
static void go_on(struct thread *thread)
{
	struct quire_machine *core = soft_machine_core(thread->process->target->machine);
	struct call *call = thread->pending;
	bool failed_before = quire_machine_failed(core);

	library_call(thread, call);
	if (call->kind != CALL_COPY && call->status == CALL_ERROR && !failed_before &&
	    quire_machine_failed(core))
		library_call(thread, call);
}

static bool run_woken_once(struct target *target)
{
	bool ran = false;

	for (struct process *process = target->processes; process; process = process->next) {
		for (struct thread *thread = process->threads; thread; thread = thread->next) {
			if (!thread->pending || quire_thread_asleep(&thread->guest))
				continue;
			go_on(thread);
			ran = true;
		}
	}
	return ran;
}

void library_run_woken(struct target *target)
{
	while (run_woken_once(target))
		;
}

static struct userfault *new_userfault(struct target *target, struct quire_userfault *context,
				       bool nonblock)
{
	struct userfault *userfault = calloc(1, sizeof(*userfault));

	if (!userfault)
		target_fail("quire: the host is out of memory");
	userfault->target = target;
	userfault->context = context;
	userfault->nonblock = nonblock;
	userfault->next = target->userfaults;
	target->userfaults = userfault;
	return userfault;
}

/* Whoever runs the library has every right to it. */
struct userfault *library_userfaultfd(struct process *process, int flags)
{
	const struct quire_userfault_config config = {
		.user_mode_only = flags & UFFD_USER_MODE_ONLY,
	};
	struct quire_userfault *context;
	int error = 0;

	if (flags & ~(O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY))
		error = -EINVAL;
	else
		error = quire_userfault_open(process->space, &config, &context);
	if (!error)
		return new_userfault(process->target, context, flags & O_NONBLOCK);
	errno = -error;
	return NULL;
}

int library_userfault_ioctl(struct userfault *userfault, unsigned long request, void *argument)
{
	int error = quire_userfault_ioctl(userfault->context, (uint32_t)request, argument, NULL);

	library_run_woken(userfault->target);
	return -error;
}

/* Copies what is not done yet, as far as it can be, and wakes nobody. */
static int copy_piece(struct thread *thread, struct call *call)
{
	struct uffdio_copy piece = call->copy;
	int error;

	piece.dst += call->done;
	piece.src += call->done;
	piece.len -= call->done;
	piece.mode |= UFFDIO_COPY_MODE_DONTWAKE;
	piece.copy = 0;
	error = quire_userfault_ioctl(call->userfault->context, QUIRE_UFFDIO_COPY, &piece,
				      thread->process->space);
	if (piece.copy > 0)
		call->done += (uint64_t)piece.copy;
	call->copy.copy = call->done ? (int64_t)call->done : piece.copy;
	return error;
}

/* What is left is taken for a copy that has slept. */
static void go_on_with_copy(struct thread *thread, const struct call *call)
{
	const struct uffdio_copy *copy = &call->copy;

	thread->guest.part_done = true;
	thread->guest.reached = copy->dst + call->done;
	thread->guest.blocked = (struct quire_call){
		QUIRE_CALL_COPY,
		call->userfault->context,
		{copy->dst + call->done, copy->src + call->done, copy->len - call->done}};
}

/*
 * The allocation that a test wants to fail ends a piece, not the copy, which goes on as if it had
 * slept; only the end of the last one wakes who waits for all of it.
 */
static int copy_pieces(struct thread *thread, struct call *call)
{
	struct quire_machine *core = soft_machine_core(thread->process->target->machine);
	struct quire_userfault *context = call->userfault->context;
	struct quire_uffdio_range copied = {.start = call->copy.dst};
	bool failed_before = quire_machine_failed(core);
	int error = copy_piece(thread, call);

	if (error && error != -QUIRE_EINPROGRESS && !failed_before && quire_machine_failed(core)) {
		go_on_with_copy(thread, call);
		error = copy_piece(thread, call);
	}
	if (error == -QUIRE_EINPROGRESS)
		return error;
	copied.len = call->done;
	if (call->done && !(call->copy.mode & UFFDIO_COPY_MODE_DONTWAKE))
		quire_userfault_ioctl(context, QUIRE_UFFDIO_WAKE, &copied, NULL);
	return error && call->done ? -QUIRE_EAGAIN : error;
}

int library_userfault_copy(struct thread *thread, struct call *call)
{
	int error = copy_pieces(thread, call);

	/* The caller is done, and anyone may be the next. */
	library_run_woken(thread->process->target);
	return error;
}

static struct thread *find_thread(struct target *target, uint32_t id)
{
	for (struct process *process = target->processes; process; process = process->next)
		for (struct thread *thread = process->threads; thread; thread = thread->next)
			if (id && thread->guest.id == id)
				return thread;
	return NULL;
}

int library_userfault_read(struct userfault *userfault, struct target_message *messages,
			   size_t count, size_t *got)
{
	struct target *target = userfault->target;
	int error = count ? 0 : -EINVAL;

	for (*got = 0; *got < count && !error;) {
		struct target_message *message = &messages[*got];
		struct quire_userfault *child;
		struct quire_uffd_msg raw;

		error = quire_userfault_read(userfault->context, &raw, &child);
		if (error)
			break;
		memcpy(&message->message, &raw, sizeof(raw));
		message->child = child ? new_userfault(target, child, userfault->nonblock) : NULL;
		message->thread = raw.event == QUIRE_UFFD_EVENT_PAGEFAULT
					  ? find_thread(target, raw.arg.pagefault.ptid)
					  : NULL;
		(*got)++;
	}
	library_run_woken(target);
	return *got ? 0 : -error;
}

/* One that was opened for blocking reads can't be polled. */
int library_userfault_poll(struct userfault *userfault, int *events)
{
	int readable = quire_userfault_poll(userfault->context);

	*events = readable > 0 ? POLLIN : 0;
	if (readable < 0 || !userfault->nonblock)
		*events = POLLERR;
	return 0;
}

void library_userfault_close(struct userfault *userfault)
{
	struct target *target = userfault->target;
	struct userfault **link = &target->userfaults;

	while (*link != userfault)
		link = &(*link)->next;
	*link = userfault->next;
	quire_userfault_close(userfault->context);
	free(userfault);
	library_run_woken(target);
}

int library_signal(struct thread *thread)
{
	struct target *target = thread->process->target;

	quire_thread_interrupt(soft_machine_core(target->machine), &thread->guest, false);
	library_run_woken(target);
	return 0;
}

/*
 * A thread that ends: nobody waits for it, or is told anything by it, any more.  What it has done
 * is done, but the child of a fork that was not finished comes to nothing.
 */
void library_thread_end(struct thread *thread)
{
	struct quire_machine *core = soft_machine_core(thread->process->target->machine);

	quire_thread_interrupt(core, &thread->guest, true);
	while (thread->pending && thread->guest.resuming) {
		struct call *call = thread->pending;

		library_call(thread, call);
		if (call->kind == CALL_FORK && call->status == CALL_DONE)
			library_process_exit(call->child);
		quire_thread_interrupt(core, &thread->guest, true);
	}
	thread->pending = NULL;
}
