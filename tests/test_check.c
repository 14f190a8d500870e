/* SPDX-License-Identifier: MIT */
/*
 * The checker finds what it is there for: each test damages one thing behind the library's back,
 * reads the finding, and mends it again.
 *
 *	base   p0 p1 p2 p3 p4 p5 p6 p7 | hole | one page far away        | object, shared
 *	       w  w  z  g  .  n  s     |      | w, in a table of its own | w  s
 *
 * w: written, z: the page of zeros, g: guard marker, n: written, then PROT_NONE, s: in swap.
 */
#include "check_fixture.h"

/* ---- VMAs and counters ---- */

static void counters_of_vmas(void **state)
{
	(void)state;
	DAMAGE(world.space->vma_count, world.space->vma_count + 1);
	finds("the VMA tree or its counters are wrong");
	DAMAGE(world.space->mapped, world.space->mapped - 1);
	finds("the VMA tree or its counters are wrong");
	DAMAGE(world.space->locked, 1);
	finds("the VMA tree or its counters are wrong");
}

static void vmas_that_overlap_or_hide_gaps(void **state)
{
	struct vma *vma = vma_of(page(0));

	(void)state;
	DAMAGE(vma->end, vma->end + PAGE);
	DAMAGE(world.space->mapped, world.space->mapped + 1);
	finds("the VMA tree or its counters are wrong");
	DAMAGE(vma->largest_gap, vma->largest_gap + PAGE);
	finds("the VMA tree or its counters are wrong");
}

static void counters_of_pages_and_tables(void **state)
{
	struct page_tables *tables = &world.space->tables;

	(void)state;
	DAMAGE(tables->resident[RESIDENT_ANON], tables->resident[RESIDENT_ANON] + 1);
	finds("resident pages differ from the leaves");
	DAMAGE(tables->frames, tables->frames - 1);
	finds("the count of tables differs from the tables linked");
}

/* ---- tables ---- */

static void counters_of_a_table(void **state)
{
	struct frame *table = table_of(page(0), 0);

	(void)state;
	DAMAGE(table->table.live, table->table.live + 1);
	finds("table's counters differ from its entries");
	DAMAGE(table->table.marks, 0);
	finds("table's counters differ from its entries");
	table = table_of(page(0), 2);
	DAMAGE(table->table.live, table->table.live - 1);
	finds("table's counters differ from its entries");
}

static void an_empty_table(void **state)
{
	(void)state;
	DAMAGE(*slot_of(world.base + FAR_AWAY), ENTRY_ABSENT);
	DAMAGE(table_of(world.base + FAR_AWAY, 0)->table.live, 0);
	finds("an empty table is linked");
}

static void a_table_that_is_none(void **state)
{
	(void)state;
	DAMAGE(table_of(page(0), 0)->kind, FRAME_ANON);
	finds("a linked table's frame is not a table");
}

/* ---- entries ---- */

static void an_entry_where_nothing_is_mapped(void **state)
{
	struct frame *table = table_of(page(0), 0);

	(void)state;
	DAMAGE(*slot_of(page(PAGES)), entry_make_marker(MARK_GUARD));
	DAMAGE(table->table.live, table->table.live + 1);
	DAMAGE(table->table.marks, table->table.marks + 1);
	finds_at(page(PAGES), "an entry stands where nothing is mapped");
}

static void a_guard_where_none_may_be(void **state)
{
	struct vma *vma = vma_of(page(3));

	(void)state;
	DAMAGE(vma->flags, vma->flags & ~VMA_GUARD);
	finds_at(page(3), "a guard marker in a VMA without guards");
}

static void a_writable_page_of_several(void **state)
{
	(void)state;
	DAMAGE(*slot_of(page(0)), entry_set_exclusive(slot_load(slot_of(page(0))), false));
	finds_at(page(0), "a writable leaf is not exclusive, or its VMA not writable");
}

static void permissions_that_are_not_the_vmas(void **state)
{
	struct vma *vma = vma_of(page(0));

	(void)state;
	DAMAGE(vma->flags, vma->flags & ~VMA_WRITE);
	finds_at(page(0), "a writable leaf is not exclusive, or its VMA not writable");
	DAMAGE(vma->flags, vma->flags & ~VMA_ACCESS);
	finds_at(page(0), "a leaf differs from its VMA in access");
	DAMAGE(vma->flags, vma->flags | VMA_EXEC);
	finds_at(page(0), "a leaf differs from its VMA in execute");
	vma = vma_of(page(5));
	DAMAGE(vma->flags, vma->flags | VMA_READ);
	finds_at(page(5), "a leaf differs from its VMA in access");
}

static void the_encoding_of_shadow_stacks(void **state)
{
	(void)state;
	DAMAGE(*slot_of(page(0)), slot_load(slot_of(page(0))) & ~X86_WRITE);
	finds_at(page(0), "entry is read-only and hardware-dirty");
}

static void a_zero_page_that_is_not(void **state)
{
	(void)state;
	DAMAGE(*slot_of(page(0)), entry_set_special(slot_load(slot_of(page(0)))));
	finds_at(page(0), "a special leaf does not map the zero page");
	DAMAGE(*slot_of(page(2)), entry_set_dirty(slot_load(slot_of(page(2))), true));
	finds_at(page(2), "the zero page is writable or dirty");
}

static void a_frame_that_is_not_the_machines(void **state)
{
	(void)state;
	DAMAGE(*slot_of(page(0)), slot_load(slot_of(page(0))) | (entry_t)1 << 50);
	finds_at(page(0), "entry names a frame outside the machine");
}

/* ---- frames ---- */

static void mappings_that_are_not_there(void **state)
{
	struct frame *frame = frame_of(page(0));

	(void)state;
	DAMAGE(frame->holders, frame->holders + FRAME_ONE_MAPPING);
	finds_at(page(0), "an exclusive page is mapped more than once, or an object's");
	DAMAGE(frame->holders, FRAME_ONE_REFERENCE);
	finds_at(page(0), "a mapped frame counts no mapping");
}

static void mappings_of_a_page_of_several(void **state)
{
	struct frame *frame = frame_of(page(0));
	struct quire_space *child;

	(void)state;
	assert_int_equal(quire_fork(world.space, &child), 0);
	DAMAGE(frame->holders, frame->holders + FRAME_ONE_MAPPING);
	finds("a frame's mappings differ from its leaves");
	DAMAGE(frame->holders, frame->holders - FRAME_ONE_MAPPING);
	finds("a frame's mappings differ from its leaves");
	quire_space_destroy(child);
}

static void a_leaf_on_a_frame_of_another_kind(void **state)
{
	(void)state;
	DAMAGE(frame_of(page(0))->kind, FRAME_SLAB);
	finds_at(page(0), "a leaf maps a frame that holds no page");
}

static void a_migration_that_has_not_ended(void **state)
{
	(void)state;
	DAMAGE(*slot_of(page(0)), entry_begin_migration(slot_load(slot_of(page(0)))));
	finds_at(page(0), "a migration entry is left over");
}

static void pins_that_are_not_counted(void **state)
{
	uint64_t number;
	struct quire_pin pin = {.address = page(0), .length = 1, .frames = &number};

	(void)state;
	DAMAGE(world.machine->pins, world.machine->pins + 1);
	finds("the count of pins is wrong");
	assert_int_equal(quire_pin(world.space, &pin), 0);
	DAMAGE(frame_of(page(0))->holders, frame_of(page(0))->holders + FRAME_ONE_PIN);
	finds("the count of pins is wrong");
	quire_unpin(world.machine, &pin, false);
}

static void leaked_frames(void **state)
{
	static const struct {
		enum frame_kind kind;
		const char *what;
	} leaks[] = {
		{FRAME_HELD, "frames used and free do not add up"},
		{FRAME_ANON, "frames of pages that nothing maps are left over"},
		{FRAME_TABLE, "frames of tables are missing or left over"},
		{FRAME_SHMEM, "frames of pages that no object has are left over"},
		{FRAME_NODE, "frames of nodes are missing or left over"},
		{FRAME_SWAP, "frames of swap's counts are missing or left over"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(leaks) / sizeof(leaks[0]); i++) {
		struct frame *frame = frame_alloc(world.machine, 0);

		assert_non_null(frame);
		frame_set_kind(world.machine, frame, leaks[i].kind);
		clear();
		expect_finding(quire_check(world.machine, &text), leaks[i].what);
		frame_free(world.machine, frame);
		clear();
		assert_int_equal(quire_check(world.machine, &text), 0);
	}
}

static void lists_of_the_allocators(void **state)
{
	struct frame *slab =
		frame_at(world.machine, frame_number(world.machine, world.machine->zero_page));

	(void)state;
	DAMAGE(world.machine->frames.free, world.machine->frames.free - 1);
	finds("the frame allocator's lists are wrong");
	while (slab->kind != FRAME_SLAB)
		slab++;
	DAMAGE(slab->slab.used, (uint16_t)(slab->slab.carved + 1));
	finds("the slabs are wrong");
}

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
	DAMAGE(cached->folio.index, 7);
	finds("a cached page knows another place");
	DAMAGE(cached->folio.owner, 0);
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
	DAMAGE(frame->folio.index, frame->folio.index + 1);
	finds_at(page(0), "a private page knows another place");
	DAMAGE(frame->folio.owner, 0);
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
	struct frame *frame = frame_alloc(world.machine, 0);

	(void)state;
	frame_make_anon(world.machine, frame);
	frame->holders = FRAME_ONE_REFERENCE;
	assert_true(swap_cache(world.machine, slot, frame));
	frame_put(world.machine, frame);
	clear();
	assert_int_equal(quire_check(world.machine, &text), 0);
	DAMAGE(frame->folio.slot, (uint32_t)slot + 1);
	finds("a frame in a slot's cache knows another slot");
	DAMAGE(frame->holders, 2 * FRAME_ONE_REFERENCE);
	finds("a frame in swap has references left over");
}

/* ---- TLBs ---- */

static void tlb_excess(const char *what)
{
	struct soft_cpu *cpu = soft_machine_cpu(world.fixture.machine, 0);
	char excess[128] = "";

	assert_false(soft_tlb_check(cpu, excess, sizeof(excess)));
	if (!strstr(excess, what))
		fail_msg("wanted: %s, found: %s", what, excess);
	mend();
	assert_true(soft_tlb_check(cpu, excess, sizeof(excess)));
}

/* CPU 0 has a translation for stores to page 0 in its TLB. */
static void tlbs_that_grant_more_than_the_tables(void **state)
{
	struct soft_cpu *cpu = soft_machine_cpu(world.fixture.machine, 0);
	_Atomic entry_t *slot = slot_of(page(0));
	char excess[128];

	(void)state;
	soft_cpu_enter(cpu, world.space);
	assert_int_equal(soft_store64(cpu, page(0), 1).outcome, QUIRE_DONE);
	assert_true(soft_tlb_check(cpu, excess, sizeof(excess)));
	DAMAGE(*slot, ENTRY_ABSENT);
	tlb_excess("translates a page that has no leaf");
	DAMAGE(*slot, entry_set_permissions(slot_load(slot), false, false, false));
	tlb_excess("translates a page that the user may not reach");
	DAMAGE(*slot, entry_forbid_write(slot_load(slot)));
	tlb_excess("grants stores to a page that is not writable");
	DAMAGE(*slot, entry_set_dirty(slot_load(slot), false));
	tlb_excess("grants stores to a page that is clean");
	DAMAGE(*slot, slot_load(slot_of(page(1))));
	tlb_excess("holds another frame than the leaf");
	soft_cpu_leave(cpu);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(counters_of_vmas),
		TEST(vmas_that_overlap_or_hide_gaps),
		TEST(counters_of_pages_and_tables),
		TEST(counters_of_a_table),
		TEST(an_empty_table),
		TEST(a_table_that_is_none),
		TEST(an_entry_where_nothing_is_mapped),
		TEST(a_guard_where_none_may_be),
		TEST(a_writable_page_of_several),
		TEST(permissions_that_are_not_the_vmas),
		TEST(the_encoding_of_shadow_stacks),
		TEST(a_zero_page_that_is_not),
		TEST(a_frame_that_is_not_the_machines),
		TEST(mappings_that_are_not_there),
		TEST(mappings_of_a_page_of_several),
		TEST(a_leaf_on_a_frame_of_another_kind),
		TEST(a_migration_that_has_not_ended),
		TEST(pins_that_are_not_counted),
		TEST(leaked_frames),
		TEST(lists_of_the_allocators),
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
		TEST(tlbs_that_grant_more_than_the_tables),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
