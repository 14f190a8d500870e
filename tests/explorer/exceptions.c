/* SPDX-License-Identifier: MIT */
/* What a pair may show that none of its serial orders shows, and why. */
#include "judge.h"

#include <string.h>

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
APPLIES(reports_swapped, world->memory->report_swapped && (a->flags & (ACCESSES | FILLS | LOCKS)))
APPLIES(gives_up, (a->flags & RECLAIMS) && (world->memory->given_up || strstr(b->name, "free")))
APPLIES(reclaims_minor,
	(a->flags & RECLAIMS) && (world->registration->mode & QUIRE_UFFDIO_REGISTER_MODE_MINOR))
APPLIES(populates_locked, (a->flags & PROTECTS) && world->memory->locked)
APPLIES(reclaims_by_pages, (a->flags & RECLAIMS) && (b->flags & (ON_CONTEXT | CLOSES)))
APPLIES(reclaims_twice, (a->flags & RECLAIMS) && (b->flags & RECLAIMS))
APPLIES(locks, a->flags &LOCKS)
APPLIES(fills_cache, (a->flags & (ACCESSES | FILLS | LOCKS)) && world->memory->hollow &&
			     (world->registration->mode & QUIRE_UFFDIO_REGISTER_MODE_MINOR))
APPLIES(forks, (a->flags & FORKS) && (b->flags & (ACCESSES | FILLS | LOCKS)))
APPLIES(looks_at_change, (a->flags & LOOKS) && (b->flags & (RECLAIMS | EMPTIES | FORKS)))
APPLIES(empties, a->flags &EMPTIES)
APPLIES(stops_listening, (a->flags & EMPTIES) && world->memory->strict_written &&
				 !strcmp(b->name, "register-missing"))

const struct exception exceptions[] = {
	{"residency",
	 "how much leaves memory is up to the kernel, which passes over what is in use", reclaims,
	 0, KIND(RESIDENCY), 0},
	{"lazily-freed", "what MADV_FREE has given up goes when it is met and idle, or stays",
	 gives_up, 0,
	 KIND(RESIDENCY) | KIND(PROTECTION) | KIND(SLEEP) | KIND(MESSAGE) | KIND(LOAD) |
		 KIND(STORE) | KIND(AFTER) | KIND(VALUE) | KIND(RESULT),
	 0},
	{"minor-by-reclaim",
	 "what is not mapped is a minor fault, and what is mapped is up to the kernel",
	 reclaims_minor, 0,
	 KIND(RESIDENCY) | KIND(SLEEP) | KIND(MESSAGE) | KIND(LOAD) | KIND(STORE) | KIND(AFTER) |
		 KIND(VALUE) | KIND(RESULT),
	 0},
	{"locked-populates", "mprotect of locked memory faults it in, in steps", populates_locked,
	 0, KIND(RESIDENCY) | KIND(PROTECTION), 0},
	{"fault-around",
	 "pages of a file that are in memory are mapped along with a neighbour, or not",
	 maps_neighbours, 0, KIND(RESIDENCY), 0},
	{"swap-in", "a page comes in, and something happens to it before it is mapped", comes_in,
	 KIND(RESIDENCY), 0, 0},
	{"unmapped-untold",
	 "a request may meet what is unmapped already, before the context refuses requests",
	 unmaps_untold, 0, 0, -QUIRE_ENOENT},
	{"two-swapoffs", "two that end swap together both say that it has ended", reclaims_twice,
	 KIND(RESULT), KIND(RESIDENCY), 0},
	{"reclaim-by-pages", "reclaim and a request go through the pages side by side",
	 reclaims_by_pages, KIND(PROTECTION) | KIND(STORE), KIND(RESIDENCY), 0},
	{"minor-at-once", "a hole is filled in the cache, which is a minor fault to another thread",
	 fills_cache, KIND(LOAD) | KIND(STORE) | KIND(AFTER),
	 KIND(RESULT) | KIND(VALUE) | KIND(RESIDENCY) | KIND(SLEEP) | KIND(MESSAGE), 0},
	{"coming-in", "a page that is read from swap is neither there nor mapped for a while",
	 reports_swapped, 0, KIND(RESULT) | KIND(VALUE) | KIND(RESIDENCY), 0},
	{"mlock", "memory is marked as locked first, and then faulted in; holes are passed over",
	 locks, KIND(VMA) | KIND(SLEEP) | KIND(MESSAGE), KIND(RESULT) | KIND(RESIDENCY), 0},
	{"looks-between", "who maps a page, and where it is, changes entry by entry",
	 looks_at_change, 0, KIND(VALUE), 0},
	{"fork-copies", "a page that somebody works on is copied by fork at once, not shared",
	 forks, 0, KIND(RESIDENCY), 0},
	{"emptied-twice", "what faults bring back while a file shrinks is unmapped once more",
	 empties, 0, KIND(RESIDENCY), 0},
	{"stops-listening",
	 "strict_written tells after the change: who no longer listens keeps marks that bind "
	 "nobody",
	 stops_listening, 0, KIND(PROTECTION) | KIND(RESIDENCY), 0},
};
const unsigned exception_count = sizeof(exceptions) / sizeof(exceptions[0]);
