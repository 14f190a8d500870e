/* SPDX-License-Identifier: MIT */
/*
 * Who is told of changes.  The brackets themselves are the tables' (table/notify.c).
 *
 * Every bracket lies inside a hold of the space's lock, so the list changes under that lock for
 * writing: then none is open.
 */
#include "space/space.h"

int quire_notifier_register(struct quire_space *space,
			    const struct quire_notifier_operations *operations, void *context,
			    struct quire_notifier **notifier)
{
	struct quire_notifier *made;
	unsigned tries = 0;

	do
		made = slab_alloc(space->machine, sizeof(*made));
	while (!made && space_reclaim(space, &tries));
	if (!made)
		return -QUIRE_ENOMEM;
	*made = (struct quire_notifier){
		.operations = operations, .context = context, .tables = &space->tables};
	space_write_lock(space);
	made->next = space->tables.notifiers;
	space->tables.notifiers = made;
	space_write_unlock(space);
	*notifier = made;
	return 0;
}

void quire_notifier_unregister(struct quire_notifier *notifier)
{
	struct quire_space *space = container_of(notifier->tables, struct quire_space, tables);
	struct quire_notifier **link = &space->tables.notifiers;

	space_write_lock(space);
	while (*link != notifier)
		link = &(*link)->next;
	*link = notifier->next;
	space_write_unlock(space);
	slab_free(space->machine, notifier);
}

void space_release_notifiers(struct quire_space *space)
{
	struct quire_notifier *notifier;

	while ((notifier = space->tables.notifiers)) {
		space->tables.notifiers = notifier->next;
		if (notifier->operations->release)
			notifier->operations->release(notifier->context);
		slab_free(space->machine, notifier);
	}
}

bool quire_notifier_translate(struct quire_space *space, uint64_t address, enum quire_access access,
			      struct quire_translation *translation)
{
	bool allowed;

	space_read_lock(space);
	allowed = quire_translate(space, address, access, translation);
	space_read_unlock(space);
	return allowed;
}
