/* SPDX-License-Identifier: MIT */
/*
 * userfaultfd(2): page faults handled by the guest itself.
 *
 * The requests and structures are those of Linux's <linux/userfaultfd.h>, bit for bit, so that a
 * host kernel offers the same interface by handing them through.  What is registered is anonymous
 * memory and shared memory.
 *
 * Lifetimes.  A context is there until its last user has closed it: the opener, the reader of a fork's
 * event, and whoever has called quire_userfault_get().  All calls on one context may run side by side,
 * the last close excepted.  They may also run beside quire_space_destroy() of the context's space, and
 * are as if they had come before it or after it; a request that has done a part says so (-EAGAIN).  The
 * space that a COPY reads from, and the thread that is in a call, must stay until that returns.
 *
 * Sources: ioctl_userfaultfd(2), userfaultfd(2), Documentation/admin-guide/mm/userfaultfd.rst;
 * BEHAVIOUR B and C.
 */
#ifndef QUIRE_USERFAULT_H
#define QUIRE_USERFAULT_H

#include <stddef.h>
#include <stdint.h>

#include <quire/space.h>
#include <quire/thread.h>

#define QUIRE_UFFD_API 0xaa

#define QUIRE_UFFD_FEATURE_PAGEFAULT_FLAG_WP  ((uint64_t)1 << 0)
#define QUIRE_UFFD_FEATURE_EVENT_FORK	      ((uint64_t)1 << 1)
#define QUIRE_UFFD_FEATURE_EVENT_REMAP	      ((uint64_t)1 << 2)
#define QUIRE_UFFD_FEATURE_EVENT_REMOVE	      ((uint64_t)1 << 3)
#define QUIRE_UFFD_FEATURE_MISSING_HUGETLBFS  ((uint64_t)1 << 4)
#define QUIRE_UFFD_FEATURE_MISSING_SHMEM      ((uint64_t)1 << 5)
#define QUIRE_UFFD_FEATURE_EVENT_UNMAP	      ((uint64_t)1 << 6)
#define QUIRE_UFFD_FEATURE_SIGBUS	      ((uint64_t)1 << 7)
#define QUIRE_UFFD_FEATURE_THREAD_ID	      ((uint64_t)1 << 8)
#define QUIRE_UFFD_FEATURE_MINOR_HUGETLBFS    ((uint64_t)1 << 9)
#define QUIRE_UFFD_FEATURE_MINOR_SHMEM	      ((uint64_t)1 << 10)
#define QUIRE_UFFD_FEATURE_EXACT_ADDRESS      ((uint64_t)1 << 11)
#define QUIRE_UFFD_FEATURE_WP_HUGETLBFS_SHMEM ((uint64_t)1 << 12)
#define QUIRE_UFFD_FEATURE_WP_UNPOPULATED     ((uint64_t)1 << 13)
#define QUIRE_UFFD_FEATURE_POISON	      ((uint64_t)1 << 14)
#define QUIRE_UFFD_FEATURE_WP_ASYNC	      ((uint64_t)1 << 15)
#define QUIRE_UFFD_FEATURE_MOVE		      ((uint64_t)1 << 16)

#define QUIRE_UFFD_EVENT_PAGEFAULT 0x12
#define QUIRE_UFFD_EVENT_FORK	   0x13
#define QUIRE_UFFD_EVENT_REMAP	   0x14
#define QUIRE_UFFD_EVENT_REMOVE	   0x15
#define QUIRE_UFFD_EVENT_UNMAP	   0x16

#define QUIRE_UFFD_PAGEFAULT_FLAG_WRITE ((uint64_t)1 << 0)
#define QUIRE_UFFD_PAGEFAULT_FLAG_WP	((uint64_t)1 << 1)
#define QUIRE_UFFD_PAGEFAULT_FLAG_MINOR ((uint64_t)1 << 2)

/* Requests: direction, size of the structure, 0xaa, number. */
#define QUIRE_UFFDIO_REGISTER	  0xc020aa00u
#define QUIRE_UFFDIO_UNREGISTER	  0x8010aa01u
#define QUIRE_UFFDIO_WAKE	  0x8010aa02u
#define QUIRE_UFFDIO_COPY	  0xc028aa03u
#define QUIRE_UFFDIO_ZEROPAGE	  0xc020aa04u
#define QUIRE_UFFDIO_MOVE	  0xc028aa05u
#define QUIRE_UFFDIO_WRITEPROTECT 0xc018aa06u
#define QUIRE_UFFDIO_CONTINUE	  0xc020aa07u
#define QUIRE_UFFDIO_POISON	  0xc020aa08u
#define QUIRE_UFFDIO_API	  0xc018aa3fu

struct quire_uffdio_api {
	uint64_t api, features, ioctls;
};
struct quire_uffdio_range {
	uint64_t start, len;
};
#define QUIRE_UFFDIO_REGISTER_MODE_MISSING ((uint64_t)1 << 0)
#define QUIRE_UFFDIO_REGISTER_MODE_WP	   ((uint64_t)1 << 1)
#define QUIRE_UFFDIO_REGISTER_MODE_MINOR   ((uint64_t)1 << 2)
struct quire_uffdio_register {
	struct quire_uffdio_range range;
	uint64_t mode, ioctls;
};
#define QUIRE_UFFDIO_MODE_DONTWAKE                                                                 \
	((uint64_t)1 << 0) /* of COPY, ZEROPAGE, CONTINUE, POISON, MOVE */
#define QUIRE_UFFDIO_COPY_MODE_WP ((uint64_t)1 << 1)
struct quire_uffdio_copy {
	uint64_t dst, src, len, mode;
	int64_t copy;
};
struct quire_uffdio_zeropage {
	struct quire_uffdio_range range;
	uint64_t mode;
	int64_t zeropage;
};
#define QUIRE_UFFDIO_CONTINUE_MODE_WP ((uint64_t)1 << 1)

#define QUIRE_UFFDIO_WRITEPROTECT_MODE_WP	((uint64_t)1 << 0)
#define QUIRE_UFFDIO_WRITEPROTECT_MODE_DONTWAKE ((uint64_t)1 << 1)
struct quire_uffdio_writeprotect {
	struct quire_uffdio_range range;
	uint64_t mode;
};
struct quire_uffdio_continue {
	struct quire_uffdio_range range;
	uint64_t mode;
	int64_t mapped;
};
struct quire_uffdio_poison {
	struct quire_uffdio_range range;
	uint64_t mode;
	int64_t updated;
};
#define QUIRE_UFFDIO_MOVE_MODE_ALLOW_SRC_HOLES ((uint64_t)1 << 1)
struct quire_uffdio_move {
	uint64_t dst, src, len, mode;
	int64_t move;
};

/* How a context is opened. */
struct quire_userfault_config {
	bool user_mode_only; /* UFFD_USER_MODE_ONLY: the kernel's own accesses fail with EFAULT instead */
	bool no_fork_event; /* the opener may not ask for EVENT_FORK (Linux: no CAP_SYS_PTRACE) */
};

/*
 * A new context for faults in `space`.  It has to negotiate (QUIRE_UFFDIO_API) before anything
 * else.
 *   -ENOMEM  no frame left
 */
int quire_userfault_open(struct quire_space *space, const struct quire_userfault_config *config,
			 struct quire_userfault **context);

/*
 * One more user of the context, who will close it.  A context is there as long as it has a user: a
 * host takes one for each call that may run beside a close, as a kernel holds the file while it is in a
 * system call.  Any thread may call it; no lock.
 */
void quire_userfault_get(struct quire_userfault *context);

/*
 * One user fewer.  The last one ends the context: unregisters all its memory, drops every protection in
 * it (poison stays), and wakes every sleeper.  The space may have gone before.  Cannot fail, allocates nothing.
 * (BEHAVIOUR B6)
 */
void quire_userfault_close(struct quire_userfault *context);

/*
 * ioctl(2) with Linux's request numbers and structures: `argument` points to the request's
 * structure, in and out.
 * UFFDIO_COPY's source is an address in `source`; NULL: a host pointer as a number.
 *
 * Every request but API gives -EINVAL before API has succeeded.  Requests on memory give
 *   -EINVAL      unaligned or empty range, one that wraps or leaves the address space, unknown mode
 *   bits
 *   -ENOENT      not registered (COPY and its kin: or not wholly in one VMA)
 *   -EEXIST      something is there already (COPY and its kin)
 *   -EAGAIN      an event is unread; or a part was done, which the output field tells
 *   -ESRCH       the space is gone (REGISTER, UNREGISTER: -ENOMEM)
 *   -EBUSY       REGISTER: another context's; MOVE: a page that is not this space's alone
 *   -EFAULT      COPY: the source cannot be read
 *   -ENOMEM      no frame left; REGISTER: too many VMAs
 *   -EINPROGRESS COPY: the source is missing, and the thread may not sleep (<quire/thread.h>)
 * COPY, ZEROPAGE, CONTINUE, POISON and MOVE write bytes done or the negative error to their output
 * field, unless the arguments themselves are refused or the space is gone.
 */
int quire_userfault_ioctl(struct quire_userfault *context, uint32_t request, void *argument,
			  struct quire_space *source);

/*
 * The next message; page faults come before older events.  A fork event's child context comes in
 * *child, ready to use: the caller's
 * to close.  Wakes the thread that waits for its event to be read.
 *   -EAGAIN  none
 *   -EINVAL  not negotiated yet
 */
int quire_userfault_read(struct quire_userfault *context, struct quire_uffd_msg *message,
			 struct quire_userfault **child);

/* Whether a message waits to be read; -EINVAL: not negotiated yet (poll(2) says POLLERR). */
int quire_userfault_poll(struct quire_userfault *context);

#endif
