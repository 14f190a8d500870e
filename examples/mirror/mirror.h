/* SPDX-License-Identifier: MIT */
/*
 * A mirror of a space's page tables: what a hypervisor keeps for its guest, or a device's MMU.
 *
 * It looks a page up in the space once, and from then on reaches its bytes without asking, until a notifier
 * says that the page is about to change.  Threads may use one mirror at the same time.
 */
#ifndef EXAMPLES_MIRROR_H
#define EXAMPLES_MIRROR_H

#include <pthread.h>

#include <quire/notifier.h>

#define MIRROR_PAGES 256 /* that it holds at most */

struct mirror_page {
	uint64_t address;      /* of the page */
	unsigned char *memory; /* its bytes; NULL: nothing is held here */
	bool writable;
};

struct mirror {
	struct quire_space *space;
	struct quire_notifier *notifier; /* NULL: the space is gone */
	pthread_mutex_t lock; /* of all that follows; who has it calls nothing of Quire */
	unsigned open;	      /* brackets that have begun and not ended */
	uint64_t sequence;    /* ... that have ended so far */
	struct mirror_page pages[MIRROR_PAGES];
	unsigned fills; /* looked up so far */
};

/* 0, or what quire_notifier_register() says. */
int mirror_open(struct mirror *mirror, struct quire_space *space);
/* Any time: also when the space is gone. */
void mirror_close(struct mirror *mirror);

/* One aligned word at `address`, through the mirror; QUIRE_DONE, or why not. */
enum quire_outcome mirror_load(struct mirror *mirror, uint64_t address, uint64_t *value);
enum quire_outcome mirror_store(struct mirror *mirror, uint64_t address, uint64_t value);

#endif
