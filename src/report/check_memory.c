/* SPDX-License-Identifier: MIT */
/*
 * The invariant checker on what lies behind the tables: page caches, the lists of VMAs by which a
 * page's entries are found, swap slots.
 *
 * Whether each slot counts what names it is found out without memory of its own: every name adds a
 * hash of its slot's number to one sum, every slot as many of its own as it counts to another.  The
 * sums are equal if the counts are, and hardly otherwise.
 */
#include "report/check.h"
#include "space/rmap.h"

static uint64_t hash(uint64_t slot)
{
	slot = (slot ^ slot >> 30) * 0xbf58476d1ce4e5b9;
	slot = (slot ^ slot >> 27) * 0x94d049bb133111eb;
	return slot ^ slot >> 31;
}

void check_name_slot(struct check *check, uint64_t slot)
{
	check->slots_named += hash(slot);
}

/* --- lists of VMAs --- */

/* A list's VMAs, each of which is in its space's tree; how many. */
static uint64_t check_list(struct check *check, const struct rmap *rmap)
{
	uint64_t count = 0;

	for (const struct list_link *link = rmap->vmas.next; link != &rmap->vmas;
	     link = link->next, count++) {
		const struct rmap_link *entry = container_of(link, struct rmap_link, link);

		if (!entry->vma)
			check_violation(check, "a walk's bookmark is left in a list of VMAs", 0);
		else
			expect(check, vma_find(entry->space, entry->vma->start) == entry->vma,
			       "a list has a VMA that its space has not", entry->vma->start);
	}
	return count;
}

/* Each list is looked at once, by way of its first VMA. */
static void check_kin(struct check *check, const struct vma *vma)
{
	const struct family *family = vma->family;
	uint64_t count;

	check->kin++;
	if (family->rmap.vmas.next != &vma->kinship.link)
		return;
	count = check_list(check, &family->rmap);
	check->listed_kin += count;
	expect(check, family->users == count, "a family's users are not its VMAs", vma->start);
}

void check_lists(struct check *check, struct quire_space *space, const struct vma *vma)
{
	expect(check, !vma->family == !vma->anon, "a VMA has an identity or a family alone",
	       vma->start);
	expect(check, !vma->family || (vma->kinship.vma == vma && vma->kinship.space == space),
	       "a VMA's place in its family's list is another's", vma->start);
	expect(check, !vma->object || (vma->mapping.vma == vma && vma->mapping.space == space),
	       "a VMA's place in its object's list is another's", vma->start);
	check->mapping += vma->object != NULL;
	if (vma->family)
		check_kin(check, vma);
}

/* --- objects --- */

static void check_cached_page(struct check *check, const struct quire_object *object,
			      const struct folio *folio, uint64_t index)
{
	uint64_t at = index << PAGE_SHIFT;

	expect(check, folio->head.kind == object->kind, "a cached page is of another kind", at);
	expect(check,
	       folio->head.content.owner == (uintptr_t)object && folio_index(folio) == index &&
		       !folio_slot(folio),
	       "a cached page knows another place", at);
	expect(check, folio_references(folio) == 1, "a cached page has references left over", at);
}

static void check_object(struct check *check, struct quire_object *object)
{
	uint64_t pages = 0, swapped = 0, index = 0, nodes = 0;
	cache_entry entry;

	expect(check, cache_valid(object, &nodes), "a node of a page cache counts wrong", 0);
	for (; (entry = cache_next(object, &index, UINT64_MAX)); index++) {
		if (cache_page(entry)) {
			pages++;
			check_cached_page(check, object, cache_page(entry), index);
		} else {
			swapped++;
			check_name_slot(check, cache_slot(entry));
		}
	}
	expect(check, pages == object->pages && swapped == object->swapped,
	       "an object's counts differ from its cache", 0);
	check->cached += pages;
	check->nodes += nodes;
	check->listed_mapping += check_list(check, &object->rmap);
}

/* --- swap --- */

static void check_slot(void *context, uint64_t slot, uint64_t count, struct folio *folio)
{
	struct check *check = context;

	check->slots++;
	check->slots_counted += count * hash(slot);
	expect(check, count, "a swap slot in use counts nothing", slot);
	if (!folio)
		return;
	expect(check, folio->head.kind == FRAME_ANON && folio_slot(folio) == slot,
	       "a frame in a slot's cache knows another slot", slot);
	/* Those that are mapped have been counted. */
	if (folio_mappings(folio))
		return;
	check->anonymous++;
	expect(check, folio_references(folio) == 1, "a frame in swap has references left over",
	       slot);
}

void check_memory(struct check *check, struct quire_machine *machine)
{
	struct quire_machine_counters counters;

	for (struct list_link *link = machine->objects.next; link != &machine->objects;
	     link = link->next)
		check_object(check, container_of(link, struct quire_object, link));
	expect(check, check->kin == check->listed_kin && check->mapping == check->listed_mapping,
	       "a VMA is missing in a list of VMAs", 0);
	expect(check, swap_valid(machine), "the free swap slots are wrong", 0);
	swap_each(machine, check_slot, check);
	expect(check, check->slots_named == check->slots_counted,
	       "a swap slot's count differs from what names it", 0);
	quire_machine_count(machine, &counters);
	expect(check, counters.swap_used == check->slots, "the count of swap slots is wrong", 0);
	expect(check, counters.frames_shmem + counters.frames_file == check->cached,
	       "frames of pages that no object has are left over", 0);
	expect(check, counters.frames_node == check->nodes,
	       "frames of nodes are missing or left over", 0);
	expect(check, counters.frames_swap == swap_frames(machine),
	       "frames of swap's counts are missing or left over", 0);
}
