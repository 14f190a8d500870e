/* SPDX-License-Identifier: MIT */
/* What a pair may show that neither of its serial orders shows, and why. */
#include "judge.h"

#define KIND(name) (1u << ITEM_##name)

static bool reclaims(const struct world *world, unsigned a, unsigned b)
{
	(void)world;
	(void)b;
	return a & RECLAIMS;
}

const struct exception exceptions[] = {
	{"residency",
	 "how much leaves memory is up to the kernel, which passes over what is in use", reclaims,
	 0, KIND(RESIDENCY)},
};
const unsigned exception_count = sizeof(exceptions) / sizeof(exceptions[0]);
