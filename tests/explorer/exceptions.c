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

/* Neighbours of a page of an object are mapped along, as far as nobody works on them. */
static bool maps_neighbours(const struct world *world, unsigned a, unsigned b)
{
	(void)b;
	return (a & ACCESSES) && world->memory->kind != ANONYMOUS;
}

const struct exception exceptions[] = {
	{"residency",
	 "how much leaves memory is up to the kernel, which passes over what is in use", reclaims,
	 0, KIND(RESIDENCY)},
	{"fault-around",
	 "pages of a file that are in memory are mapped along with a neighbour, or not",
	 maps_neighbours, 0, KIND(RESIDENCY)},
};
const unsigned exception_count = sizeof(exceptions) / sizeof(exceptions[0]);
