/* SPDX-License-Identifier: MIT */
/* What is measured of swap, on either side. */
#include <string.h>

#include "userfault.h"

/* Half of each page does not compress, and no two pages are alike. */
static void fill(const struct bench_userfault *side, uint64_t base)
{
	static uint64_t content[BENCH_PAGE / 8];
	uint64_t chance = 1;

	for (uint64_t at = 0; at < BENCH_TOUCH; at += BENCH_PAGE) {
		memset(content, 'q', sizeof(content));
		for (unsigned i = 0; i < BENCH_PAGE / 16; i++) {
			chance ^= chance << 13, chance ^= chance >> 7, chance ^= chance << 17;
			content[i] = chance;
		}
		side->fill(0, base + at, content);
	}
}

/* The seconds of either way; false: there is no swap. */
static bool there_and_back(const struct bench_userfault *side, enum bench_store store, double *out,
			   double *in)
{
	uint64_t base;
	double start;

	if (!side->swap_on(store, 2 * BENCH_TOUCH))
		return false;
	base = side->begin(BENCH_TOUCH, BENCH_UNREGISTERED, BENCH_PRIVATE);
	side->enter(0);
	fill(side, base);
	start = bench_now();
	side->advise(base, BENCH_TOUCH, QUIRE_MADV_PAGEOUT);
	*out = bench_now() - start;
	start = bench_now();
	side->read_pages(0, base, BENCH_TOUCH / BENCH_PAGE);
	*in = bench_now() - start;
	side->leave(0);
	side->end();
	side->swap_off();
	return true;
}

double bench_swap_out(const struct bench_userfault *side, enum bench_store store)
{
	double out, in;

	return there_and_back(side, store, &out, &in) ? out : -1;
}

double bench_swap_in(const struct bench_userfault *side, enum bench_store store)
{
	double out, in;

	return there_and_back(side, store, &out, &in) ? in : -1;
}
