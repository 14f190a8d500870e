/* SPDX-License-Identifier: MIT */
/* What is measured of shared memory, on either side. */
#include "userfault.h"

#define PROTECTABLE (QUIRE_UFFD_FEATURE_PAGEFAULT_FLAG_WP | QUIRE_UFFD_FEATURE_WP_HUGETLBFS_SHMEM)

double bench_shared_new(const struct bench_userfault *side)
{
	uint64_t base = side->begin(BENCH_TOUCH, BENCH_UNREGISTERED, BENCH_SHARED);
	double start, seconds;

	side->enter(0);
	start = bench_now();
	side->write(0, base, BENCH_TOUCH / BENCH_PAGE, BENCH_PAGE);
	seconds = bench_now() - start;
	side->leave(0);
	side->end();
	return seconds;
}

double bench_shared_cached(const struct bench_userfault *side, bool write, bool registered)
{
	uint64_t base = side->begin(BENCH_TOUCH, registered ? PROTECTABLE : BENCH_UNREGISTERED,
				    BENCH_SHARED);
	uint64_t pages = BENCH_TOUCH / BENCH_PAGE;
	double start, seconds;

	side->enter(0);
	side->write(0, base, pages, BENCH_PAGE);
	side->advise(base, BENCH_TOUCH, QUIRE_MADV_DONTNEED);
	start = bench_now();
	if (write)
		side->write(0, base, pages, BENCH_PAGE);
	else
		side->read_pages(0, base, pages);
	seconds = bench_now() - start;
	side->leave(0);
	side->end();
	return seconds;
}

static uint64_t begin_large(const struct bench_userfault *side)
{
	uint64_t base = side->begin(BENCH_LARGE, BENCH_UNREGISTERED, BENCH_SHARED);

	side->enter(0);
	side->write(0, base, BENCH_LARGE / BENCH_PAGE, BENCH_PAGE);
	return base;
}

double bench_shared_punch(const struct bench_userfault *side)
{
	double start, seconds;

	begin_large(side);
	start = bench_now();
	side->punch(0, BENCH_LARGE);
	seconds = bench_now() - start;
	side->leave(0);
	side->end();
	return seconds;
}

double bench_shared_fork(const struct bench_userfault *side)
{
	double seconds;

	begin_large(side);
	seconds = side->fork();
	side->leave(0);
	side->end();
	return seconds;
}
