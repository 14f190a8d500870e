/* SPDX-License-Identifier: MIT */
/*
 * The checker finds what it is there for: each test damages one thing behind the library's back,
 * reads the finding, and mends it again.  Here: VMAs, tables, entries, frames, TLBs;
 * test_checker_memory.c has what lies behind.
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
	finds_at(page(0), "a leaf differs from its VMA in read");
	DAMAGE(vma->flags, vma->flags | VMA_EXEC);
	finds_at(page(0), "a leaf differs from its VMA in execute");
	vma = vma_of(page(5));
	DAMAGE(vma->flags, vma->flags | VMA_READ);
	finds_at(page(5), "a leaf differs from its VMA in read");
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
		TEST(tlbs_that_grant_more_than_the_tables),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
