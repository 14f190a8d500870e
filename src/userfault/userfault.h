/* SPDX-License-Identifier: MIT */
/*
 * userfaultfd contexts, as the files of src/userfault see them.
 *
 * A context belongs to one address space and is registered with some of its VMAs.  Threads wait in
 * its queues:
 *
 *	faults     a page fault whose message has not been read
 *	waiting    one whose message has
 *	events     an event that has not been read; reading it wakes the thread
 *
 * Locks: `lock` = the context's own, a short lock: the queues, and the threads in them.  It is all that a
 * fault, a request and a reader take.  `list` = machine->userfault_lock, taken before it, for what is
 * rare: the contexts of a space, the end of a context, and to find a context from a thread.
 *
 * Who keeps what alive:
 *
 *	the context: its users (quire_userfault_get()), and each event to be told; a VMA that is registered
 *	counts for nothing, as the last user unregisters it, with the space's lock, before he lets go.  So
 *	whoever has that lock may use the context of a VMA.  The last one frees it, after he has had `list`:
 *	so whoever has `list` may lock the context that he has found in a thread.
 *
 *	the space: whoever has taken a reference to it under `lock`, or under `list`, while the context names
 *	it; quire_space_destroy() takes the name away before it takes the space's lock.
 *
 *	a thread that waits: itself.  It goes on when `asleep` is cleared, which is the last that a waker
 *	does to it.  What takes it out of a queue does so under `lock`, and clears thread->context first; a
 *	reader who moves it from `faults` to `waiting` leaves that as it is, or a signal would miss it.
 *
 * A fatal signal and a thread that is about to wait: one sets `dying` and looks at thread->context, the
 * other sets that and looks at `dying`, in this order, sequentially consistent.  So one of them sees.
 */
#ifndef QUIRE_USERFAULT_USERFAULT_H
#define QUIRE_USERFAULT_USERFAULT_H

#include "space/hooks.h"
#include "space/vma.h"
#include <quire/userfault.h>

#define UFFD_FEATURES ((uint64_t)0x1ffff)	     /* all there are */
#define UFFD_IOCTLS   ((uint64_t)0x8000000000000003) /* REGISTER, UNREGISTER, API */

struct quire_userfault {
	struct quire_machine *machine;	      /* constant */
	struct quire_userfault *next;	      /* list: of the space's contexts */
	uint64_t highest;		      /* constant: where the space's addresses end */
	struct quire_userfault_config config; /* constant */
	uint64_t features;		      /* constant once negotiated */
	_Atomic uint32_t negotiated;	      /* set with the lock */
	_Atomic uint32_t users;		      /* atomic: each will close it */
	_Atomic uint32_t references; /* atomic: one for the users, one for each event to be told */
	/* events that have not been read; rises with the space's lock for writing */
	_Atomic uint32_t changing;

	struct quire_lock lock;
	/* cleared with `list` and the lock, when the space goes: NULL */
	_Atomic(struct quire_space *) space;
	bool closed;					/* lock */
	struct quire_thread *faults, *waiting, *events; /* lock */
	struct quire_userfault *closing;		/* the closer's: what he closes next */
};

static inline void context_lock(struct quire_userfault *context)
{
	machine_lock(context->machine, &context->lock);
}
static inline void context_unlock(struct quire_userfault *context)
{
	machine_unlock(context->machine, &context->lock);
}
static inline struct quire_thread *current_thread(struct quire_machine *machine)
{
	return quire_port_current(machine->host);
}

/* --- queue.c --- */

/*
 * The calling thread waits from here on, unless it is dying: false.  Lock held; it is in no queue.
 */
bool queue_enter(struct quire_thread **queue, struct quire_userfault *context,
		 struct quire_thread *thread);
/* From one queue of a context to the end of another.  Lock held. */
void queue_move(struct quire_thread **queue, struct quire_thread *thread);
/* Takes it out of its queue.  Lock held. */
void queue_remove(struct quire_thread *thread);
/*
 * Out of `events`, read or not; returns the child that a fork tells of, or NULL.  Who has not passed it
 * on closes it, with no lock held.  Lock held.
 */
struct quire_userfault *queue_remove_event(struct quire_userfault *context,
					   struct quire_thread *thread);
/* Lets one that is in no queue any more go on.  Lock held. */
void queue_wake(struct quire_userfault *context, struct quire_thread *thread);
/* Wakes every thread whose fault lies in [start, end). */
void userfault_wake(struct quire_userfault *context, uint64_t start, uint64_t end);
/*
 * The calling thread does not wait any more, wherever it does; an event of it that nobody has read is
 * told to nobody.  No lock held.
 */
void queue_leave(struct quire_machine *machine, struct quire_thread *thread);
/*
 * The calling thread makes an access again before it has been woken: it does not wait for that any more.
 * false: it sleeps for something else, or will be woken in a moment.  The space's lock at most is held.
 */
bool queue_leave_fault(struct quire_machine *machine, struct quire_thread *thread);

/* --- context.c --- */

struct quire_userfault *context_new(struct quire_space *space);
/* Drops one reference; the last one frees.  No context's lock held. */
void context_put(struct quire_userfault *context);
/* The context's space, of which the caller is a user until it leaves it; NULL: it has gone. */
struct quire_space *context_space(struct quire_userfault *context);
void context_leave(struct quire_space *space);
/* What a VMA registered with the context has set, beside the mode. */
uint64_t context_vma_flags(const struct quire_userfault *context);

/* --- event.c --- */

extern const struct userfault_hooks userfault_hooks;

/* --- the requests; arguments as in ioctl --- */

/*
 * What a request on memory needs: 0, and *space is as context_space() says; -EAGAIN: an event is
 * unread; -EINVAL: its arguments are not `valid`; -ESRCH: the space has gone.  A request that
 * `resumes` does not care for events.
 */
int context_enter(struct quire_userfault *context, bool valid, bool resumes,
		  struct quire_space **space);
/*
 * Whether the space has gone; asked again with its lock, as it may have lost its VMAs meanwhile: the
 * request is one that came later, then.
 */
static inline bool context_gone(const struct quire_userfault *context)
{
	return !context->space;
}
/* Whether it has been negotiated; its features are constant then. */
static inline bool context_negotiated(const struct quire_userfault *context)
{
	return atomic_load_explicit(&context->negotiated, memory_order_acquire);
}
/* The space is going: its contexts know none any more. */
void contexts_forget_space(struct quire_space *space);
/* Whether an event is unread; asked again with the space's lock, as one may have come meanwhile. */
static inline bool context_changing(const struct quire_userfault *context)
{
	return atomic_load_explicit(&context->changing, memory_order_acquire) != 0;
}
/* What context_enter() has asked, asked again with the space's lock: 0, -ESRCH or -EAGAIN. */
int context_ask_again(const struct quire_userfault *context);

int userfault_api(struct quire_userfault *context, struct quire_uffdio_api *api);
int userfault_register(struct quire_userfault *context, struct quire_uffdio_register *request);
int userfault_unregister(struct quire_userfault *context, const struct quire_uffdio_range *range);
int userfault_writeprotect(struct quire_userfault *context,
			   const struct quire_uffdio_writeprotect *request);
int userfault_copy(struct quire_userfault *context, struct quire_uffdio_copy *request,
		   struct quire_space *source);
int userfault_zeropage(struct quire_userfault *context, struct quire_uffdio_zeropage *request);
int userfault_continue(struct quire_userfault *context, struct quire_uffdio_continue *request);
int userfault_poison(struct quire_userfault *context, struct quire_uffdio_poison *request);
int userfault_move(struct quire_userfault *context, struct quire_uffdio_move *request);

/*
 * Unregisters every VMA of the context; the space's lock is held for writing.  Allocates nothing.
 */
void unregister_all(struct quire_userfault *context, struct quire_space *space);

/*
 * Whether [start, start + length) is a range that a request may name: whole pages, not empty,
 * inside the address space, even if that has gone.
 */
static inline bool range_valid(const struct quire_userfault *context, uint64_t start,
			       uint64_t length)
{
	return page_aligned(start) && page_aligned(length) && length > 0 &&
	       length <= context->highest && start <= context->highest - length;
}

#endif
