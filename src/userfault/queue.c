/* SPDX-License-Identifier: MIT */
/*
 * Threads that wait, in the order in which they came.
 *
 * A waker takes the thread out of its queue and clears `asleep`, after which the thread may run on,
 * and be gone; the last thing it does is to wake whoever sleeps at that address.
 */
#include "userfault/userfault.h"

static void link_last(struct quire_thread **queue, struct quire_thread *thread)
{
	struct quire_thread *first = *queue;

	thread->queue = queue;
	if (!first) {
		thread->next = thread->previous = thread;
		*queue = thread;
		return;
	}
	thread->next = first;
	thread->previous = first->previous;
	first->previous->next = thread;
	first->previous = thread;
}

static void unlink_thread(struct quire_thread *thread)
{
	if (*thread->queue == thread)
		*thread->queue = thread->next == thread ? NULL : thread->next;
	thread->previous->next = thread->next;
	thread->next->previous = thread->previous;
	thread->queue = NULL;
}

bool queue_enter(struct quire_thread **queue, struct quire_userfault *context,
		 struct quire_thread *thread)
{
	quire_assert(!thread->queue);
	link_last(queue, thread);
	atomic_store_explicit(&thread->asleep, 1, memory_order_relaxed);
	atomic_store(&thread->context, context);
	if (!atomic_load(&thread->dying) || QUIRE_MISTAKE(DYING_WAITS))
		return true;
	queue_remove(thread);
	atomic_store_explicit(&thread->asleep, 0, memory_order_relaxed);
	return false;
}

void queue_move(struct quire_thread **queue, struct quire_thread *thread)
{
	unlink_thread(thread);
	link_last(queue, thread);
}

void queue_remove(struct quire_thread *thread)
{
	unlink_thread(thread);
	atomic_store(&thread->context, NULL);
}

struct quire_userfault *queue_remove_event(struct quire_userfault *context,
					   struct quire_thread *thread)
{
	queue_remove(thread);
	atomic_fetch_sub(&context->changing, 1);
	return thread->child;
}

void queue_wake(struct quire_userfault *context, struct quire_thread *thread)
{
	atomic_store_explicit(&thread->asleep, 0, memory_order_release);
	quire_port_wake(context->machine->host, &thread->asleep);
}

static void wake_in(struct quire_userfault *context, struct quire_thread **queue, uint64_t start,
		    uint64_t end)
{
	struct quire_thread *thread = *queue, *last = thread ? thread->previous : NULL;
	bool more = thread;

	while (more) {
		struct quire_thread *next = thread->next;
		uint64_t address = thread->message.arg.pagefault.address;

		more = thread != last;
		if (start <= address &&
		    address < end - PAGE_SIZE * QUIRE_MISTAKE(WAKE_SPARES_LAST)) {
			queue_remove(thread);
			queue_wake(context, thread);
		}
		thread = next;
	}
}

void userfault_wake(struct quire_userfault *context, uint64_t start, uint64_t end)
{
	context_lock(context);
	wake_in(context, &context->faults, start, end);
	wake_in(context, &context->waiting, start, end);
	context_unlock(context);
}

bool quire_thread_asleep(const struct quire_thread *thread)
{
	return atomic_load_explicit(&thread->asleep, memory_order_acquire) != 0;
}

/*
 * Locks the context that the thread waits in; NULL: it does not wait.  With the machine's list locked,
 * which keeps what is found alive; the thread may wait elsewhere until it is locked.
 */
static struct quire_userfault *lock_context_of(struct quire_thread *thread)
{
	struct quire_userfault *context;

	while ((context = atomic_load(&thread->context))) {
		context_lock(context);
		if (atomic_load(&thread->context) == context)
			return context;
		context_unlock(context);
	}
	return NULL;
}

/* What ends a wait. */
enum ending { BY_SIGNAL, BY_RETRY, BY_DEATH, BY_LEAVING };

/* Whether it ends that of `thread`; if so it is taken out, and *unheard is a child to close. */
static bool ends(enum ending ending, struct quire_userfault *context, struct quire_thread *thread,
		 struct quire_userfault **unheard)
{
	if (thread->queue == &context->events) {
		if (ending == BY_SIGNAL || ending == BY_RETRY)
			return false;
		*unheard = queue_remove_event(context, thread);
		return true;
	}
	if (ending == BY_SIGNAL && thread->kernel)
		return false;
	queue_remove(thread);
	return true;
}

static void end_wait(struct quire_machine *machine, struct quire_thread *thread, enum ending ending)
{
	struct quire_userfault *context, *unheard = NULL;
	bool borrows = QUIRE_MISTAKE(SIGNAL_BORROWS_CONTEXT);

	if (!borrows)
		machine_lock(machine, &machine->userfault_lock);
	context = lock_context_of(thread);
	if (context) {
		if (ends(ending, context, thread, &unheard))
			queue_wake(context, thread);
		context_unlock(context);
	}
	if (!borrows)
		machine_unlock(machine, &machine->userfault_lock);
	if (unheard)
		quire_userfault_close(unheard);
}

void quire_thread_interrupt(struct quire_machine *machine, struct quire_thread *thread, bool fatal)
{
	if (fatal)
		atomic_store(&thread->dying, true);
	end_wait(machine, thread, fatal ? BY_DEATH : BY_SIGNAL);
}

void queue_leave(struct quire_machine *machine, struct quire_thread *thread)
{
	end_wait(machine, thread, BY_LEAVING);
	/* Someone may have taken it out, and be about to wake it. */
	while (quire_thread_asleep(thread))
		quire_port_wait(machine->host, &thread->asleep);
}

bool queue_leave_fault(struct quire_machine *machine, struct quire_thread *thread)
{
	end_wait(machine, thread, BY_RETRY);
	return !quire_thread_asleep(thread);
}
