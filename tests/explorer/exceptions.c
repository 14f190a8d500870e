/* SPDX-License-Identifier: MIT */
/* What a pair may show that none of its serial orders shows, and why. */
#include "judge.h"

#include <quire/errno.h>

#define KIND(name) (1u << ITEM_##name)

#define APPLIES(function, condition)                                                               \
	static bool function(const struct world *world, const struct operation *a,                 \
			     const struct operation *b)                                            \
	{                                                                                          \
		(void)world;                                                                       \
		(void)b;                                                                           \
		return condition;                                                                  \
	}

#define TELLS                                                                                      \
	(QUIRE_UFFD_FEATURE_EVENT_FORK | QUIRE_UFFD_FEATURE_EVENT_REMAP |                          \
	 QUIRE_UFFD_FEATURE_EVENT_REMOVE | QUIRE_UFFD_FEATURE_EVENT_UNMAP)

APPLIES(reclaims, a->flags &RECLAIMS)
APPLIES(maps_neighbours, (a->flags & ACCESSES) && world->memory->kind != ANONYMOUS)
APPLIES(comes_in, a->flags &(ACCESSES | LOCKS))
APPLIES(unmaps_untold,
	(a->flags & UNMAPS) && (b->flags & ON_CONTEXT) && (world->registration->features & TELLS))
APPLIES(fills_object, (a->flags & FILLS) && world->memory->kind != ANONYMOUS)
APPLIES(reports_swapped,
	(a->flags & LOOKS) && (b->flags & ACCESSES) && world->memory->report_swapped)
APPLIES(locks, a->flags &LOCKS)
APPLIES(fills_cache, (a->flags & (ACCESSES | FILLS | LOCKS)) && (b->flags & ACCESSES) &&
			     world->memory->hollow &&
			     (world->registration->mode & QUIRE_UFFDIO_REGISTER_MODE_MINOR))
APPLIES(makes_hole, (a->flags & EMPTIES) && (b->flags & (ACCESSES | FILLS | LOCKS)))
APPLIES(forks, (a->flags & FORKS) && (b->flags & (ACCESSES | FILLS | LOCKS)))
APPLIES(looks_at_change, (a->flags & LOOKS) && (b->flags & (RECLAIMS | EMPTIES | FORKS)))
APPLIES(empties, a->flags &EMPTIES)

const struct exception exceptions[] = {
	{"residency",
	 "how much leaves memory is up to the kernel, which passes over what is in use", reclaims,
	 0, KIND(RESIDENCY), 0},
	{"fault-around",
	 "pages of a file that are in memory are mapped along with a neighbour, or not",
	 maps_neighbours, 0, KIND(RESIDENCY), 0},
	{"swap-in", "a page comes in, and something happens to it before it is mapped", comes_in,
	 KIND(RESIDENCY), 0, 0},
	{"unmapped-untold",
	 "a request may meet what is unmapped already, before the context refuses requests",
	 unmaps_untold, 0, 0, -QUIRE_ENOENT},
	{"filled-cache",
	 "a page is in the cache before it is mapped, and a fault may map it in between",
	 fills_object,
	 KIND(VALUE) | KIND(RESIDENCY) | KIND(PROTECTION) | KIND(LOAD) | KIND(STORE) | KIND(AFTER) |
		 KIND(FILE),
	 KIND(SLEEP) | KIND(MESSAGE), -QUIRE_EEXIST},
	{"minor-at-once", "a hole is filled in the cache, which is a minor fault to another thread",
	 fills_cache, KIND(RESULT) | KIND(VALUE) | KIND(RESIDENCY), KIND(SLEEP) | KIND(MESSAGE), 0},
	{"hole-half-made",
	 "a hole is made by unmapping first: what is registered for minor faults reports some",
	 makes_hole, KIND(VALUE) | KIND(PROTECTION) | KIND(AFTER) | KIND(FILE),
	 KIND(RESULT) | KIND(RESIDENCY) | KIND(SLEEP) | KIND(MESSAGE) | KIND(LOAD) | KIND(STORE),
	 0},
	{"coming-in", "a page that is read from swap is neither there nor mapped for a while",
	 reports_swapped, 0, KIND(RESULT) | KIND(VALUE), 0},
	{"mlock", "memory is marked as locked first, and then faulted in; holes are passed over",
	 locks, KIND(VMA) | KIND(RESIDENCY) | KIND(SLEEP) | KIND(MESSAGE), KIND(RESULT), 0},
	{"looks-between", "who maps a page, and where it is, changes entry by entry",
	 looks_at_change, 0, KIND(VALUE), 0},
	{"fork-copies", "a page that somebody works on is copied by fork at once, not shared",
	 forks, 0, KIND(RESIDENCY), 0},
	{"emptied-twice", "what faults bring back while a file shrinks is unmapped once more",
	 empties, 0, KIND(RESIDENCY), 0},
};
const unsigned exception_count = sizeof(exceptions) / sizeof(exceptions[0]);
