/* SPDX-License-Identifier: MIT */
/*
 * What src/space asks of userfaultfd, which lies above it: a table of functions, NULL in the
 * machine until the first context is opened.
 *
 * Events.  A call that a context wants to hear of prepares an event for each (it may fail), and
 * when all is done hands the chain to tell(), which lets the calling thread sleep until each has
 * been read in turn.
 */
#ifndef QUIRE_SPACE_HOOKS_H
#define QUIRE_SPACE_HOOKS_H

#include "space/space.h"
#include <quire/thread.h>

/* Something to be told, and to whom. */
struct quire_userfault_event {
	struct quire_userfault_event *next;
	struct quire_userfault *context;
	struct quire_uffd_msg message;
	struct quire_userfault *child; /* of a fork */
};

struct event_chain {
	struct quire_userfault_event *first, *last;
};

struct userfault_hooks {
	/*
	 * A fault that `vma`'s context must hear of; flags: QUIRE_UFFD_PAGEFAULT_FLAG_*; kernel: on
	 * the process's behalf.  Lock for reading.
	 * QUIRE_BLOCKED: the calling thread waits now (the caller looks at the entry again, and
	 * takes it back if it has changed);
	 * QUIRE_BUS: there will be no report.
	 */
	enum quire_outcome (*fault)(struct quire_space *space, const struct vma *vma,
				    uint64_t address, uint64_t flags, bool kernel);
	/* The calling thread, which waits for a fault in `vma`, does so no more.  Same lock. */
	void (*withdraw)(const struct vma *vma);
	/* Sleeps until it is woken: true.  false: it may not sleep, and still waits. */
	bool (*sleep)(struct quire_machine *machine);

	/*
	 * Events, each for the contexts that asked for it.  0 or -NO_FRAMES; nothing is told yet.
	 * Lock for writing. fork(): for a VMA of the parent; *context: what the child's VMA is
	 * registered with, or NULL.
	 */
	int (*fork)(struct quire_space *child, const struct vma *vma, struct event_chain *chain,
		    struct quire_userfault **context);
	int (*remap)(const struct vma *vma, uint64_t from, uint64_t to, uint64_t length,
		     struct event_chain *chain, bool *follows);
	int (*unmap)(struct quire_space *space, uint64_t start, uint64_t end,
		     struct event_chain *chain);
	/* Frees a chain that will not be told. */
	void (*abandon)(struct quire_machine *machine, struct event_chain *chain);
	/*
	 * `call` is done, with this result: tells the chain.  No lock held.  Returns `error`, or
	 * -QUIRE_EINPROGRESS; then the call is made again.
	 * resume(): for the call that is made again; what it returns, *value and *made are as above.
	 */
	int (*tell)(struct quire_machine *machine, const struct quire_call *call,
		    struct event_chain *chain, int error, uint64_t value, void *made);
	int (*resume)(struct quire_machine *machine, const struct quire_call *call, uint64_t *value,
		      void **made);
	/* Ends the call that the calling thread is blocked in, which is not made again. */
	void (*forget)(struct quire_machine *machine);

	/*
	 * Pages of the piece [start, end) of `vma` are about to go (madvise): whether the caller waits
	 * until that has been read, and then asks again.  thread->announced says so until the caller
	 * clears it at the end of its call.  Lock for writing.
	 */
	bool (*remove)(struct quire_machine *machine, const struct vma *vma, uint64_t start,
		       uint64_t end);

	/* The space is going. */
	void (*gone)(struct quire_space *space);
};

/* The table, if any VMA can be registered. */
static inline const struct userfault_hooks *space_hooks(const struct quire_space *space)
{
	return atomic_load_explicit(&space->machine->userfault, memory_order_acquire);
}

/* The same for calls that need not care whether there is a table. */
static inline int events_unmap(struct quire_space *space, uint64_t start, uint64_t end,
			       struct event_chain *chain)
{
	const struct userfault_hooks *hooks = space_hooks(space);

	return hooks ? hooks->unmap(space, start, end, chain) : 0;
}
static inline void events_abandon(struct quire_space *space, struct event_chain *chain)
{
	if (chain->first)
		space_hooks(space)->abandon(space->machine, chain);
}
static inline void events_join(struct event_chain *chain, struct event_chain *more)
{
	if (!more->first)
		return;
	if (chain->last)
		chain->last->next = more->first;
	else
		chain->first = more->first;
	chain->last = more->last;
}
static inline int events_tell(struct quire_space *space, const struct quire_call *call,
			      struct event_chain *chain, int error, uint64_t value, void *made)
{
	if (!chain->first)
		return error;
	return space_hooks(space)->tell(space->machine, call, chain, error, value, made);
}
/* Only if call_resumes() has said so. */
static inline int events_resume(struct quire_space *space, const struct quire_call *call,
				uint64_t *value, void **made)
{
	return space_hooks(space)->resume(space->machine, call, value, made);
}

/* The thread that calls, where it may have to sleep for a userfault; else NULL. */
static inline struct quire_thread *space_caller(const struct quire_space *space)
{
	return space_hooks(space) ? quire_port_current(space->machine->host) : NULL;
}

/* --- call.c: calls that are made again (<quire/thread.h>) --- */

/*
 * Whether this is the call that the thread was blocked in, made again; if it is another one, that is
 * forgotten.  Every call that can be blocked asks once, before anything of it may fail for a reason
 * that is not in its arguments.  Whichever way it ends, the next one is new.
 */
bool call_resumes(const struct quire_space *space, const struct quire_call *call);
/* Where the call goes on; a new one at `start`.  Asked once. */
uint64_t call_reached(const struct quire_space *space, uint64_t start);
/* The call is blocked, and goes on at `reached` when it is made again. */
void call_block(const struct quire_space *space, const struct quire_call *call, uint64_t reached);

#endif
