/* SPDX-License-Identifier: MIT */
/*
 * What a context is told, and the threads that wait meanwhile.
 *
 * There are no queues: a thread that waits knows in which context, since when, and with which
 * message.  Faults are read before events.  A fault that was read goes on waiting until someone
 * resolves it; an event is over when it has been read.
 */
#include "twin.h"

#include <errno.h>
#include <stdlib.h>

static void sleep_in(struct thread *thread, struct userfault *context, bool for_event)
{
	thread->waits_in = context;
	thread->for_event = for_event;
	thread->was_read = false;
	thread->since = ++thread->process->target->clock;
}

/* --- faults --- */

enum answer twin_report_fault(struct thread *thread, struct page *page, const struct access *access,
			      uint64_t why)
{
	struct userfault *context = page->context;
	struct uffd_msg *message;

	if (context->features & UFFD_FEATURE_SIGBUS || (access->kernel && context->user_mode_only))
		return UNRESOLVED;
	if (!thread)
		return UNRESOLVED;
	message = &thread->message;
	*message = (struct uffd_msg){.event = UFFD_EVENT_PAGEFAULT};
	message->arg.pagefault.address = context->features & UFFD_FEATURE_EXACT_ADDRESS
						 ? access->address
						 : page->number * PAGE_BYTES;
	if (access->write)
		message->arg.pagefault.flags |= UFFD_PAGEFAULT_FLAG_WRITE;
	message->arg.pagefault.flags |= why;
	sleep_in(thread, context, false);
	return SLEEPS;
}

/* --- events --- */

/* From now on, until it has been read, memory must not be changed through the context. */
struct event *twin_add_event(struct thread *thread, struct userfault *context, unsigned kind)
{
	struct event *event = twin_allocate(sizeof(*event));
	struct event **link = &thread->events;

	while (*link)
		link = &(*link)->next;
	*link = event;
	event->context = context;
	event->message.event = (unsigned char)kind;
	context->changing++;
	return event;
}

static void first_event_is_over(struct thread *thread)
{
	struct event *event = thread->events;

	thread->events = event->next;
	event->context->changing--;
	free(event);
}

/* Nobody will read it.  What a fork would have handed over is closed. */
static void drop_first_event(struct thread *thread)
{
	struct userfault *child = thread->events->child;

	if (child)
		twin_userfault_release(child);
	first_event_is_over(thread);
}

int twin_tell(struct thread *thread)
{
	while (thread->events) {
		if (!thread->ends && !thread->events->context->closed) {
			thread->message = thread->events->message;
			sleep_in(thread, thread->events->context, true);
			return BLOCKED;
		}
		drop_first_event(thread);
	}
	return 0;
}

void twin_forget_events(struct thread *thread)
{
	while (thread->events)
		drop_first_event(thread);
}

/* --- reading --- */

/* Who has waited longest in the context, for a fault or for an event, and was not read. */
static struct thread *oldest(struct userfault *context, bool for_event)
{
	struct thread *oldest = NULL;

	for (struct process *process = context->target->processes; process; process = process->next)
		for (struct thread *thread = process->threads; thread; thread = thread->next)
			if (thread->waits_in == context && thread->for_event == for_event &&
			    !thread->was_read && (!oldest || thread->since < oldest->since))
				oldest = thread;
	return oldest;
}

bool twin_has_message(struct userfault *context)
{
	return oldest(context, false) || oldest(context, true);
}

int twin_read_message(struct userfault *context, struct target_message *message)
{
	struct thread *thread = oldest(context, false);
	bool fault = thread != NULL;

	if (!thread)
		thread = oldest(context, true);
	if (!thread)
		return EAGAIN;
	*message = (struct target_message){.message = thread->message};
	if (fault) {
		thread->was_read = true;
		if (context->features & UFFD_FEATURE_THREAD_ID)
			message->thread = thread;
		return 0;
	}
	message->child = thread->events->child;
	thread->waits_in = NULL;
	first_event_is_over(thread);
	return 0;
}

/* --- waking --- */

void twin_wake(struct userfault *context, uint64_t start, uint64_t length)
{
	for (struct process *process = context->target->processes; process; process = process->next)
		for (struct thread *thread = process->threads; thread; thread = thread->next) {
			uint64_t address = thread->message.arg.pagefault.address;

			if (thread->waits_in == context && !thread->for_event &&
			    (!length || address - start < length))
				thread->waits_in = NULL;
		}
}

void twin_drop_events(struct userfault *context)
{
	for (struct process *process = context->target->processes; process; process = process->next)
		for (struct thread *thread = process->threads; thread; thread = thread->next)
			if (thread->waits_in == context && thread->for_event) {
				thread->waits_in = NULL;
				drop_first_event(thread);
			}
}
