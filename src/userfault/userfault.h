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
 * Locks: `queue` = machine->userfault_lock, a short lock, taken under everything but the frame and
 * slab locks; `space` = the space's lock.
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
	struct quire_space *space;	      /* queue: NULL when it has gone */
	struct quire_userfault *next;	      /* queue: of the space's contexts */
	uint64_t highest;		      /* constant: where the space's addresses end */
	struct quire_userfault_config config; /* constant */
	uint64_t features;		      /* constant once negotiated */
	bool negotiated;		      /* queue */
	bool closed;			      /* queue */
	uint32_t references; /* queue: the opener's, and one for each event to be told */
	uint32_t changing;   /* queue: events that have not been read */
	struct quire_thread *faults, *waiting, *events; /* queue */
};

static inline void queue_lock(struct quire_machine *machine)
{
	machine_lock(machine, &machine->userfault_lock);
}
static inline void queue_unlock(struct quire_machine *machine)
{
	machine_unlock(machine, &machine->userfault_lock);
}
static inline struct quire_thread *current_thread(struct quire_machine *machine)
{
	return quire_port_current(machine->host);
}

/* --- queue.c; the queue lock is held --- */

void queue_append(struct quire_thread **queue, struct quire_userfault *context,
		  struct quire_thread *thread);
/* Takes the thread out of its queue, if it is in one. */
void queue_remove(struct quire_thread *thread);
/* Takes it out and lets it go on. */
void queue_wake(struct quire_machine *machine, struct quire_thread *thread);
/*
 * Takes the lock itself: the thread does not wait any more, and an event that nobody has read is told
 * to nobody.
 */
void queue_leave(struct quire_machine *machine, struct quire_thread *thread);
/* Wakes every thread whose fault lies in [start, end). */
void queue_wake_range(struct quire_userfault *context, uint64_t start, uint64_t end);
/* Takes the lock itself. */
void userfault_wake(struct quire_userfault *context, uint64_t start, uint64_t end);

/* --- context.c --- */

struct quire_userfault *context_new(struct quire_space *space);
/* Drops one reference; the last one frees. */
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
bool context_gone(const struct quire_userfault *context);
/* Whether an event is unread; asked again with the space's lock, as one may have come meanwhile. */
bool context_changing(struct quire_userfault *context);

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
