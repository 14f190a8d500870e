/* SPDX-License-Identifier: MIT */
/*
 * The benchmark: the same work on the library and on the running kernel, in turn.
 *
 * A side knows how to do each piece of work and times the part that counts, in seconds.  Both sides
 * use 4K pages of private anonymous memory.
 */
#ifndef QUIRE_BENCH_H
#define QUIRE_BENCH_H

#include <stdint.h>
#include <time.h>

#define BENCH_PAGE  4096ull
#define BENCH_TOUCH (64ull << 20) /* bytes that each thread of a fault benchmark touches */
#define BENCH_LARGE (1ull << 30)  /* bytes of the large mappings */
#define BENCH_LOADS (4ull << 20)  /* loads of a load benchmark */
#define BENCH_CALLS 2000u	  /* calls of a benchmark of one small call */

struct bench_userfault;

struct bench_side {
	/* Writes a byte to each page of fresh memory, BENCH_TOUCH for each thread, all at once. */
	double (*touch)(unsigned threads);
	/* The same to pages that a fork has just shared with a child that lives. */
	double (*copy)(unsigned threads);
	/* Takes write permission from a populated range and gives it back, `calls` times. */
	double (*protect)(uint64_t bytes, unsigned calls);
	/* fork() of a process with BENCH_LARGE populated, the call in the parent alone. */
	double (*fork)(void);
	/* munmap() of BENCH_LARGE populated. */
	double (*unmap)(void);
	/* BENCH_LOADS loads of 8 bytes, each from the address after the last (hit), or from a page
	 * that the TLB has forgotten (miss). */
	double (*load_hit)(void);
	double (*load_miss)(void);

	const struct bench_userfault *userfault; /* userfault.h */
	uint64_t
		tables; /* bytes of page tables that the last measurement took, where that counts */
};

extern struct bench_side bench_library;
extern struct bench_side bench_kernel;

/* Makes and ends the library's machine: two CPUs and memory for everything above. */
void bench_library_open(void);
void bench_library_close(void);
struct soft_machine;
struct soft_machine *bench_library_machine(void);

static inline double bench_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* The n-th page of a walk over `pages` (a power of two) in an order that no cache or prefetcher
 * foresees. */
static inline uint64_t bench_scatter(uint64_t n, uint64_t pages)
{
	return n * 2654435761u % pages;
}

/* Runs `body` on `threads` threads that start together (0, 1 ...); seconds until the last has
 * finished. */
double bench_threads(unsigned threads, void (*body)(unsigned thread));

/* Ends the program with a message when `held` is false. */
void bench_require(int held, const char *what);

#endif
