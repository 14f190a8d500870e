/* SPDX-License-Identifier: MIT */
/*
 * The twin: Linux's anonymous and shared memory and its userfaultfd a second time, as simple as can
 * be.
 *
 * A process is a sorted array with one record for each page that is mapped.  A record says what the
 * page's mapping is (permission, advice, registration, ...) and what its page-table entry holds.
 * There are no page tables, no TLB and no structures for VMAs: a VMA is a run of neighbouring
 * records, and a record says whether one begins at it.  Operations are loops over records.
 *
 * There are no threads.  A thread is a record of the call that it is in; a call that would sleep
 * returns BLOCKED, and is made again when the thread has been woken, from where it was.
 *
 * It shares no source with the library, so that the two can be compared: what both say is seldom
 * wrong.  The requests are those of cli/target.h.
 *
 *	twin_space.c      the array: finding, inserting, removing; VMAs: splitting, joining, origins
 *	twin_map.c        mmap, munmap, mprotect, placement
 *	twin_mremap.c     mremap
 *	twin_advice.c     madvise, mlock, munlock, populating
 *	twin_fault.c      faults, accesses by the process and by the kernel
 *	twin_swap.c       swap: pages that leave memory, and come back
 *	twin_file.c       files of memory, and their pages in mappings
 *	twin_device.c     devices: leaves of several sizes
 *	twin_fork.c       fork
 *	twin_pin.c        pins: blocks that somebody else uses; migration
 *	twin_userfault.c  contexts: open, negotiate, register, protect, wake, close
 *	twin_fill.c       requests that fill pages: copy, zeropage, continue, poison, move
 *	twin_message.c    messages: faults and events, reading them, sleeping and waking
 *	twin_report.c     pagemap, mincore, smaps, maps, rss
 *	twin_scan.c       PAGEMAP_SCAN
 *	twin_target.c     machines, processes, threads; which call does what
 */
#ifndef TWIN_TWIN_H
#define TWIN_TWIN_H

#include "target.h"

#define PAGE_BYTES   UINT64_C(4096)
#define AROUND_PAGES 16		/* that a read of a file maps at most */
#define VMAS_MAX     65530u	/* vm.max_map_count */
#define PAGES_MAX    (1u << 22) /* what one process may map here */

/* What a function returns beside 0 and errno: the thread sleeps. */
#define BLOCKED (-1)

/* Of a page's mapping.  The order is that of the letters in smaps; the first three are PROT_*. */
enum {
	MAY_READ = 1 << 0,
	MAY_WRITE = 1 << 1,
	MAY_EXECUTE = 1 << 2,
	MAY_ANYTHING = MAY_READ | MAY_WRITE | MAY_EXECUTE,
	REPORTS_MISSING = 1 << 3,
	HAD_GUARDS = 1 << 4, /* keeps no VMAs apart */
	REPORTS_WRITES = 1 << 5,
	LOCKED = 1 << 6,
	SEQUENTIAL = 1 << 7,
	RANDOM = 1 << 8,
	NOT_FORKED = 1 << 9,
	ACCOUNTED = 1 << 10,
	NOT_RESERVED = 1 << 11,
	FORKED_EMPTY = 1 << 12,
	NOT_DUMPED = 1 << 13,
	HUGE_WANTED = 1 << 14,
	HUGE_UNWANTED = 1 << 15,
	MERGEABLE = 1 << 16,
	REPORTS_MINOR = 1 << 17,
	SHARED = 1 << 18, /* whose letters are elsewhere */
	BARE = 1 << 20,	  /* frames of a device that are no memory; so have these */
	/* Of memory that is execute-only, where the processor enforces that: it holds no data. */
	NO_DATA = 1 << 19,
	PROTECTION = MAY_ANYTHING | NO_DATA,
	REPORTS = REPORTS_MISSING | REPORTS_WRITES | REPORTS_MINOR,
};

/* A page of memory. */
struct block {
	uint64_t mappings; /* entries that hold it */
	uint64_t swaps;	   /* entries that have it in swap; 1: the file has */
	uint64_t pins;	   /* it goes with the last entry and the last pin */
	bool cached;	   /* it is in swap and in memory */
	bool lazy;	   /* by MADV_FREE, and not taken yet */
	bool dirty;	   /* written to by the kernel through an entry that does not say so */
	bool counts;	   /* its content does, though no entry need say so: it was in swap, or is a
			    * copy for a reader */
	bool of_file;	   /* the file's, which keeps it */
	bool blank;	   /* the file's, allocated and not used yet: it does not show */
	unsigned char bytes[PAGE_BYTES];
};

enum entry {
	NONE,
	ZEROS,	 /* the page of zeros, which everybody maps */
	MEMORY,	 /* a block */
	SWAPPED, /* a block that is in swap */
	MARKER,	 /* not a page; guard, poison, or protection of a page that is not there */
	DEVICE,	 /* a part of a leaf of a device */
};

struct page {
	uint64_t number; /* address / PAGE_BYTES */

	/* its mapping: the same throughout a VMA, except that `place` counts up */
	bool first;	/* a VMA begins here */
	bool from_fork; /* of the origin */
	uint32_t flags;
	uint64_t origin; /* of the VMA's blocks, see twin_origin_needed(); 0: it never had one */
	uint64_t
		place; /* how the page is numbered: in its file, or its number, unless it has moved */
	struct file *file;	   /* NULL: none, the memory is anonymous and private */
	struct userfault *context; /* that it is registered with, or NULL */

	/* its entry */
	enum entry entry;
	unsigned level; /* of the leaf that it is a part of; markers of devices too */
	bool writable, young, dirty;
	bool exclusive; /* the block is known to be this entry's alone */
	bool protected; /* userfaultfd's write protection */
	bool guard, poison;
	struct block *block;
};

struct userfault {
	struct target *target;
	struct process *process; /* NULL: it has ended */
	uint64_t features;
	bool negotiated, nonblock, user_mode_only, closed;
	/* Events prepared and not read: as long as there are, nobody may change memory through it. */
	unsigned changing;
	struct userfault *next;
};

/* Something to be told when the work of a call is done. */
struct event {
	struct userfault *context;
	struct uffd_msg message;
	struct userfault *child; /* UFFD_EVENT_FORK */
	struct event *next;
};

struct thread {
	struct process *process;
	struct call *call; /* that it is in, or NULL */
	struct thread *next;

	/* asleep */
	struct userfault *waits_in; /* NULL: it is not */
	bool for_event;		    /* else for a fault to be resolved */
	bool was_read;		    /* the fault's message */
	uint64_t since;
	struct uffd_msg message;

	/* what is left of the call */
	bool worked; /* its own work is done */
	bool waited; /* a copy that has slept */
	bool ends;   /* it is killed, and waits for nobody */
	struct event *events;
	uint64_t populate, populate_end;
	uint64_t progress;    /* madvise: done or announced up to here */
	uint64_t announced;   /* 0, or where the removal that begins at `progress` ends */
	struct file *removes; /* what then has a hole, wherever it is mapped, and where */
	uint64_t removes_at;
	bool saw_hole;
};

struct process {
	struct target *target;
	struct page *pages; /* by number */
	size_t count, room, vmas;
	struct thread *threads; /* the newest first */
	struct pin *pins;	/* these too */
	bool ended;
	struct process *next;
};

struct file_block {
	uint64_t index;
	struct block *block;
};

/* Lives as long as the target does. */
struct file {
	struct target *target;
	struct file_block *blocks; /* by index; the others are holes */
	size_t count, room;
	uint64_t size; /* bytes */
	bool nameless; /* shared anonymous memory */
	bool device;   /* and then: */
	enum device_kind kind;
	unsigned level;	  /* of its leaves, or of the largest */
	uint64_t extents; /* pages that it has room for */
	bool *filled;	  /* DEVICE_FSDAX: by page; the others are holes */
	struct file *next;
};

/* What the host decides. */
struct limits {
	uint64_t lowest, highest; /* addresses */
	uint64_t top;		  /* where the first mapping without a hint ends */
	uint64_t commit;	  /* bytes that one call may ask for */
	uint64_t table;		  /* bytes that one page table maps */
	bool swap;		  /* there is some */
	bool execute_only;	  /* execute permission alone is not permission to read */
};

struct target {
	struct limits limits;
	struct process *processes, *ended; /* the newest first */
	struct userfault *userfaults;	   /* all there ever were */
	struct file *files;
	uint64_t origins, clock; /* counters */
};

static inline uint64_t round_up(uint64_t length)
{
	return (length + PAGE_BYTES - 1) & ~(PAGE_BYTES - 1);
}

/* --- twin_space.c --- */

/* The index of the first record whose number is not below `number`. */
size_t twin_find(const struct process *process, uint64_t number);
struct page *twin_page_at(struct process *process, uint64_t number); /* NULL: not mapped */
/* The index at which the VMA of the record at `index` begins, and behind which it ends. */
size_t twin_vma_begin(const struct process *process, size_t index);
size_t twin_vma_end(const struct process *process, size_t index);
/* Where the part of that VMA which lies before page `end` ends. */
uint64_t twin_part_end(const struct process *process, size_t index, uint64_t end);
bool twin_mapped_in(const struct process *process, uint64_t start, uint64_t end);
/* Splits needed so that VMAs begin and end at these pages. */
size_t twin_splits_at(const struct process *process, uint64_t start, uint64_t end);
/* Not within a page of a device. */
bool twin_may_split(struct process *process, uint64_t number);
void twin_split(struct process *process, uint64_t number);
void twin_join(struct process *process, uint64_t number, bool grown);
/* For that many records in all. */
void twin_make_room(struct process *process, size_t count);
struct page *twin_insert(struct process *process, const struct page *like, uint64_t count);
void twin_remove_pages(struct process *process, uint64_t start, uint64_t end);
/*
 * Gives the pages of one VMA in [start, end) another mapping: splits it off, and joins it with
 * neighbours that are alike now.  ENOMEM: there would be too many VMAs.
 */
int twin_modify(struct process *process, uint64_t start, uint64_t end, uint32_t flags,
		struct userfault *context);
void twin_origin_needed(struct process *process, struct page *page);

void twin_entry_clear(struct page *page);
/* The page goes, or the poison, but not guards; of memory of files the protection stays: as long as
 * writes are reported, or if it is all that there is. */
void twin_entry_drop(struct page *page);
void twin_entry_set_block(struct page *page, struct block *block);
struct block *twin_block_new(void);
/* One with the same content; zeros have none. */
struct block *twin_block_copy(const struct block *of);
/* What an entry shows; NULL: zeros, or nothing is there. */
struct block *twin_block_at(const struct page *page);
/* An entry, a pin or the file has left it: it goes if nobody is left. */
void twin_block_left(struct block *block);

/* --- twin_map.c --- */
int twin_mmap(struct thread *thread, struct call *call);
int twin_munmap(struct thread *thread, uint64_t address, uint64_t length);
/* The same of a range that is one, telling whom it concerns. */
int twin_unmap_range(struct thread *thread, uint64_t start, uint64_t end);
/* A mapping's part of flags for PROT_*. */
uint32_t twin_protection(const struct target *target, int prot);
int twin_mprotect(struct thread *thread, uint64_t address, uint64_t length, int prot);
/* A free place for that much of the file from page `index` on, or of no file: aligned if whole leaves
 * would fit it; 0: there is none. */
uint64_t twin_free_place(struct process *process, uint64_t length, const struct file *file,
			 uint64_t index);
bool twin_too_much(const struct process *process, uint64_t length);

/* --- twin_mremap.c --- */
int twin_mremap(struct thread *thread, struct call *call);

/* --- twin_advice.c --- */
int twin_madvise(struct thread *thread, uint64_t address, uint64_t length, int advice);
int twin_lock(struct thread *thread, uint64_t address, uint64_t length, bool on);
/* Goes on with thread->populate; `strict`: ends at what cannot be populated, with an error. */
int twin_populate(struct thread *thread, bool strict);
/* Of one VMA, by someone who can't sleep: as far as it goes. */
void twin_populate_now(struct process *process, uint64_t start, uint64_t end);

/* --- twin_fault.c --- */

/* Whether the page's mapping lets the process load from it. */
bool twin_readable(const struct page *page);

enum answer {
	THERE,
	SLEEPS,
	GUARDED,    /* no access here, as if nothing were mapped */
	POISONED,   /* no access here, as if the memory were broken */
	UNRESOLVED, /* it would have to be reported, and must not be */
};

struct access {
	struct thread *thread; /* NULL: it can't sleep */
	uint64_t address;
	bool write;
	bool kernel;  /* the kernel's on the process's behalf */
	bool unshare; /* a read that holds on to the page */
	bool copies;  /* ... or copies bytes through the process's own addresses */
};

/* Makes the page fit for the access, whose permission has been looked at. */
enum answer twin_fault(struct process *process, struct page *page, const struct access *access);
void twin_access(struct thread *thread, struct call *call);
int twin_transfer(struct thread *thread, struct call *call);

/* --- twin_swap.c --- */
/* Out of memory, if it can go. */
void twin_page_out(const struct target *target, struct page *page);
/* Back into memory: of an entry, of a file. */
void twin_swap_in(struct page *page, bool writes);
/* It is taken out of the swap cache, and is dirty if it was there. */
void twin_block_uncache(struct block *block);
void twin_block_use(struct block *block);
void twin_read_ahead(struct page *page);
int twin_swapoff(struct target *target);

/* --- twin_file.c: as in struct target_ops; and mapped --- */
struct file *twin_file_new(struct target *target, uint64_t size);
void twin_file_free(struct file *file);
int twin_file_truncate(struct file *file, uint64_t size);
int twin_file_punch(struct file *file, uint64_t offset, uint64_t length);
int twin_file_allocate(struct file *file, uint64_t offset, uint64_t length);
int twin_file_write(struct file *file, uint64_t offset, const void *bytes, size_t length,
		    size_t *done);
int twin_file_read(struct file *file, uint64_t offset, void *bytes, size_t length, size_t *done);
int twin_file_resident(struct file *file, uint64_t offset, uint64_t length, uint64_t *pages);
/* Whether page `index` lies before the file's end. */
bool twin_file_has(const struct file *file, uint64_t index);
struct block *twin_file_block(const struct file *file, uint64_t index); /* NULL: a hole */
struct block *twin_file_fill(struct file *file, uint64_t index);
/* Makes a hole of a page that nobody maps. */
void twin_file_drop(struct file *file, uint64_t index);
/* Whether it can be mapped without work, as mincore tells it. */
bool twin_file_shows(const struct file *file, uint64_t index);
/* Whether it is in the page cache, not in swap, and has been used. */
bool twin_file_ready(const struct file *file, uint64_t index);
enum answer twin_file_fault(struct process *process, struct page *page,
			    const struct access *access);
/* Maps the file's block where the page is. */
void twin_file_map(struct page *page);

/* --- twin_device.c --- */
struct file *twin_device_new(struct target *target, enum device_kind kind, unsigned level,
			     uint64_t size);
bool twin_is_device(const struct page *page); /* of any kind */
bool twin_is_dax(const struct page *page);
bool twin_is_pfn(const struct page *page);
/* Bytes of the pages that its mapping has: VMAs begin and end at no others. */
uint64_t twin_file_page(const struct file *file);
uint64_t twin_page_bytes(const struct page *page);
/* A leaf begins at this page, if one has it. */
void twin_leaf_cut(struct process *process, uint64_t number);
/* The page's leaf has so many pages at most. */
void twin_leaf_shrink(struct process *process, struct page *page, uint64_t pages);
/* As twin_entry_drop(), of all of its leaf. */
void twin_leaf_drop(struct process *process, struct page *page);
/* The page moves by so many: so does its leaf, or smaller ones. */
void twin_leaf_fit(struct process *process, struct page *page, uint64_t by);
/* Nothing stands where the page is: a marker of the largest level that is possible before page `end`. */
void twin_marker_set(struct process *process, struct page *page, uint64_t end);
/* Nothing stands there, or a marker, or a leaf of the device. */
enum answer twin_device_fault(struct process *process, struct page *page,
			      const struct access *access);
int twin_device_check_transfer(const struct file *file, uint64_t offset, size_t length, bool write);
/* Pages [start, end) are holes no more. */
void twin_device_fill(struct file *file, uint64_t start, uint64_t end);
void twin_device_discard(struct file *file, uint64_t start, uint64_t end);

/* --- twin_fork.c --- */
int twin_fork(struct thread *thread, struct call *call);

/* --- twin_pin.c --- */
int twin_pin(struct thread *thread, struct call *call);
int twin_migrate(struct process *process, uint64_t address, uint64_t length, uint64_t *pages);
void twin_unpin(struct pin *pin);
/* The process ends: nothing is pinned any more, and what can be released is.  And when it goes. */
void twin_unpin_all(struct process *process);
void twin_pins_free(struct process *process);

/* --- twin_userfault.c --- */
struct userfault *twin_userfaultfd(struct process *process, int flags);
int twin_userfault_request(struct userfault *context, unsigned long request, void *argument);
void twin_userfault_release(struct userfault *context);
/* EINVAL: no range of whole pages. */
int twin_check_range(const struct target *target, uint64_t start, uint64_t length);
/* Write protection of what stands in [start, end) of one VMA. */
void twin_set_protection(struct process *process, uint64_t start, uint64_t end, bool on);
bool twin_marks_unpopulated(const struct page *page);

/* --- twin_fill.c --- */
int twin_fill_copy(struct userfault *context, struct uffdio_copy *copy, struct thread *reader);
int twin_fill_zeros(struct userfault *context, struct uffdio_zeropage *zeros);
int twin_fill_continue(struct userfault *context, struct uffdio_continue *request);
int twin_fill_poison(struct userfault *context, struct uffdio_poison *poison);
int twin_fill_move(struct userfault *context, struct uffdio_move *move);

/* --- twin_message.c --- */
/* `why`: UFFD_PAGEFAULT_FLAG_WP, _MINOR, or 0: nothing is there. */
enum answer twin_report_fault(struct thread *thread, struct page *page, const struct access *access,
			      uint64_t why);
struct event *twin_add_event(struct thread *thread, struct userfault *context, unsigned kind);
/* Tells the events of the thread's call, one after the other. */
int twin_tell(struct thread *thread);
int twin_read_message(struct userfault *context, struct target_message *message);
bool twin_has_message(struct userfault *context);
/* Wakes those that wait for a fault at [start, start + length); length 0: for any. */
void twin_wake(struct userfault *context, uint64_t start, uint64_t length);
/* The context is closed: its events need no reader any more. */
void twin_drop_events(struct userfault *context);
/* Of a thread that ends. */
void twin_forget_events(struct thread *thread);

/* --- twin_target.c --- */
struct process *twin_process(struct target *target);
struct userfault *twin_userfault_new(struct process *process);
void *twin_allocate(size_t size);

/* --- twin_report.c, twin_scan.c: as in struct target_ops --- */
int twin_report_pagemap(struct process *process, uint64_t address, uint64_t pages, uint64_t *bits);
int twin_report_mincore(struct process *process, uint64_t address, uint64_t length,
			unsigned char *pages);
int twin_report_smaps(struct process *process, uint64_t address, struct target_smaps *smaps);
int twin_report_maps(struct process *process, struct target_vma **vmas, size_t *count);
int twin_report_rss(struct process *process, struct target_rss *rss);
int twin_scan(struct process *process, struct pm_scan_arg *argument, size_t *regions);

/* --- twin_target.c: for cli/target_twin.c --- */
struct target *twin_open(const struct limits *limits);
void twin_close(struct target *target);
struct thread *twin_thread(struct process *process);
void twin_exit(struct process *process);
void twin_call(struct thread *thread, struct call *call);
/* Goes on with the calls of all threads that have been woken, until each has finished or sleeps. */
void twin_run_woken(struct target *target);

#endif
