/* SPDX-License-Identifier: MIT */
/*
 * What the files of the invariant checker share: see check.c.
 */
#ifndef QUIRE_REPORT_CHECK_H
#define QUIRE_REPORT_CHECK_H

#include "object/object.h"
#include "space/space.h"

struct check {
	const struct quire_text *text;
	struct quire_space *space; /* looked at now, or NULL */
	unsigned violations;
	uint64_t resident[RESIDENT_KINDS]; /* pages that leaves of this space map */
	uint64_t anonymous;		   /* distinct anonymous frames in the machine */

	uint64_t kin, mapping;		     /* VMAs that have a family; that map an object */
	uint64_t listed_kin, listed_mapping; /* the same, as the lists have it */
	/* Sums over all that names a swap slot, and over what the slots count: see check_memory.c. */
	uint64_t slots_named, slots_counted;
	uint64_t cached, nodes; /* pages of objects, nodes of their trees */
	uint64_t slots;		/* in use */
};

void check_violation(void *context, const char *what, uint64_t address);

static inline void expect(struct check *check, bool condition, const char *what, uint64_t address)
{
	if (!condition)
		check_violation(check, what, address);
}

/* --- check_memory.c --- */

/* A swap entry, or an object's cache, names the slot. */
void check_name_slot(struct check *check, uint64_t slot);
/* One VMA's place in the lists by which pages are found. */
void check_lists(struct check *check, struct quire_space *space, const struct vma *vma);
/* Objects, their caches and lists; swap slots.  Every space has been looked at. */
void check_memory(struct check *check, struct quire_machine *machine);

#endif
