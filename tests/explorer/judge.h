/* SPDX-License-Identifier: MIT */
/*
 * What can be seen of a run, and whether a pair may show it.
 *
 * A run's *outcome* is a list of items: what each operation returned, each report received, and then of
 * every process its VMAs, what pagemap says, what a load finds and a store meets, and what is found after
 * all the stores; and the file.  A pair may show what one of its serial orders shows, as a whole: a
 * then b, b then a, or, where Linux does an operation in steps, those in any order; or, by a named
 * exception, may mix them in items of some kinds, or show anything there.
 */
#ifndef EXPLORER_JUDGE_H
#define EXPLORER_JUDGE_H

#include "operations.h"
#include "schedule.h"

enum item_kind {
	ITEM_RESULT,	 /* what an operation returned */
	ITEM_VALUE,	 /* and what else it gave */
	ITEM_SLEEP,	 /* whether it was asleep in the end, and over what */
	ITEM_MESSAGE,	 /* received by the judge */
	ITEM_VMA,	 /* of a process */
	ITEM_PROTECTION, /* pagemap: write-protected, guard */
	ITEM_RESIDENCY,	 /* pagemap: present, swapped, file, exclusive */
	ITEM_LOAD,	 /* a word, or the signal or report */
	ITEM_STORE,	 /* nothing, or the signal or report */
	ITEM_AFTER,	 /* a load after all stores */
	ITEM_FILE,	 /* the object's size, and words */
	ITEM_KINDS
};

struct item {
	uint8_t kind, who, place; /* who: actor or process */
	uint64_t value;
};

#define ITEMS_MAX      320
#define EXCEPTIONS_MAX 32

struct outcome {
	struct item item[ITEMS_MAX];
	unsigned count;
	bool checked;	 /* by the checker */
	char fault[400]; /* an invariant that does not hold, something left over; or empty */
};

#define ORDERS_MAX 64

/* What a pair shows in its serial orders: of whole operations, or of their steps. */
struct orders {
	struct outcome outcome[ORDERS_MAX];
	unsigned count;
};
/* Adds one, if it is not there yet. */
void orders_add(struct orders *orders, const struct outcome *outcome);

/* Receives and answers what is outstanding, so that both actors end, and looks at everything. */
void judge_look(struct world *world, struct schedule *schedule, struct outcome *outcome);
/* Ends the world, and sees that everything is given back. */
void judge_close(struct world *world, struct outcome *outcome);

/* An allowance for pairs that Linux orders more loosely. */
struct exception {
	const char *name;
	const char *reason;
	/* Asked for the pair both ways round. */
	bool (*applies)(const struct world *world, const struct operation *a,
			const struct operation *b);
	unsigned mixed; /* kinds of items that may be of either order, each by itself */
	unsigned free;	/* ... that are not compared */
	int64_t result; /* that any of the two may have; 0: none */
};
extern const struct exception exceptions[];
extern const unsigned exception_count;

enum { NOT_ALLOWED = -2, AS_SERIAL = -1 };
/* AS_SERIAL, the number of the exception that was needed, or NOT_ALLOWED. */
int judge_allows(const struct world *world, const struct outcome *seen,
		 const struct orders *orders);
/* Prints where `seen` and the orders differ. */
void judge_explain(const struct outcome *seen, const struct orders *orders);

#endif
