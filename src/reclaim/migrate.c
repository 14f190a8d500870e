/* SPDX-License-Identifier: MIT */
/*
 * Pages move to other frames, a few at a time.
 *
 * Their entries become migration entries, and when the last CPU has forgotten them nobody can use the
 * pages any more.  Then the content of each goes to its other frame, which takes the page's place in
 * the object's cache, if it has one, and in every entry.
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

#define AT_ONCE 16u /* pages: those who meet one wait for all */

struct migration {
	struct batch batch;
	struct folio *const *copies; /* zero holders, FRAME_HELD: each page's */
	uint32_t held;		     /* a set of pages: those that stay, as others refer to them */
	uint32_t met;		     /* ... of which the walk has met an entry */
	uint32_t moved; /* ... of which the entries get the copy, and not what they had */
};

static void visit_begin(struct quire_space *space, struct vma *vma, uint64_t start, uint64_t stop,
			void *context)
{
	struct migration *migration = context;
	struct gather gather;
	uint64_t page;

	gather_begin(&gather, &space->tables, QUIRE_NOTIFIER_MIGRATE);
	for (unsigned i = 0; i < migration->batch.count; i++) {
		struct folio *folio = migration->batch.folios[i];

		if (!(migration->held >> i & 1) && batch_place(folio, vma, start, stop, &page) &&
		    table_migrate_begin(&space->tables, page, folio, &gather))
			migration->met |= (uint32_t)1 << i;
	}
	gather_end(&gather);
}

static void visit_end(struct quire_space *space, struct vma *vma, uint64_t start, uint64_t stop,
		      void *context)
{
	const struct migration *migration = context;
	struct gather gather;
	uint64_t page;

	gather_begin(&gather, &space->tables, QUIRE_NOTIFIER_MIGRATE);
	for (unsigned i = 0; i < migration->batch.count; i++) {
		struct folio *folio = migration->batch.folios[i];

		if (batch_place(folio, vma, start, stop, &page))
			table_migrate_end(&space->tables, page, folio,
					  migration->moved >> i & 1 ? migration->copies[i] : folio,
					  &gather);
	}
	gather_end(&gather);
}

/* An anonymous page, which nothing leads to but its entries.  Whether `copy` has become it. */
static bool copy_anonymous(struct batch *batch, const struct folio *folio, struct folio *copy)
{
	struct quire_machine *machine = batch->machine;

	if (folio_pins(folio) || folio_references(folio) != 1)
		return false;
	memcpy(folio_memory(machine, copy), folio_memory(machine, folio), PAGE_SIZE);
	folio_make_anon(machine, copy);
	folio_exchange(copy, FRAME_ONE_MAPPING, FRAME_ONE_REFERENCE);
	folio_set_owner(copy, batch->owner.family, folio_index(folio));
	return true;
}

static void carry_flags(const struct folio *from, struct folio *to)
{
	const enum frame_flag flags[] = {FRAME_DIRTY, FRAME_LAZYFREE, FRAME_WAS_CACHED, FRAME_KEEP};

	for (unsigned i = 0; i < sizeof(flags) / sizeof(*flags); i++)
		if (folio_has(from, flags[i]))
			folio_mark(to, flags[i]);
}

/* Whether the copy has the page's content, and its place in the object's cache, now. */
static bool copy_page(struct migration *migration, unsigned i)
{
	struct folio *folio = migration->batch.folios[i];
	struct quire_object *object = migration->batch.owner.object;

	/* A page that is nowhere has been unmapped, or UFFDIO_MOVE has given it another owner. */
	if (!(migration->met >> i & 1))
		return false;
	if (object)
		return object_migrate_page(object, folio_index(folio), folio, migration->copies[i]);
	return copy_anonymous(&migration->batch, folio, migration->copies[i]);
}

/* It would not be copied, as things are: so no entry is touched, and nobody told. */
static bool held_by_others(const struct folio *folio)
{
	return folio_pins(folio) || folio_references(folio) != (folio_of_object(folio) ? 2 : 1);
}

/* Lock machine->migration for writing. */
static void migrate(struct migration *migration)
{
	struct batch *batch = &migration->batch;

	for (unsigned i = 0; i < batch->count; i++)
		migration->held |= (uint32_t)held_by_others(batch->folios[i]) << i;
	for (unsigned i = 0; batch->owner.object && i < batch->count; i++)
		object_begin_migration(batch->owner.object, batch->folios[i]);
	batch_walk(batch, true, visit_begin, migration);
	for (unsigned i = 0; i < batch->count; i++)
		if (copy_page(migration, i))
			migration->moved |= (uint32_t)1 << i;
	batch_walk(batch, true, visit_end, migration);
	for (unsigned i = 0; i < batch->count; i++) {
		if (migration->moved >> i & 1) {
			quire_assert(folio_mappings(batch->folios[i]) == 0);
			carry_flags(batch->folios[i], migration->copies[i]);
		}
		folio_unmark(batch->folios[i], FRAME_MIGRATING);
	}
}

/*
 * Moves pages, to which the caller has references, to `copies`, as many.  Those that have been used up
 * become NULL; how many that are.
 */
static unsigned migrate_pages(struct quire_machine *machine, struct folio **folios,
			      struct folio **copies, unsigned count)
{
	unsigned moved = 0;

	quire_port_write_lock(machine->host, &machine->migration);
	for (unsigned done = 0, size; done < count; done += size) {
		struct migration migration = {.copies = copies + done};

		batch_begin(&migration.batch, machine, folios + done, count - done);
		size = migration.batch.count;
		if (migration.batch.owner.rmap)
			migrate(&migration);
		batch_end(&migration.batch);
		for (unsigned i = 0; i < size; i++) {
			if (!(migration.moved >> i & 1))
				continue;
			folio_put(machine, copies[done + i]);
			copies[done + i] = NULL;
			moved++;
		}
	}
	quire_port_write_unlock(machine->host, &machine->migration);
	return moved;
}

/* A page that is mapped twice there is taken once: it moves if nobody else refers to it. */
static unsigned drop_repeated(struct quire_machine *machine, struct folio **folios, unsigned count)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < count; i++) {
		unsigned before = 0;

		while (before < kept && folios[before] != folios[i])
			before++;
		if (before < kept)
			folio_put(machine, folios[i]);
		else
			folios[kept++] = folios[i];
	}
	return kept;
}

/* References to the next pages of [*position, end), which lie before *position then. */
static unsigned next_pages(struct quire_space *space, uint64_t *position, uint64_t end,
			   struct folio **folios, unsigned room)
{
	unsigned count;

	if (*position == end)
		return 0;
	space_read_lock(space);
	count = table_collect(&space->tables, position, end, false, folios, room);
	space_read_unlock(space);
	return drop_repeated(space->machine, folios, count);
}

/* Frames to move pages to: as many as are wanted, or at least one; there are *count already.  A failure
 * that was asked for is one also where there are some. */
static int take_frames(struct quire_machine *machine, struct folio **copies, unsigned *count,
		       unsigned wanted)
{
	unsigned tries = 0;

	while (*count < wanted) {
		copies[*count] = folio_alloc(machine, 0);
		if (copies[*count])
			++*count;
		else if (*count &&
			 !atomic_load_explicit(&machine->frames.wanted, memory_order_relaxed))
			return 0;
		else if (!machine_reclaim(machine, &tries))
			return -QUIRE_ENOMEM;
	}
	return 0;
}

/* Those that were not used up come first; how many they are. */
static unsigned close_ranks(struct folio **copies, unsigned count)
{
	unsigned left = 0;

	for (unsigned i = 0; i < count; i++)
		if (copies[i])
			copies[left++] = copies[i];
	return left;
}

int quire_migrate(struct quire_space *space, uint64_t address, uint64_t length, uint64_t *moved)
{
	struct quire_machine *machine = space->machine;
	struct folio *folios[AT_ONCE], *copies[AT_ONCE];
	uint64_t end = address + page_up(length);
	unsigned count, free = 0;
	int error = 0;

	*moved = 0;
	if (!page_aligned(address) || page_up(length) < length || end < address)
		return -QUIRE_EINVAL;
	end = min_u64(end, space->highest);
	address = min_u64(address, end);
	while ((count = next_pages(space, &address, end, folios, AT_ONCE))) {
		unsigned done = 0;

		while (!error && done < count) {
			unsigned size;

			error = take_frames(machine, copies, &free, count - done);
			size = (unsigned)min_u64(free, count - done);
			*moved += migrate_pages(machine, folios + done, copies, size);
			free = close_ranks(copies, free);
			/* At once: the next pages may need these very frames. */
			while (size--)
				folio_put(machine, folios[done++]);
		}
		while (done < count)
			folio_put(machine, folios[done++]);
		if (error)
			break;
	}
	while (free)
		folio_free(machine, copies[--free]);
	return error;
}
