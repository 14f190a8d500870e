/* SPDX-License-Identifier: MIT */
/*
 * Benchmarks of userfaultfd and PAGEMAP_SCAN.  Both sides take the same requests and structures, so
 * that a side is a few primitives, and what is measured is written once (userfault.c).
 */
#ifndef QUIRE_BENCH_USERFAULT_H
#define QUIRE_BENCH_USERFAULT_H

#include <stdbool.h>

#include <quire/quire.h>
#include <quire/scan.h>
#include <quire/userfault.h>

#include "bench.h"

struct bench_userfault {
	/*
	 * Maps memory and registers it with a context of these features for write protection; its
	 * address.
	 */
	uint64_t (*begin)(uint64_t bytes, uint64_t features);
	/* Unmaps it, and closes the context. */
	void (*end)(void);
	/* A thread's way in and out, before and after it writes; `cpu`: 0 or 1. */
	void (*enter)(unsigned cpu);
	void (*leave)(unsigned cpu);
	/* Writes a byte to `pages` pages, which are `stride` bytes apart. */
	void (*write)(unsigned cpu, uint64_t address, uint64_t pages, uint64_t stride);
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
double bench_writeprotect(const struct bench_userfault *side, uint64_t bytes, bool populated,
			  bool set, uint64_t *tables);
/* BENCH_ROUND_TRIPS writes to protected pages, each waiting for another thread to let it go. */
double bench_write_fault(const struct bench_userfault *side);
/* Writes to BENCH_TOUCH of protected pages, with WP_ASYNC. */
double bench_write_async(const struct bench_userfault *side);
/* One scan that reports what was written and protects it again; `dirty` pages of the range were. */
double bench_scan(const struct bench_userfault *side, uint64_t bytes, uint64_t dirty);

#endif
