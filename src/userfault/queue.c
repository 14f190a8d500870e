/* SPDX-License-Identifier: MIT */
/*
 * Threads that wait, in the order in which they came.
 *
 * A waker takes the thread out of its queue and clears `asleep`, after which the thread may run on,
 * and be gone; the last thing it does is to wake whoever sleeps at that address.
 */
#include "userfault/userfault.h"

void queue_append(struct quire_thread **queue, struct quire_userfault *context,
		  struct quire_thread *thread)
{
	struct quire_thread *first = *queue;

	queue_remove(thread);
	thread->context = context;
	thread->queue = queue;
	if (!first) {
		thread->next = thread->previous = thread;
		*queue = thread;
	} else {
		thread->next = first;
		thread->previous = first->previous;
		first->previous->next = thread;
		first->previous = thread;
	}
	atomic_store_explicit(&thread->asleep, 1, memory_order_relaxed);
}

void queue_remove(struct quire_thread *thread)
{
	if (!thread->queue)
		return;
	if (*thread->queue == thread)
		*thread->queue = thread->next == thread ? NULL : thread->next;
	thread->previous->next = thread->next;
	thread->next->previous = thread->previous;
	thread->queue = NULL;
	thread->context = NULL;
}

void queue_leave(struct quire_machine *machine, struct quire_thread *thread)
{
	struct quire_userfault *unheard = NULL;

	queue_lock(machine);
	if (thread->queue && thread->queue == &thread->context->events) {
		thread->context->changing--;
		unheard = thread->child;
	}
	queue_remove(thread);
	atomic_store_explicit(&thread->asleep, 0, memory_order_relaxed);
	queue_unlock(machine);
	if (unheard)
		quire_userfault_close(unheard);
}

void queue_wake(struct quire_machine *machine, struct quire_thread *thread)
{
	queue_remove(thread);
	atomic_store_explicit(&thread->asleep, 0, memory_order_release);
	quire_port_wake(machine->host, &thread->asleep);
}

static void wake_in(struct quire_machine *machine, struct quire_thread **queue, uint64_t start,
		    uint64_t end)
{
	struct quire_thread *thread = *queue, *last = thread ? thread->previous : NULL;
	bool more = thread;

	while (more) {
		struct quire_thread *next = thread->next;
		uint64_t address = thread->message.arg.pagefault.address;

		more = thread != last;
		if (start <= address && address < end - PAGE_SIZE * QUIRE_MISTAKE(WAKE_SPARES_LAST))
			queue_wake(machine, thread);
		thread = next;
	}
}

void queue_wake_range(struct quire_userfault *context, uint64_t start, uint64_t end)
{
	wake_in(context->machine, &context->faults, start, end);
	wake_in(context->machine, &context->waiting, start, end);
}

void userfault_wake(struct quire_userfault *context, uint64_t start, uint64_t end)
{
	queue_lock(context->machine);
	queue_wake_range(context, start, end);
	queue_unlock(context->machine);
}

bool quire_thread_asleep(const struct quire_thread *thread)
{
	return atomic_load_explicit(&thread->asleep, memory_order_acquire) != 0;
}

void quire_thread_interrupt(struct quire_machine *machine, struct quire_thread *thread, bool fatal)
{
	struct quire_userfault *unheard = NULL;

	queue_lock(machine);
	thread->dying |= fatal;
	if (thread->queue && thread->queue != &thread->context->events) {
		if (fatal || !thread->kernel)
			queue_wake(machine, thread);
	} else if (thread->queue && fatal) {
		thread->context->changing--;
		unheard = thread->child;
		queue_wake(machine, thread);
	}
	queue_unlock(machine);
	if (unheard)
		quire_userfault_close(unheard);
}
