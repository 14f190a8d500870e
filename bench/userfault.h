/* SPDX-License-Identifier: MIT */
/*
 * Benchmarks of userfaultfd and PAGEMAP_SCAN, of shared memory, and of swap.  Both sides take the same
 * requests and structures, so that a side is a few primitives, and what is measured is written once
 * (userfault.c, shared.c, swap.c).
 */
#ifndef QUIRE_BENCH_USERFAULT_H
#define QUIRE_BENCH_USERFAULT_H

#include <stdbool.h>

#include <quire/quire.h>
#include <quire/scan.h>
#include <quire/userfault.h>

#include "bench.h"

enum bench_memory {
	BENCH_PRIVATE, /* anonymous */
	BENCH_SHARED,  /* a shared mapping of shared memory */
};

/* Where swapped pages go; the kernel has zram for both. */
enum bench_store {
	BENCH_COMPRESSED,
	BENCH_FILE,
};

#define BENCH_UNREGISTERED UINT64_MAX

struct bench_userfault {
	/*
	 * Maps memory and registers it with a context of these features for write protection, unless
	 * they are BENCH_UNREGISTERED; its address.
	 */
	uint64_t (*begin)(uint64_t bytes, uint64_t features, enum bench_memory memory);
	/* Unmaps it, and closes the context. */
	void (*end)(void);
	/* A thread's way in and out, before and after it writes; `cpu`: 0 or 1. */
	void (*enter)(unsigned cpu);
	void (*leave)(unsigned cpu);
	/* Writes a byte to `pages` pages, which are `stride` bytes apart. */
	void (*write)(unsigned cpu, uint64_t address, uint64_t pages, uint64_t stride);
	/* Reads one of each of `pages` pages. */
	void (*read_pages)(unsigned cpu, uint64_t address, uint64_t pages);
	/* Writes BENCH_PAGE bytes. */
	void (*fill)(unsigned cpu, uint64_t address, const void *content);
	void (*advise)(uint64_t address, uint64_t bytes, int advice); /* madvise() */
	/* Takes the pages out of the shared memory that is mapped. */
	void (*punch)(uint64_t offset, uint64_t bytes);
	/* fork(): the seconds that the call took in the parent. */
	double (*fork)(void);
	/* From here to swap_off() there is swap, of so many bytes; whether there is. */
	bool (*swap_on)(enum bench_store store, uint64_t bytes);
	void (*swap_off)(void);
	void (*request)(uint32_t request, void *argument);
	/* The next message, if there is one. */
	bool (*read)(struct quire_uffd_msg *message);
	/* The number of regions found. */
	int64_t (*scan)(struct quire_scan *scan);
	/* Bytes of page tables in use. */
	uint64_t (*tables)(void);
};

extern const struct bench_userfault bench_library_userfault;
extern const struct bench_userfault bench_kernel_userfault;

#define BENCH_VAST	   (1ull << 40) /* bytes of the largest mapping, which stays empty */
#define BENCH_ROUND_TRIPS  20000u
#define BENCH_DIRTY_PAGES  100u
#define BENCH_SCAN_REGIONS 1000u

/*
 * One WRITEPROTECT of a range, set or clear; *tables: bytes of page tables that protecting it took.
 */
double bench_writeprotect(const struct bench_userfault *side, uint64_t bytes,
			  enum bench_memory memory, bool populated, bool set, uint64_t *tables);
/* BENCH_ROUND_TRIPS writes to protected pages, each waiting for another thread to let it go. */
double bench_write_fault(const struct bench_userfault *side);
/* Writes to BENCH_TOUCH of protected pages, with WP_ASYNC. */
double bench_write_async(const struct bench_userfault *side);
/* One scan that reports what was written and protects it again; `dirty` pages of the range were. */
double bench_scan(const struct bench_userfault *side, uint64_t bytes, uint64_t dirty);

/* Writes to BENCH_TOUCH of shared memory that has no pages yet. */
double bench_shared_new(const struct bench_userfault *side);
/*
 * Reads or writes BENCH_TOUCH of shared memory whose pages are all there and none is mapped.
 * `registered`: for write protection, which keeps a read from mapping more than its page.
 */
double bench_shared_cached(const struct bench_userfault *side, bool write, bool registered);
/* BENCH_LARGE of populated shared memory: its pages are taken out; a process that maps it forks. */
double bench_shared_punch(const struct bench_userfault *side);
double bench_shared_fork(const struct bench_userfault *side);

/* MADV_PAGEOUT of BENCH_TOUCH of private memory; reading it again.  Negative: there is no swap. */
double bench_swap_out(const struct bench_userfault *side, enum bench_store store);
double bench_swap_in(const struct bench_userfault *side, enum bench_store store);

#endif
