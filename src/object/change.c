/* SPDX-License-Identifier: MIT */
/*
 * Changes of an object: write, truncate, punch, allocate; one after the other.
 *
 * On Linux a change holds the inode's lock while it waits for memory and for pages.  Here the host may
 * be asked for both, and may want to change an object on its way: the same one, to give memory back,
 * or the one that this one is kept in.  So a change is made with object->changing held and without
 * sleeping; where it cannot go on without that, it lets go of the lock, the page is brought in, and it
 * is made again, or goes on, with the page held so that it stays.
 */
#include "object/object.h"

int object_bring_in(struct quire_object *object, uint64_t index, unsigned how, struct folio **folio)
{
	unsigned tries = 0;
	int error;

	do
		error = object_make_page(object, index, how, folio);
	while (error == -NO_FRAMES && machine_reclaim(object->machine, &tries));
	return error == -NO_FRAMES ? -QUIRE_ENOMEM : error;
}

/* The page that the change could not go on without, for want of a frame or because that takes sleep;
 * it stays until another one is needed, and yet another. */
static int bring_in(struct object_change *change, int why)
{
	struct quire_machine *machine = change->object->machine;
	struct folio *folio;
	unsigned tries = 0;
	int error;

	if (why == -NO_FRAMES && !machine_reclaim(machine, &tries))
		return -QUIRE_ENOMEM;
	error = object_bring_in(change->object, change->index, change->bring, &folio);
	if (!folio)
		return error == -QUIRE_EFBIG ? 0 : error; /* it has been cut off */
	if (change->held[1])
		folio_put(machine, change->held[1]);
	change->held[1] = change->held[0];
	change->held[0] = folio;
	return 0;
}

/* Whether the change is to be made again; with a page brought in, if it needed one. */
static bool goes_on(struct object_change *change, int *error)
{
	if (*error != -WOULD_SLEEP && *error != -NO_FRAMES)
		return false;
	*error = bring_in(change, *error);
	return !*error;
}

int object_change(struct object_change *change)
{
	struct quire_object *object = change->object;
	void *host = object->machine->host;
	int error;

	do {
		if (!QUIRE_MISTAKE(CHANGE_WITHOUT_LOCK))
			quire_port_write_lock(host, &object->changing);
		do
			error = change->make(change);
		while (QUIRE_MISTAKE(CHANGE_SLEEPS_LOCKED) && goes_on(change, &error));
		if (!QUIRE_MISTAKE(CHANGE_WITHOUT_LOCK))
			quire_port_write_unlock(host, &object->changing);
	} while (goes_on(change, &error));
	for (unsigned i = 0; i < 2; i++) {
		if (change->held[i])
			folio_put(object->machine, change->held[i]);
		change->held[i] = NULL;
	}
	return error;
}

static int take_page(struct object_change *change, uint64_t index, unsigned how,
		     struct folio **folio)
{
	change->index = index;
	change->bring = how;
	return object_make_page(change->object, index, how | MAKE_AWAKE, folio);
}

int change_page(struct object_change *change, uint64_t index, struct folio **folio)
{
	return take_page(change, index, change->how | MAKE_BEYOND, folio);
}

int change_edge(struct object_change *change, uint64_t offset, struct folio **folio)
{
	uint64_t index = offset >> PAGE_SHIFT;

	*folio = NULL;
	if (page_aligned(offset))
		return 0;
	switch (object_find_page(change->object, index, folio)) {
	case PAGE_FOUND:
		return 0;
	case PAGE_BEYOND:
		*folio = NULL;
		return 0;
	case PAGE_ABSENT:
		/* Without a read_page it is zeros. */
		return object_sleeps(change->object) ? take_page(change, index, 0, folio) : 0;
	case PAGE_SWAPPED:
		break;
	}
	return take_page(change, index, MAKE_SWAPPED, folio);
}
