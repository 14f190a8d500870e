/* SPDX-License-Identifier: MIT */
/*
 * One page moves to another frame.
 *
 * Its entries become migration entries, one by one, and when the last CPU has forgotten them nobody
 * can use the page any more.  Then its content goes to the other frame, which takes its place in the
 * object's cache, if it has one, and in every entry.
 *
 *	leaf ──▶ frame      migration entry ──▶ frame  copied to  target ◀── leaf
 *
 * Entries may be unmapped, protected, moved and forked meanwhile: migration entries with them.  The
 * second walk meets all of them, also those of children, because each is where its page's index says
 * (space/rmap.c).  A new mapping of an object's page waits (FRAME_MIGRATING).  If it turns out that
 * somebody refers to the page by other means, the entries become what they were.
 *
 * machine->migration is held for writing from the first entry to the last; whoever meets a migration
 * entry lets go of its locks, takes that one for reading, and begins again.
 */
#include "reclaim/reclaim.h"
#include <quire/migrate.h>

struct migration {
	struct quire_machine *machine;
	struct frame *frame;
	struct frame *target; /* what the entries get in the end; it may be the same */
	struct rmap_owner owner;
	bool met; /* an entry */
};

static void visit_begin(struct quire_space *space, struct vma *vma, uint64_t start, uint64_t stop,
			void *context)
{
	struct migration *migration = context;
	struct gather gather;

	(void)vma;
	(void)stop;
	gather_begin(&gather, &space->tables);
	if (table_migrate_begin(&space->tables, start, migration->frame, &gather))
		migration->met = true;
	gather_end(&gather);
}

static void visit_end(struct quire_space *space, struct vma *vma, uint64_t start, uint64_t stop,
		      void *context)
{
	const struct migration *migration = context;
	struct gather gather;

	(void)vma;
	(void)stop;
	gather_begin(&gather, &space->tables);
	table_migrate_end(&space->tables, start, migration->frame, migration->target, &gather);
	gather_end(&gather);
}

/* An anonymous page, which nothing leads to but its entries.  Whether `copy` has become it. */
static bool copy_anonymous(struct migration *migration, struct frame *copy)
{
	struct quire_machine *machine = migration->machine;
	const struct frame *frame = migration->frame;

	if (frame_pins(frame) || frame_references(frame) != 1)
		return false;
	memcpy(frame_memory(machine, copy), frame_memory(machine, frame), PAGE_SIZE);
	frame_make_anon(machine, copy);
	frame_exchange(copy, FRAME_ONE_MAPPING, FRAME_ONE_REFERENCE);
	frame_set_owner(copy, migration->owner.family, migration->owner.index);
	return true;
}

static void carry_flags(const struct frame *from, struct frame *to)
{
	const enum frame_flag flags[] = {FRAME_DIRTY, FRAME_LAZYFREE, FRAME_WAS_CACHED, FRAME_KEEP};

	for (unsigned i = 0; i < sizeof(flags) / sizeof(*flags); i++)
		if (frame_has(from, flags[i]))
			frame_mark(to, flags[i]);
}

/* Lock machine->migration for writing.  Whether the page is in `copy` now. */
static bool migrate(struct migration *migration, struct frame *copy)
{
	struct quire_object *object = migration->owner.object;
	struct frame *frame = migration->frame;
	bool moved;

	if (object)
		object_begin_migration(object, frame);
	rmap_walk_page(migration->machine, &migration->owner, visit_begin, migration);
	/* A page that is nowhere has been unmapped, or UFFDIO_MOVE has given it another owner. */
	if (!migration->met)
		moved = false;
	else if (object)
		moved = object_migrate_page(object, migration->owner.index, frame, copy);
	else
		moved = copy_anonymous(migration, copy);
	migration->target = moved ? copy : frame;
	rmap_walk_page(migration->machine, &migration->owner, visit_end, migration);
	if (moved) {
		quire_assert(frame_mappings(frame) == 0);
		carry_flags(frame, copy);
	}
	frame_unmark(frame, FRAME_MIGRATING);
	return moved;
}

/*
 * Moves the page, to which the caller has a reference, to `copy` (zero holders, FRAME_HELD).  Whether
 * it did; then `copy` has been used up.
 */
static bool migrate_page(struct quire_machine *machine, struct frame *frame, struct frame *copy)
{
	struct migration migration = {.machine = machine, .frame = frame};
	bool moved = false;

	quire_port_write_lock(machine->host, &machine->migration);
	if (!frame_pins(frame) && rmap_hold_owner(machine, frame, &migration.owner)) {
		moved = migrate(&migration, copy);
		rmap_drop_owner(machine, &migration.owner);
	}
	quire_port_write_unlock(machine->host, &machine->migration);
	if (moved)
		frame_put(machine, copy);
	return moved;
}

/* A reference to the next page of [*position, end), which lies before *position then; or NULL. */
static struct frame *next_page(struct quire_space *space, uint64_t *position, uint64_t end)
{
	struct frame *frame = NULL;

	if (*position == end)
		return NULL;
	space_read_lock(space);
	table_collect(&space->tables, position, end, false, &frame, 1);
	space_read_unlock(space);
	return frame;
}

/* A frame to move a page to, if there is none left from the page before. */
static int take_frame(struct quire_machine *machine, struct frame **copy)
{
	unsigned tries = 0;

	while (!*copy) {
		*copy = frame_alloc(machine, 0);
		if (!*copy && !machine_reclaim(machine, &tries))
			return -QUIRE_ENOMEM;
	}
	return 0;
}

int quire_migrate(struct quire_space *space, uint64_t address, uint64_t length, uint64_t *moved)
{
	struct quire_machine *machine = space->machine;
	uint64_t end = address + page_up(length);
	struct frame *frame, *copy = NULL;
	int error = 0;

	*moved = 0;
	if (!page_aligned(address) || page_up(length) < length || end < address)
		return -QUIRE_EINVAL;
	end = min_u64(end, space->highest);
	address = min_u64(address, end);
	while (!error && (frame = next_page(space, &address, end))) {
		error = take_frame(machine, &copy);
		if (!error && migrate_page(machine, frame, copy)) {
			++*moved;
			copy = NULL;
		}
		frame_put(machine, frame);
	}
	if (copy)
		frame_free(machine, copy);
	return error;
}
