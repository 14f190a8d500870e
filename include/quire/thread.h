/* SPDX-License-Identifier: MIT */
/*
 * Threads, as far as Quire has to know of them: who takes a fault, and how it sleeps.
 *
 * A thread of the host's guest sleeps while a userfaultfd handler works on its fault, or has not
 * read its event.  The host says who is calling with quire_port_current().  A thread that may sleep
 * does so in quire_port_wait().  One with `nowait` never does: the call returns QUIRE_BLOCKED (a
 * fault) or -QUIRE_EINPROGRESS (everything else), the thread counts as asleep, and when
 * quire_thread_asleep() says that it is not any more, the host makes the same call with the same
 * arguments (and what they point to) again, before any other that may block.  The call goes on where
 * it stopped.  So an event loop, or an emulator with one host thread, can serve its own faults.
 *
 * If another call that may block comes first, the blocked one ends there: what it did is done, and
 * what nobody has read yet is told to nobody.
 */
#ifndef QUIRE_THREAD_H
#define QUIRE_THREAD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct quire_userfault;
struct quire_userfault_event;
struct quire_object;

/* What read(2) on a userfaultfd gives: struct uffd_msg of Linux, 32 bytes. */
struct quire_uffd_msg {
	uint8_t event; /* QUIRE_UFFD_EVENT_* */
	uint8_t reserved1;
	uint16_t reserved2;
	uint32_t reserved3;
	union {
		struct {
			uint64_t flags; /* QUIRE_UFFD_PAGEFAULT_FLAG_* */
			uint64_t address;
			uint32_t ptid; /* with THREAD_ID; else 0 */
		} pagefault;
		struct {
			uint32_t ufd;
		} fork;
		struct {
			uint64_t from, to, len;
		} remap;
		struct {
			uint64_t start, end;
		} remove; /* and unmap */
		struct {
			uint64_t reserved1, reserved2, reserved3;
		} reserved;
	} arg;
};

/* The calls that a thread may be blocked in, faults apart. */
enum quire_call_operation {
	QUIRE_CALL_NONE,
	QUIRE_CALL_MMAP,
	QUIRE_CALL_MMAP_OBJECT,
	QUIRE_CALL_MUNMAP,
	QUIRE_CALL_MREMAP,
	QUIRE_CALL_FORK,
	QUIRE_CALL_MADVISE,
	QUIRE_CALL_MLOCK,
	QUIRE_CALL_ACCESS_READ,
	QUIRE_CALL_ACCESS_WRITE,
	QUIRE_CALL_COPY,
};

/* Which call it is: one that is made again has the same arguments. */
struct quire_call {
	enum quire_call_operation operation;
	const void *on; /* the space; COPY: the context */
	uint64_t arguments[5];
};

/*
 * One thread of the guest; the host keeps it, all zero but for what it sets, as long as the thread
 * may call Quire.
 */
struct quire_thread {
	uint32_t id; /* what messages with THREAD_ID carry */
	bool nowait; /* never sleep: see above */

	/*
	 * Quire's own from here on.  Lock: that of the context where it waits; `owner`: the thread
	 * itself, which may call nothing while it is asleep.
	 */
	_Atomic uint32_t asleep; /* 1 while it waits; cleared by whoever wakes it */
	bool kernel;		 /* lock: it waits on the kernel's behalf, past signals */
	_Atomic(struct quire_userfault *)
		context; /* where it waits, or NULL; set by the thread, cleared with the lock */
	struct quire_thread *next, *previous; /* lock: in one of the context's queues */
	struct quire_thread **queue;	      /* lock: that queue */
	struct quire_uffd_msg message;	      /* lock */
	struct quire_userfault *child;	      /* lock: a fork event's */
	_Atomic uint32_t dying; /* a fatal signal came; it waits for nothing any more */

	struct quire_call blocked; /* owner: the call that is to be made again, or NONE */
	bool resuming;		   /* owner: it has work to finish, even if the thread dies */
	bool part_done;		   /* owner: it goes on at `reached` */
	uint64_t reached;	   /* owner: an address */
	struct quire_userfault_event *events;	 /* owner: still to be told: it is done */
	int error;				 /* owner: what it returns then */
	uint64_t value;				 /* owner: and its result */
	void *made;				 /* owner: the child of a fork */
	bool announced;				 /* owner: madvise: a piece has been told of */
	uint64_t announced_start, announced_end; /* owner: the last one */
	bool hole;				 /* owner: madvise: it has passed over one */
	struct quire_object *removing; /* owner: MADV_REMOVE: what has been told of, or NULL */
	uint64_t removing_start;       /* owner: from this offset */
	uint64_t removing_length;      /* owner: so many bytes */
	_Atomic uint32_t reclaiming;   /* owner: it has pages reclaimed, and must not once more */
};

/*
 * Whether the thread waits for something; when it does not, a call that was blocked is to be made
 * again.
 */
bool quire_thread_asleep(const struct quire_thread *thread);

/*
 * A signal for the thread.  If it waits for a page fault of its own it stops doing so, and its
 * access is made again when the signal has been handled.  One that waits in a call, for a page or
 * for an event to be read, goes on waiting, unless the signal is `fatal`: then it never waits
 * again.  What it did is done, and told to nobody; a page that it would wait for is a QUIRE_BUS, or
 * -EFAULT of a call. Before the host forgets a thread it makes sure with this that no context knows
 * it any more, and makes the call again that the thread was blocked in, if thread->resuming says so.  Any thread may call it; no lock.
 */
struct quire_machine;
void quire_thread_interrupt(struct quire_machine *machine, struct quire_thread *thread, bool fatal);

#endif
