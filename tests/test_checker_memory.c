/* SPDX-License-Identifier: MIT */
/*
 * The checker on what lies behind the tables, as test_check.c: references, page caches, the lists by
 * which pages are found, swap slots.
 */
#include "check_fixture.h"

static void references_left_over(void **state)
{
	struct frame *cached = frame_of(world.base + SHARED);

	(void)state;
	DAMAGE(frame_of(page(0))->holders, frame_of(page(0))->holders + FRAME_ONE_REFERENCE);
	finds("a page has references left over");
	DAMAGE(cached->holders, cached->holders + FRAME_ONE_REFERENCE);
	finds("a cached page has references left over");
}

/* ---- objects ---- */

static void pages_of_an_object(void **state)
{
	struct quire_object *object = world.object;
	struct frame *cached = frame_of(world.base + SHARED);

	(void)state;
	DAMAGE(object->pages, object->pages + 1);
	finds("an object's counts differ from its cache");
	DAMAGE(object->swapped, 0);
	finds("an object's counts differ from its cache");
	DAMAGE(object->root->node.live, object->root->node.live + 1);
	finds("a node of a page cache counts wrong");
	DAMAGE(cached->content.index, 7);
	finds("a cached page knows another place");
	DAMAGE(cached->content.owner, 0);
	finds("a cached page knows another place");
	DAMAGE(object->kind, FRAME_FILE);
	finds("a cached page is of another kind");
}

/* The page is in its object, but at another index than the mapping has it. */
static void a_leaf_that_maps_another_page(void **state)
{
	struct vma *vma = vma_of(world.base + SHARED);

	(void)state;
	DAMAGE(vma->index, vma->index + 1);
	finds_at(world.base + SHARED, "a leaf maps a page that its object has not");
}

/* ---- lists of VMAs ---- */

static void lists_that_lack_a_vma(void **state)
{
	struct vma *vma = vma_of(page(0));
	struct list_link *link = &vma->kinship.link;

	(void)state;
	DAMAGE(link->next->previous, link->previous);
	DAMAGE(link->previous->next, link->next);
	finds("a family's users are not its VMAs");
	DAMAGE(link->next->previous, link->previous);
	DAMAGE(link->previous->next, link->next);
	DAMAGE(vma->family->users, vma->family->users - 1);
	finds("a VMA is missing in a list of VMAs");
	link = &vma_of(world.base + SHARED)->mapping.link;
	DAMAGE(link->next->previous, link->previous);
	DAMAGE(link->previous->next, link->next);
	finds("a VMA is missing in a list of VMAs");
}

static void lists_that_have_more_than_vmas(void **state)
{
	struct rmap_link mark = {.vma = NULL}, stranger = {0};
	struct list_link *vmas = &world.object->rmap.vmas;
	struct vma copy = *vma_of(world.base + SHARED);

	(void)state;
	mark.link = (struct list_link){.next = vmas->next, .previous = vmas};
	DAMAGE(vmas->next->previous, &mark.link);
	DAMAGE(vmas->next, &mark.link);
	finds("a walk's bookmark is left in a list of VMAs");
	stranger = (struct rmap_link){.space = world.space, .vma = &copy};
	stranger.link = (struct list_link){.next = vmas->next, .previous = vmas};
	DAMAGE(vmas->next->previous, &stranger.link);
	DAMAGE(vmas->next, &stranger.link);
	finds("a list has a VMA that its space has not");
}

static void places_and_users_of_families(void **state)
{
	struct vma *vma = vma_of(page(0));
	struct quire_space *other = new_space(world.fixture.machine);

	(void)state;
	DAMAGE(vma->family->users, vma->family->users + 1);
	finds("a family's users are not its VMAs");
	DAMAGE(vma->anon, 0);
	finds("a VMA has an identity or a family alone");
	DAMAGE(vma->kinship.space, other);
	finds("a VMA's place in its family's list is another's");
	vma = vma_of(world.base + SHARED);
	DAMAGE(vma->mapping.space, other);
	finds("a VMA's place in its object's list is another's");
	quire_space_destroy(other);
}

static void a_private_page_that_is_not_found(void **state)
{
	struct frame *frame = frame_of(page(0));

	(void)state;
	DAMAGE(frame->content.index, frame->content.index + 1);
	finds_at(page(0), "a private page knows another place");
	DAMAGE(frame->content.owner, 0);
	finds_at(page(0), "a private page knows another place");
}

/* ---- swap ---- */

static uint64_t *word_of(uint64_t slot)
{
	return (uint64_t *)frame_memory(world.machine, world.machine->swap.block) + slot - 1;
}

static void counts_of_swap_slots(void **state)
{
	uint64_t slot = entry_slot(slot_load(slot_of(page(6))));

	(void)state;
	DAMAGE(*slot_of(page(6)), entry_set_exclusive(slot_load(slot_of(page(6))), false));
	DAMAGE(*word_of(slot), 2);
	finds("a swap slot's count differs from what names it");
	DAMAGE(*word_of(slot), 2);
	finds_at(page(6), "an exclusive swap entry's slot has other users");
	DAMAGE(*word_of(slot), 0);
	finds_at(page(6), "a swap entry names a slot that is not in use");
	DAMAGE(*slot_of(page(6)), entry_make_swap(60));
	finds_at(page(6), "a swap entry names a slot that is not in use");
	DAMAGE(world.machine->swap.used, world.machine->swap.used + 1);
	finds("the count of swap slots is wrong");
	DAMAGE(world.machine->swap.free, slot);
	finds("the free swap slots are wrong");
}

/* The slot of the object's page is given an entry more, and so is not its own. */
static void a_swap_entry_in_a_shared_mapping(void **state)
{
	struct frame *table = table_of(world.base + SHARED, 0);

	(void)state;
	DAMAGE(*slot_of(world.base + SHARED + PAGE), slot_load(slot_of(page(6))));
	DAMAGE(table->table.live, table->table.live + 1);
	finds_at(world.base + SHARED + PAGE, "a shared mapping has a swap entry");
}

static void a_frame_in_the_cache_of_a_slot(void **state)
{
	uint64_t slot = entry_slot(slot_load(slot_of(page(6))));
	struct folio *folio = folio_alloc(world.machine, 0);

	(void)state;
	folio_make_anon(world.machine, folio);
	folio->head.holders = FRAME_ONE_REFERENCE;
	assert_true(swap_cache(world.machine, slot, folio));
	folio_put(world.machine, folio);
	clear();
	assert_int_equal(quire_check(world.machine, &text), 0);
	DAMAGE(folio->head.content.slot, (uint32_t)slot + 1);
	finds("a frame in a slot's cache knows another slot");
	DAMAGE(folio->head.holders, 2 * FRAME_ONE_REFERENCE);
	finds("a frame in swap has references left over");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(references_left_over),
		TEST(pages_of_an_object),
		TEST(a_leaf_that_maps_another_page),
		TEST(lists_that_lack_a_vma),
		TEST(lists_that_have_more_than_vmas),
		TEST(places_and_users_of_families),
		TEST(a_private_page_that_is_not_found),
		TEST(counts_of_swap_slots),
		TEST(a_swap_entry_in_a_shared_mapping),
		TEST(a_frame_in_the_cache_of_a_slot),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
