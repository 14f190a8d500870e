/* SPDX-License-Identifier: MIT */
/*
 * What a pair is made of.  An operation is one call of the library, or what one thread of a guest or of a monitor
 * does by a few; most are about page TARGET of the region.
 */
#ifndef EXPLORER_OPERATIONS_H
#define EXPLORER_OPERATIONS_H

#include "schedule.h"
#include "world.h"

enum {
	/* what it works on */
	IN_PARENT = 1 << 0,   /* a call of the parent's process, or on its space */
	IN_CHILD = 1 << 1,    /* ... of the other process */
	ON_CONTEXT = 1 << 2,  /* the context, which must stay open meanwhile */
	ENDS_PARENT = 1 << 3, /* its space must have nobody in it */
	ENDS_CHILD = 1 << 4,
	CLOSES = 1 << 5, /* the context */
	ON_SOURCE = 1 << 6,

	/* where it says something */
	WITH_CHILD = 1 << 8,
	WITH_OBJECT = 1 << 9,
	WITH_ANONYMOUS = 1 << 10,
	WITH_REGISTERED = 1 << 11,
	WITH_PIN = 1 << 12,
	WITH_SHMEM = 1 << 13,

	/* what exceptions ask for (judge.c) */
	RECLAIMS = 1 << 16, /* pages leave memory or come back, as far as it is easy */
	LOOKS = 1 << 18,    /* changes nothing, tells what it meets */
	ACCESSES = 1 << 19, /* like a CPU: faults */
	FILLS = 1 << 20,    /* puts a page where there is none */
	UNMAPS = 1 << 21,   /* what was mapped is not, or elsewhere */
	EMPTIES = 1 << 22,  /* takes pages out of the object */
	LOCKS = 1 << 23,    /* mlock */
	FORKS = 1 << 24,
	PROTECTS = 1 << 26, /* mprotect */
	REMOVES = 1 << 25,  /* madvise that takes pages away, and tells */
};

struct operation {
	const char *name;
	unsigned flags;
	void (*run)(struct actor *actor);
	/* The same by smaller calls, with schedule_step() where Linux lets others come in between; NULL: it
	 * lets nobody. */
	void (*steps)(struct actor *actor);
};

extern const struct operation memory_operations[];
extern const unsigned memory_operation_count;
extern const struct operation machine_operations[];
extern const unsigned machine_operation_count;
extern const struct operation userfault_operations[];
extern const unsigned userfault_operation_count;

/* All of the tables. */
unsigned operation_count(void);
const struct operation *operation_at(unsigned number);

/* Whether the two can run side by side. */
bool operations_can_meet(const struct operation *a, const struct operation *b);
/* Whether this registration makes a difference to them. */
bool registration_matters(const struct registration *registration, const struct operation *a,
			  const struct operation *b);
bool operation_fits(const struct operation *operation, const struct memory *memory,
		    const struct registration *registration);

/* Where the actor's page is. */
static inline uint64_t target(const struct actor *actor)
{
	return actor->world->page[TARGET];
}
static inline struct quire_space *parent(const struct actor *actor)
{
	return actor->world->space[0];
}
static inline struct quire_space *child(const struct actor *actor)
{
	return actor->world->space[1];
}
#define REGION(a) BASE, (a)->world->length
#define ONE(a)	  target(a), PAGE

/* Brings the page in as an access of the actor's CPU does, by steps; whether it can be accessed. */
bool brought_in(struct actor *actor, uint64_t address, enum quire_access access);

/* What this actor writes. */
static inline uint64_t mark(const struct actor *actor)
{
	return VALUE_STORED + 0x100 * actor->number;
}

/* A message as a number, for comparison. */
uint64_t pack_message(const struct quire_uffd_msg *message);
/* Answers a page fault as a handler does: with a page, or by ending the protection. */
int answer_fault(struct quire_userfault *context, const struct quire_uffd_msg *message);
/* Keeps a context that came with a message, for the end. */
void keep_child(struct world *world, struct quire_userfault *child);

#endif
