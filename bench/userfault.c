/* SPDX-License-Identifier: MIT */
/* What is measured of userfaultfd and PAGEMAP_SCAN, on either side. */
#include "userfault.h"

#include <sched.h>

#define SYNC                                                                                       \
	(QUIRE_UFFD_FEATURE_PAGEFAULT_FLAG_WP | QUIRE_UFFD_FEATURE_WP_UNPOPULATED |                \
	 QUIRE_UFFD_FEATURE_WP_HUGETLBFS_SHMEM)
#define ASYNC (SYNC | QUIRE_UFFD_FEATURE_WP_ASYNC)

static void writeprotect(const struct bench_userfault *side, uint64_t start, uint64_t bytes,
			 bool set)
{
	struct quire_uffdio_writeprotect request = {
		.range = {start, bytes},
		.mode = set ? QUIRE_UFFDIO_WRITEPROTECT_MODE_WP : 0,
	};

	side->request(QUIRE_UFFDIO_WRITEPROTECT, &request);
}

static void populate(const struct bench_userfault *side, uint64_t base, uint64_t bytes)
{
	side->write(0, base, bytes / BENCH_PAGE, BENCH_PAGE);
}

double bench_writeprotect(const struct bench_userfault *side, uint64_t bytes,
			  enum bench_memory memory, bool populated, bool set, uint64_t *tables)
{
	uint64_t base = side->begin(bytes, SYNC, memory), before;
	double start, seconds;

	side->enter(0);
	if (populated)
		populate(side, base, bytes);
	before = side->tables();
	start = bench_now();
	writeprotect(side, base, bytes, true);
	seconds = bench_now() - start;
	*tables = side->tables() - before;
	if (!set) {
		start = bench_now();
		writeprotect(side, base, bytes, false);
		seconds = bench_now() - start;
	}
	side->leave(0);
	side->end();
	return seconds;
}

/* --- a fault that another thread resolves --- */

static const struct bench_userfault *trip_side;
static uint64_t trip_base;

static void serve_faults(void)
{
	struct quire_uffd_msg message;

	for (unsigned served = 0; served < BENCH_ROUND_TRIPS; served++) {
		while (!trip_side->read(&message))
			sched_yield();
		writeprotect(trip_side, message.arg.pagefault.address, BENCH_PAGE, false);
	}
}

/* Thread 0 writes, thread 1 is the handler. */
static void write_or_serve(unsigned thread)
{
	if (thread == 1) {
		serve_faults();
		return;
	}
	trip_side->enter(0);
	trip_side->write(0, trip_base, BENCH_ROUND_TRIPS, BENCH_PAGE);
	trip_side->leave(0);
}

double bench_write_fault(const struct bench_userfault *side)
{
	const uint64_t bytes = BENCH_ROUND_TRIPS * BENCH_PAGE;
	double seconds;

	trip_side = side;
	trip_base = side->begin(bytes, SYNC, BENCH_PRIVATE);
	side->enter(0);
	populate(side, trip_base, bytes);
	side->leave(0);
	writeprotect(side, trip_base, bytes, true);
	seconds = bench_threads(2, write_or_serve);
	side->end();
	return seconds;
}

/* --- WP_ASYNC --- */

double bench_write_async(const struct bench_userfault *side)
{
	uint64_t base = side->begin(BENCH_TOUCH, ASYNC, BENCH_PRIVATE);
	double start, seconds;

	side->enter(0);
	populate(side, base, BENCH_TOUCH);
	writeprotect(side, base, BENCH_TOUCH, true);
	start = bench_now();
	populate(side, base, BENCH_TOUCH);
	seconds = bench_now() - start;
	side->leave(0);
	side->end();
	return seconds;
}

double bench_scan(const struct bench_userfault *side, uint64_t bytes, uint64_t dirty)
{
	static struct quire_scan_region regions[BENCH_SCAN_REGIONS];
	uint64_t base = side->begin(bytes, ASYNC, BENCH_PRIVATE), pages = bytes / BENCH_PAGE;
	struct quire_scan scan = {
		.size = sizeof(scan),
		.flags = QUIRE_SCAN_WP_MATCHING | QUIRE_SCAN_CHECK_WPASYNC,
		.start = base,
		.end = base + bytes,
		.vec = (uintptr_t)regions,
		.vec_len = BENCH_SCAN_REGIONS,
		.category_mask = QUIRE_PAGE_IS_WRITTEN,
		.return_mask = QUIRE_PAGE_IS_WRITTEN,
	};
	double start, seconds;
	int64_t found;

	side->enter(0);
	if (bytes < BENCH_VAST)
		populate(side, base, bytes);
	writeprotect(side, base, bytes, true);
	if (dirty)
		side->write(0, base, dirty, pages / dirty * BENCH_PAGE);
	start = bench_now();
	found = side->scan(&scan);
	seconds = bench_now() - start;
	bench_require(found == (int64_t)(dirty == pages ? 1 : dirty), "what a scan found");
	side->leave(0);
	side->end();
	return seconds;
}
