/* SPDX-License-Identifier: MIT */
/*
 * What src/space asks of userfaultfd: reports of faults, and events.
 *
 * Events are told one after the other, each to one context, by the thread whose call caused them;
 * it sleeps until a reader has taken the message, or the context is closed, or a signal comes.
 * From the moment an event is prepared until it is read its context answers -EAGAIN to whoever
 * would change memory (`changing`).
 */
#include "userfault/userfault.h"

static enum quire_outcome report_fault(struct quire_space *space, const struct vma *vma,
				       uint64_t address, uint64_t flags, bool kernel)
{
	struct quire_userfault *context = vma->userfault;
	struct quire_machine *machine = space->machine;
	struct quire_thread *thread = current_thread(machine);
	uint64_t exact = context->features & QUIRE_UFFD_FEATURE_EXACT_ADDRESS;

	if (!thread || (vma->flags & VMA_UFFD_SIGBUS) || (kernel && context->config.user_mode_only))
		return QUIRE_BUS;
	if (quire_thread_asleep(thread) && !queue_leave_fault(machine, thread))
		return QUIRE_BLOCKED;
	context_lock(context);
	if (!queue_enter(&context->faults, context, thread)) {
		context_unlock(context);
		return QUIRE_BUS;
	}
	thread->kernel = kernel;
	thread->child = NULL;
	thread->message = (struct quire_uffd_msg){.event = QUIRE_UFFD_EVENT_PAGEFAULT};
	thread->message.arg.pagefault.flags = flags;
	thread->message.arg.pagefault.address = exact ? address : page_down(address);
	if (context->features & QUIRE_UFFD_FEATURE_THREAD_ID)
		thread->message.arg.pagefault.ptid = thread->id;
	context_unlock(context);
	return QUIRE_BLOCKED;
}

static void withdraw(const struct vma *vma)
{
	struct quire_userfault *context = vma->userfault;
	struct quire_thread *thread = current_thread(context->machine);

	context_lock(context);
	/* Someone may have woken it. */
	if (atomic_load(&thread->context) == context && thread->queue != &context->events) {
		queue_remove(thread);
		atomic_store_explicit(&thread->asleep, 0, memory_order_relaxed);
	}
	context_unlock(context);
}

static bool sleep_until_woken(struct quire_machine *machine)
{
	struct quire_thread *thread = current_thread(machine);

	while (thread && quire_thread_asleep(thread)) {
		if (thread->nowait)
			return false;
		quire_port_wait(machine->host, &thread->asleep);
	}
	return true;
}

/* --- chains of events --- */

static int prepare_event(struct quire_userfault *context, struct event_chain *chain,
			 struct quire_userfault_event **event)
{
	struct quire_machine *machine = context->machine;

	*event = slab_alloc(machine, sizeof(**event));
	if (!*event)
		return -NO_FRAMES;
	(*event)->context = context;
	if (chain->last)
		chain->last->next = *event;
	else
		chain->first = *event;
	chain->last = *event;
	atomic_fetch_add(&context->references, 1);
	atomic_fetch_add(&context->changing, 1);
	return 0;
}

/* The event has been read, or nobody will; `told` says that `changing` is settled. */
static void drop_event(struct quire_userfault_event *event, bool told)
{
	struct quire_userfault *context = event->context;
	struct quire_machine *machine = context->machine;

	if (!told) {
		atomic_fetch_sub(&context->changing, !QUIRE_MISTAKE(FAILURE_KEEPS_REFUSING));
		if (event->child)
			quire_userfault_close(event->child);
	}
	context_put(context);
	slab_free(machine, event);
}

static void abandon(struct quire_machine *machine, struct event_chain *chain)
{
	(void)machine;
	while (chain->first) {
		struct quire_userfault_event *event = chain->first;

		chain->first = event->next;
		drop_event(event, false);
	}
	chain->last = NULL;
}

static int prepare_fork(struct quire_space *child, const struct vma *vma, struct event_chain *chain,
			struct quire_userfault **context)
{
	struct quire_userfault *parent = vma->userfault;
	struct quire_userfault_event *event;
	int error;

	*context = NULL;
	if (!parent || !(parent->features & QUIRE_UFFD_FEATURE_EVENT_FORK))
		return 0;
	for (event = chain->first; event; event = event->next)
		if (event->context == parent)
			break;
	if (!event) {
		error = prepare_event(parent, chain, &event);
		if (error)
			return error;
		event->message.event = QUIRE_UFFD_EVENT_FORK;
		event->child = context_new(child);
		if (!event->child)
			return -NO_FRAMES;
		event->child->config = parent->config;
		event->child->features = parent->features;
		event->child->negotiated = true;
	}
	*context = event->child;
	return 0;
}

static int prepare_remap(const struct vma *vma, uint64_t from, uint64_t to, uint64_t length,
			 struct event_chain *chain, bool *follows)
{
	struct quire_userfault *context = vma->userfault;
	struct quire_userfault_event *event;
	int error;

	*follows = context && (context->features & QUIRE_UFFD_FEATURE_EVENT_REMAP);
	if (!*follows)
		return 0;
	error = prepare_event(context, chain, &event);
	if (error)
		return error;
	event->message.event = QUIRE_UFFD_EVENT_REMAP;
	event->message.arg.remap.from = from;
	event->message.arg.remap.to = to;
	event->message.arg.remap.len = length;
	return 0;
}

static bool hears_unmap(const struct event_chain *chain, const struct quire_userfault *context,
			uint64_t start)
{
	for (const struct quire_userfault_event *event = chain->first; event; event = event->next)
		if (event->context == context && event->message.event == QUIRE_UFFD_EVENT_UNMAP &&
		    event->message.arg.remove.start == start)
			return true;
	return false;
}

/* One message for the whole range to each context that has a VMA in it. */
static int prepare_unmap(struct quire_space *space, uint64_t start, uint64_t end,
			 struct event_chain *chain)
{
	for (const struct vma *vma = vma_find(space, start); vma && start < end && vma->start < end;
	     vma = vma_next(vma)) {
		struct quire_userfault *context = vma->userfault;
		struct quire_userfault_event *event;
		int error;

		if (!context || !(context->features & QUIRE_UFFD_FEATURE_EVENT_UNMAP) ||
		    hears_unmap(chain, context, start))
			continue;
		error = prepare_event(context, chain, &event);
		if (error)
			return error;
		event->message.event = QUIRE_UFFD_EVENT_UNMAP;
		event->message.arg.remove.start = start;
		event->message.arg.remove.end = end;
	}
	return 0;
}

/* Lets the thread wait in the event's context, unless that is closed or the thread is dying. */
static bool tell_one(struct quire_thread *thread, const struct quire_userfault_event *event)
{
	struct quire_userfault *context = event->context;
	bool waits;

	context_lock(context);
	waits = (!context->closed || QUIRE_MISTAKE(CLOSED_IS_TOLD)) &&
		queue_enter(&context->events, context, thread);
	if (waits) {
		thread->message = event->message;
		thread->child = event->child;
	}
	context_unlock(context);
	return waits;
}

/*
 * Tells what is left of the thread's chain, of which the first has perhaps been told; -QUIRE_EINPROGRESS:
 * it may not sleep.
 */
static int tell_rest(struct quire_machine *machine, struct quire_thread *thread,
		     const struct quire_call *call, bool told)
{
	while (thread->events) {
		struct quire_userfault_event *event = thread->events;

		told = told || tell_one(thread, event);
		if (!sleep_until_woken(machine)) {
			thread->blocked = *call;
			thread->resuming = true;
			return -QUIRE_EINPROGRESS;
		}
		thread->events = event->next;
		drop_event(event, told);
		told = false;
	}
	thread->resuming = false;
	return thread->error;
}

static int tell(struct quire_machine *machine, const struct quire_call *call,
		struct event_chain *chain, int error, uint64_t value, void *made)
{
	struct quire_thread *thread = current_thread(machine);

	if (!thread || !chain->first) {
		abandon(machine, chain);
		return error;
	}
	thread->events = chain->first;
	thread->error = error;
	thread->value = value;
	thread->made = made;
	return tell_rest(machine, thread, call, false);
}

static int resume(struct quire_machine *machine, const struct quire_call *call, uint64_t *value,
		  void **made)
{
	struct quire_thread *thread = current_thread(machine);
	int error = tell_rest(machine, thread, call, true);

	*value = thread->value;
	*made = thread->made;
	return error;
}

static void forget(struct quire_machine *machine)
{
	struct quire_thread *thread = current_thread(machine);
	struct quire_userfault_event *told;
	struct event_chain rest = {0};

	if (!thread)
		return; /* a port of tier 0 has none that could be blocked */
	told = thread->events;
	queue_leave(machine, thread);
	/* Of a call that was still faulting in, none has been told. */
	if (thread->part_done) {
		rest.first = told;
	} else if (told) {
		rest.first = told->next;
		drop_event(told, true);
	}
	abandon(machine, &rest);
	if (thread->removing)
		quire_object_put(thread->removing);
	thread->events = NULL;
	thread->removing = NULL;
	thread->resuming = thread->part_done = thread->announced = thread->hole = false;
}

/* The thread remembers which piece has been told, by its start. */
static bool announce_remove(struct quire_machine *machine, const struct vma *vma, uint64_t start,
			    uint64_t end)
{
	struct quire_userfault *context = vma->userfault;
	struct quire_thread *thread = current_thread(machine);

	if (!thread || (thread->announced && thread->announced_start == start))
		return false;
	if (QUIRE_MISTAKE(ANNOUNCED_AT_ZERO) && start == 0)
		return false;
	if (!context || !(context->features & QUIRE_UFFD_FEATURE_EVENT_REMOVE))
		return false;
	context_lock(context);
	if (!queue_enter(&context->events, context, thread)) {
		context_unlock(context);
		return false;
	}
	atomic_fetch_add(&context->changing, 1);
	thread->announced = true;
	thread->announced_start = start;
	thread->announced_end = end;
	thread->child = NULL;
	thread->message = (struct quire_uffd_msg){.event = QUIRE_UFFD_EVENT_REMOVE};
	thread->message.arg.remove.start = start;
	thread->message.arg.remove.end = end;
	context_unlock(context);
	return true;
}

const struct userfault_hooks userfault_hooks = {
	.fault = report_fault,
	.withdraw = withdraw,
	.sleep = sleep_until_woken,
	.fork = prepare_fork,
	.remap = prepare_remap,
	.unmap = prepare_unmap,
	.abandon = abandon,
	.tell = tell,
	.resume = resume,
	.forget = forget,
	.remove = announce_remove,
	.gone = contexts_forget_space,
};
