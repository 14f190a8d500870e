/* SPDX-License-Identifier: MIT */
/*
 * What a scenario runs on.
 *
 * The script layer (script_*.c) turns Lua arguments into the requests below, hands them to a
 * target, records request and answer in the transcript, and turns the answer into Lua values.  It
 * knows nothing about how a target works; a target knows nothing about Lua.  There are
 * three: target_quire.c (the library on the software MMU), target_linux.c (real processes) and
 * target_twin.c (a second model, twin/).
 *
 * Rules for a target:
 *  - An answer is what really happened.  Nothing is predicted or repaired.
 *  - Arguments are passed on as they are, bad ones included: it is the memory manager that refuses
 * them.
 *  - Sizes and lengths are bytes, addresses are virtual addresses of the process.
 *  - No function prints.  What went wrong in the target itself (not in the scenario) is reported
 * with target_fail().
 */
#ifndef QUIRE_CLI_TARGET_H
#define QUIRE_CLI_TARGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "profile.h"
#include "userfault_abi.h"

/* The most that one read or write of a script may move, in bytes. */
#define TARGET_TRANSFER_MAX (16u << 20)

/* Pools of huge pages: of 2M, of 1G. */
enum pool { POOL_2M, POOL_1G, POOLS };

/* Memory of devices: of one page size; a file with extents of it; that no call may hold. */
enum device_kind { DEVICE_DAX, DEVICE_FSDAX, DEVICE_PFN, DEVICE_KINDS };

/* quire.setup{}: zero means "as the machine has it". */
struct target_setup {
	uint64_t memory; /* bytes */
	unsigned cpus;
	/* Options of the library's machine; a target that lacks one refuses. */
	bool report_swapped, strict_written;
	bool execute_only; /* execute permission alone is not permission to read (quire, twin) */
	/* Policies of transparent huge pages: the kernel's words for them; NULL: as the machine has it. */
	const char *thp, *shmem_thp;
	bool has_pool[POOLS]; /* as `pool` says; false: as the machine has it */
	uint64_t pool[POOLS]; /* huge pages */
	bool has_swap;	      /* as `swap` says; false: as the machine has it */
	uint64_t swap;	      /* bytes of swap, used before any other; 0: nobody has any */
};

enum call_kind {
	CALL_READ,	  /* user loads: address, length → data, done */
	CALL_WRITE,	  /* user stores: address, length, data → done */
	CALL_TOUCH_READ,  /* one byte loaded at address */
	CALL_TOUCH_WRITE, /* an atomic `or` of 0 onto the byte at address: a write access that keeps
			     the content */
	CALL_TOUCH_EXECUTE, /* an instruction fetch at address */
	CALL_SYSCALL_READ,  /* the kernel reads address, length for the process → data, done */
	CALL_SYSCALL_WRITE, /* the kernel writes data to address, length → done */
	CALL_MMAP,	    /* address (hint), length, prot, flags (MAP_*), file, offset → value:
			       address */
	CALL_MUNMAP,	    /* address, length */
	CALL_MPROTECT,	    /* address, length, prot */
	CALL_MREMAP,  /* address, length (old), new_length, flags (MREMAP_*), new_address → value:
			 address */
	CALL_MADVISE, /* address, length, advice */
	CALL_MLOCK,   /* address, length */
	CALL_MUNLOCK, /* address, length */
	CALL_FORK,    /* → child */
	CALL_COPY,    /* UFFDIO_COPY by the thread, from its own memory: userfault, copy → copy */
	CALL_PIN, /* address, length → pin.  A long-term pin of pages to be written: faults them in
			 for writing, so it can sleep.  EFAULT: not all of them can be, or no
			 length; then none is pinned */
};

enum call_status {
	CALL_DONE,    /* finished well */
	CALL_ERROR,   /* a system call failed: error; a transfer also gives done */
	CALL_SEGV,    /* the access raised SIGSEGV: code */
	CALL_BUS,     /* the access raised SIGBUS: code */
	CALL_BLOCKED, /* the thread sleeps in it; result() finishes it */
};

struct target;
struct process; /* of the target's own shape */
struct thread;
struct userfault; /* an open userfaultfd */
struct file;	  /* memory that can be mapped */
struct pin;	  /* of pages of a process */
struct notifier;  /* that is told of what becomes of a process's leaves */

/* One thing a thread does.  The numbers of prot, flags and advice are Linux's (x86_64). */
struct call {
	enum call_kind kind;
	uint64_t address;
	uint64_t length;
	uint64_t new_address;
	uint64_t new_length;
	int prot;
	int flags;
	int advice;
	struct file *file;   /* of a mapping; NULL: none, and MAP_ANONYMOUS is not implied */
	uint64_t offset;     /* bytes into it */
	unsigned char *data; /* the caller's buffer, length bytes: in for writes, out for reads;
				stays valid until finished */
	struct userfault *userfault;
	struct uffdio_copy copy; /* in and out */

	/* the answer */
	enum call_status status;
	int error; /* CALL_ERROR: errno, positive */
	int code;  /* CALL_SEGV, CALL_BUS: si_code */
	uint64_t value;
	uint64_t done; /* bytes moved, for transfers, failed ones included */
	struct process *child;
	struct pin *pin;
};

/* One line of maps. */
struct target_vma {
	uint64_t start, end; /* addresses */
	uint64_t offset;     /* bytes, for file memory; 0 for anonymous memory */
	char prot[4];	     /* "rwx" with '-' for what is missing, and a NUL */
	bool shared;
	bool file;
	char flags[128]; /* VmFlags, two letters each, one blank between, none at the end */
};

/* The fields of smaps, in the kernel's order; a target that lacks a field leaves `count` short of
 * it. */
#define TARGET_SMAPS_MAX 40
struct target_smaps {
	uint64_t start, end;
	unsigned count;
	struct {
		char name[24];	/* "Rss" */
		uint64_t value; /* bytes; THPeligible as it is */
	} field[TARGET_SMAPS_MAX];
	char flags[128]; /* VmFlags */
};

struct target_rss { /* bytes */
	uint64_t anon, file, shmem, swap, tables;
};

/* Pages of a pool. */
struct target_pool {
	uint64_t total, free, reserved, surplus;
};

/* The library's own view; no kernel shows this. */
struct target_entry {
	int level;
	const char *kind; /* absent leaf marker swap migration guard poison parked */
	bool readable, writable, user, exec, dirty, young, uffd_wp, soft_dirty, special;
	bool has_frame;
	uint64_t frame;
};

#define TARGET_LEVELS 9
struct target_tables {
	uint64_t bytes;
	unsigned levels;
	struct {
		uint64_t tables, marks, leaves;
	} level[TARGET_LEVELS];
};

/* What calls have done to leaves of one level so far: given them other permissions, cut them. */
struct target_leaf_counts {
	uint64_t protected_leaves, cut_leaves;
};
#define TARGET_LEAF_LEVELS 3

/* What a read of a userfaultfd gives. */
struct target_message {
	struct uffd_msg message;
	struct userfault *child; /* UFFD_EVENT_FORK: the child's, usable at once; its number in the
				    message means nothing */
	struct thread *thread;	 /* UFFD_EVENT_PAGEFAULT, with UFFD_FEATURE_THREAD_ID: who faulted;
				    NULL: none that was made through this interface */
};

/* One half of a bracket (<quire/notifier.h>). */
struct target_notification {
	bool begin;
	uint64_t start, end; /* addresses */
	const char *why;     /* "unmap", "protect", "clear", "migrate" */
};

/*
 * Every function returns 0 or a positive errno from the target, unless it says otherwise; text is
 * malloc'ed for the caller. A function pointer that is NULL: the target does not have it, and the
 * script that asks is skipped (77); where it is to have it one day (signal, userfault*, scan), the
 * script ends with "not built yet".  A target without file_shmem has no shared memory either.
 */
struct target_ops {
	const char *name; /* "quire", "linux", "twin" */

	/* What it has, or would have when it is opened so. */
	struct profile (*profile)(const struct target_setup *setup);

	/* NULL and *why (static or malloc'ed text, one line) when the target can't be had as asked:
	 * the script is skipped. */
	struct target *(*open)(const struct target_setup *setup, const char **why);
	/* Everything the target started is gone when this returns, and every setting is back. */
	void (*close)(struct target *target);

	/* A new address space with one thread; NULL: errno says why. */
	struct process *(*process)(struct target *target);
	struct thread *(*first_thread)(struct process *process);
	struct thread *(*thread)(struct process *process); /* one more; NULL: errno says why */
	void (*exit)(struct process *process); /* ends it; the handle and its threads stay valid
						  until close */

	/* Starts the call on the thread, which must be idle, and waits until it has finished or
	 * sleeps in it. */
	void (*call)(struct thread *thread, struct call *call);
	/* Waits until the pending call of the thread has finished or sleeps again, and fills the
	 * same struct. */
	void (*result)(struct thread *thread, struct call *call);

	/*
	 * A handled signal to a thread that sleeps in a call; the call goes on, as the kernel has
	 * it.  Returns when the thread sleeps again or has finished: result() tells.
	 */
	int (*signal)(struct thread *thread);

	/*
	 * userfaultfd(2).  It is the process's, but the controller plays the monitor: it holds the
	 * only reference, and its own memory is what pointers in requests point to.  So forked
	 * children inherit none, and one stays usable, to get ESRCH, when its process has ended.
	 * All of them work while threads sleep, and return only when every thread that they woke
	 * has finished or sleeps again: what comes of it can be read at once.
	 */
	/* O_CLOEXEC, O_NONBLOCK, UFFD_USER_MODE_ONLY; unknown ones too.  NULL: errno says why. */
	struct userfault *(*userfaultfd)(struct process *process, int flags);
	/*
	 * ioctl(2): UFFDIO_*, with `argument` the request's structure, in and out, also on errors.
	 * A UFFDIO_COPY copies from the controller's memory at `src`; for one from memory of a
	 * process, which can sleep, there is CALL_COPY.  A UFFDIO_MOVE, which only the process
	 * itself may make, is made by it.
	 */
	int (*userfault_ioctl)(struct userfault *userfault, unsigned long request, void *argument);
	/*
	 * Up to `count` messages, as one read(2) of that many; never sleeps, also without
	 * O_NONBLOCK: EAGAIN when there is none.
	 */
	int (*userfault_read)(struct userfault *userfault, struct target_message *messages,
			      size_t count, size_t *got);
	/* poll(2) for POLLIN: *events is what it returns, POLLIN, POLLERR, POLLHUP. */
	int (*userfault_poll)(struct userfault *userfault, int *events);
	/* The last reference: waiters are woken.  What is still open at the target's close() is
	 * closed then. */
	void (*userfault_close)(struct userfault *userfault);

	/*
	 * Files of memory that live outside of processes; any process maps one by CALL_MMAP, and
	 * mappings outlive file_close().  None of these sleeps in a userfault.  Offsets, sizes and
	 * lengths are bytes and need not be aligned; those that do not fit off_t are EINVAL, a sum
	 * that does not is EFBIG (EINVAL for file_resident).  ENOMEM and ENOSPC: there is no memory
	 * left.
	 */
	/* A new file of holes, all of it shmem, as memfd_create(2) and ftruncate(2) make it; NULL:
	 * errno says why. */
	struct file *(*file_shmem)(struct target *target, uint64_t size);
	/* The same of huge pages; a write to it does not make it grow (EFBIG).  NULL: no such files. */
	struct file *(*file_hugetlb)(struct target *target, uint64_t size, enum pool pool);
	/*
	 * A device of `size` bytes of zeros, or (DEVICE_FSDAX) a file of them, which is no hole yet.
	 * `level` is that of its pages, or of the largest.  What is written and read through the
	 * functions below goes past every mapping.  NULL: no devices.
	 */
	struct file *(*file_device)(struct target *target, enum device_kind kind, unsigned level,
				    uint64_t size);
	/* The name of the file, as it were; what is still open at the target's close() is closed
	 * then. */
	void (*file_close)(struct file *file);
	/* pwrite(2), until all is written: it grows the file as needed.  *done also on errors. */
	int (*file_write)(struct file *file, uint64_t offset, const void *bytes, size_t length,
			  size_t *done);
	/* pread(2): *done is less than length where the file ends.  Holes read as zeros, and stay
	 * holes. */
	int (*file_read)(struct file *file, uint64_t offset, void *bytes, size_t length,
			 size_t *done);
	/* ftruncate(2). */
	int (*file_truncate)(struct file *file, uint64_t size);
	/* fallocate(2), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE.  No length is EINVAL. */
	int (*file_punch)(struct file *file, uint64_t offset, uint64_t length);
	/* fallocate(2) without flags: no holes are left there, and the file grows as needed.  No
	 * length is EINVAL. */
	int (*file_allocate)(struct file *file, uint64_t offset, uint64_t length);
	/* How many of the pages that [offset, offset + length) touches are in the page cache;
	 * those in swap are not. */
	int (*file_resident)(struct file *file, uint64_t offset, uint64_t length, uint64_t *pages);

	/* swapoff(2) of the swap that setup asked for, which brings every page in it back.  EINVAL:
	 * there is none, or none any more.  A target without it has no swap. */
	int (*swapoff)(struct target *target);

	/* The pools of huge pages.  ENOENT: the target has none of that size. */
	int (*pool_count)(struct target *target, enum pool pool, struct target_pool *count);
	/* Makes it that large, as far as memory goes; `overcommit`: how many pages there may be beside
	 * it, -1: as before. */
	int (*pool_resize)(struct target *target, enum pool pool, uint64_t pages,
			   int64_t overcommit);

	/* Ends a pin (CALL_PIN), and the handle.  A pin also ends with its process, its handle does
	 * not. */
	void (*unpin)(struct pin *pin);
	/*
	 * Moves what [address, address + length) maps to other frames: *pages is how many moved.
	 * Pages that are pinned stay, and so may others that are busy; nothing is faulted in.
	 */
	int (*migrate)(struct process *process, uint64_t address, uint64_t length, uint64_t *pages);

	/* The process gets one more notifier; it hears of the process's end, and stays to be read. */
	int (*notifier)(struct process *process, struct notifier **notifier);
	/* All that it has heard of since the last call; the array is malloc'ed. */
	void (*notifier_read)(struct notifier *notifier, struct target_notification **heard,
			      size_t *count);
	void (*notifier_close)(struct notifier *notifier);

	/* Observations: they work while threads sleep. */
	int (*pagemap)(struct process *process, uint64_t address, uint64_t pages,
		       uint64_t *bits); /* /proc/PID/pagemap words */
	int (*mincore)(struct process *process, uint64_t address, uint64_t length,
		       unsigned char *pages);
	int (*smaps)(struct process *process, uint64_t address,
		     struct target_smaps *smaps); /* ENOENT: no VMA there */
	/* What the script mapped, by address; *vmas is malloc'ed. */
	int (*maps)(struct process *process, struct target_vma **vmas, size_t *count);
	int (*rss)(struct process *process, struct target_rss *rss);
	/* ioctl(PAGEMAP_SCAN), `vec` being in the controller's memory; *regions is what it
	 * returns, the regions filled in. */
	int (*scan)(struct process *process, struct pm_scan_arg *argument, size_t *regions);

	/* the library only */
	int (*entry)(struct process *process, uint64_t address, struct target_entry *entry);
	int (*tables)(struct process *process, struct target_tables *tables);
	char *(*dump)(struct process *process);
	char *(*draw)(struct process *process); /* its page tables as a picture, for people */
	char *(*dump_machine)(
		struct target *target); /* every process, the allocators' counts and the counters */
	/* The invariant checker over everything; NULL: all holds; else what does not, as text. */
	char *(*verify)(struct target *target);
	/* The same over [start, end) of one process only. */
	char *(*verify_range)(struct process *process, uint64_t start, uint64_t end);
	/* Lets the n-th allocation from now on fail once (0: none); tells how many were asked for
	 * since the last call, and whether it fired. */
	uint64_t (*fail_nth)(struct target *target, uint64_t n, bool *fired);
	/* Named counters; names[] and values[] are the target's, valid until the next call. */
	unsigned (*stats)(struct target *target, const char *const **names,
			  const uint64_t **values);
	void (*leaf_counts)(struct target *target,
			    struct target_leaf_counts counts[TARGET_LEAF_LEVELS]);
};

extern const struct target_ops target_quire;
extern const struct target_ops target_linux;
extern const struct target_ops target_twin;

/*
 * The target itself broke (an agent that died unasked, a system call that cannot fail failed):
 * one line with the culprit becomes the reason of this script's run, which ends with status 2.
 * Supplied by the runner.
 */
_Noreturn void target_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The script asks for what it must not: its error, at the line of the call; the text is one line. */
_Noreturn void target_refuse(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The script asks for what the target lacks, and is skipped; the reason is one line. */
_Noreturn void target_skip(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
