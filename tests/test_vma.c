/* SPDX-License-Identifier: MIT */
/*
 * VMAs: what merges and splits, what the limits refuse, what a failure leaves.
 *
 * The line above a step shows the pages before it: a letter is a page of a VMA (the same letter,
 * the same kind), a star one that has been written to, a dot a hole.  The kernel gave the same
 * answers; scenarios/A1-*.lua to A4-*.lua ask it again.
 */
#include "vma_fixture.h"

static void protect(struct quire_space *space, uint64_t page, uint64_t pages, int prot)
{
	assert_int_equal(quire_mprotect(space, at(page), pages * PAGE, prot), 0);
}

static void advise(struct quire_space *space, uint64_t page, uint64_t pages, int advice)
{
	assert_int_equal(quire_madvise(space, at(page), pages * PAGE, advice), 0);
}

static void move(struct quire_space *space, uint64_t page, uint64_t old_pages, uint64_t new_pages,
		 uint64_t to)
{
	uint64_t result;

	assert_int_equal(quire_mremap(space, at(page), old_pages * PAGE, new_pages * PAGE, MOVE_TO,
				      at(to), &result),
			 0);
	assert_int_equal(result, at(to));
}

static int grow(struct quire_space *space, uint64_t page, uint64_t old_pages, uint64_t new_pages)
{
	uint64_t result;

	return quire_mremap(space, at(page), old_pages * PAGE, new_pages * PAGE, 0, 0, &result);
}

static struct quire_space *child_of(struct quire_space *parent)
{
	struct quire_space *child;

	assert_int_equal(quire_fork(parent, &child), 0);
	return child;
}

/* --- placement --- */

static uint64_t place(struct quire_space *space, uint64_t hint, uint64_t length, int flags)
{
	uint64_t result = 1;

	assert_int_equal(quire_mmap(space, hint, length, NONE, ANON | flags, &result), 0);
	return result;
}

static void A1_highest_hole_at_its_upper_end(void **state)
{
	struct quire_space *space = ((struct world *)*state)->space;
	uint64_t top = space->mmap_base - 8 * PAGE;

	assert_int_equal(place(space, 0, 8 * PAGE, 0), top);
	/* AA.AA..A */
	assert_int_equal(quire_munmap(space, top + 2 * PAGE, PAGE), 0);
	assert_int_equal(quire_munmap(space, top + 5 * PAGE, 2 * PAGE), 0);
	assert_int_equal(place(space, 0, PAGE, 0), top + 6 * PAGE);
	assert_int_equal(place(space, 0, 2 * PAGE, 0), top - 2 * PAGE);
	assert_int_equal(place(space, 0, PAGE, 0), top + 5 * PAGE);
	assert_int_equal(place(space, 0, PAGE, 0), top + 2 * PAGE);
	/* A hint that is taken, low, or high. */
	assert_int_equal(place(space, top, PAGE, 0), top - 3 * PAGE);
	assert_int_equal(place(space, PAGE + 1, PAGE, 0), space->lowest);
	assert_int_equal(place(space, space->highest, PAGE, 0), top - 4 * PAGE);
	assert_int_equal(place(space, BASE + 1, PAGE, 0), BASE);
}

static void A1_whole_huge_pages_are_aligned(void **state)
{
	struct quire_space *space = ((struct world *)*state)->space;
	const uint64_t huge = 2 * MIB, top = space->mmap_base;

	assert_int_equal(place(space, 0, PAGE, 0), top - PAGE);
	assert_int_equal(place(space, 0, huge, 0) % huge, 0);
	assert_int_equal(place(space, BASE + PAGE, huge, 0), BASE + PAGE);
	/* Not with a hint, even if it was taken. */
	assert_int_equal(place(space, 0, huge + PAGE, 0) % huge, huge - PAGE);
	assert_int_equal(place(space, BASE + PAGE, huge, 0) % huge, huge - PAGE);
	assert_int_equal(place(space, 0, huge, 0) % huge, 0);
	assert_int_equal(place(space, 0, PAGE, QUIRE_MAP_32BIT), 0x40000000);
	assert_int_equal(place(space, 0, huge, QUIRE_MAP_32BIT), 0x40200000);
}

static void A1_first_page_stays_free(void **state)
{
	struct world *world = *state;
	struct quire_space *space = open_space(world->machine, 0, 8 * PAGE, 0);
	uint64_t result;

	assert_int_equal(place(space, 0, 6 * PAGE, 0), 2 * PAGE);
	assert_int_equal(quire_mmap(space, 0, 2 * PAGE, RW, ANON, &result), -QUIRE_ENOMEM);
	assert_int_equal(place(space, 0, PAGE, 0), PAGE);
	assert_int_equal(quire_mmap(space, 0, PAGE, RW, ANON, &result), -QUIRE_ENOMEM);
	assert_int_equal(quire_mmap(space, 0, PAGE, RW, ANON_FIXED, &result), 0);
	assert_int_equal(result, 0);
	quire_space_destroy(space);
}

/* --- merging --- */

static void A1_new_mapping_joins_both_neighbours(void **state)
{
	struct quire_space *space = ((struct world *)*state)->space;

	/* AA..AA */
	map_at(space, 0, 2, RW);
	map_at(space, 4, 2, RW);
	assert_line(space, "0-2rw 4-6rw");
	map_at(space, 2, 2, RW);
	assert_line(space, "0-6rw");
	/* AAAAAA  the middle is replaced by something else, and by the same again */
	map_at(space, 2, 2, R);
	assert_line(space, "0-2rw 2-4r 4-6rw");
	map_at(space, 2, 2, RW);
	assert_line(space, "0-6rw");
}

static void A1_two_identities_stay_apart(void **state)
{
	struct quire_space *space = ((struct world *)*state)->space;

	/* *A..B*  written to apart from one another; what comes between goes to the first */
	map_at(space, 0, 2, RW);
	map_at(space, 4, 2, RW);
	touch(space, 0);
	touch(space, 5);
	map_at(space, 2, 2, RW);
	assert_line(space, "0-4rw 4-6rw");
}

static void A1_one_identity_is_enough_for_both(void **state)
{
	struct quire_space *space = ((struct world *)*state)->space;

	/* AA..B* */
	map_at(space, 0, 2, RW);
	map_at(space, 4, 2, RW);
	touch(space, 5);
	map_at(space, 2, 2, RW);
	assert_line(space, "0-6rw");
}

static void A2_first_write_takes_over_a_neighbours_identity(void **state)
{
	struct quire_space *space = ((struct world *)*state)->space;

	/* *ABB  the pages of B are numbered on from A, and only the permissions differ */
	map_at(space, 0, 4, RW);
	protect(space, 2, 2, RWX);
	touch(space, 0);
	touch(space, 2);
	protect(space, 2, 2, RW);
	assert_line(space, "0-4rw");
	/* *ABB*C  the next one is asked before the previous one */
	map_at(space, 10, 6, RW);
	protect(space, 12, 2, RWX);
	touch(space, 10);
	touch(space, 14);
	touch(space, 12);
	protect(space, 12, 2, RW);
	assert_line(space, "0-4rw 10-12rw 12-16rw");
}

static void A5_inherited_pages_keep_a_vma_apart(void **state)
{
	struct quire_space *space = ((struct world *)*state)->space;
	struct quire_space *child;

	/* *AAA..BB */
	map_at(space, 0, 4, RW);
	map_at(space, 6, 2, RW);
	touch(space, 0);
	child = child_of(space);
	map_at(space, 4, 2, RW);
	assert_line(space, "0-8rw");
	map_at(child, 4, 2, RW);
	assert_line(child, "0-4rw 4-8rw");
	/* Parts of one VMA join again. */
	protect(child, 1, 1, R);
	assert_line(child, "0-1rw 1-2r 2-4rw 4-8rw");
	protect(child, 1, 1, RW);
	assert_line(child, "0-4rw 4-8rw");
	/* What it grows by is its own. */
	assert_int_equal(quire_munmap(child, at(4), 2 * PAGE), 0);
	assert_int_equal(grow(child, 0, 4, 6), 0);
	assert_line(child, "0-8rw");
	quire_space_destroy(child);
}

static void A4_guard_flag_is_no_difference(void **state)
{
	struct quire_space *space = ((struct world *)*state)->space;

	/* AAAA  the whole VMA is told to have guards */
	map_at(space, 0, 4, RW);
	advise(space, 1, 1, QUIRE_MADV_GUARD_INSTALL);
	assert_line(space, "0-4rw");
	assert_flags(space, 0, "rd wr mr mw me gu ac");
	map_at(space, 4, 2, RW);
	assert_line(space, "0-6rw");
	advise(space, 0, 6, QUIRE_MADV_GUARD_REMOVE);
	assert_flags(space, 5, "rd wr mr mw me gu ac");
}

/* --- what is accounted --- */

static void A2_accounting_ends_only_where_no_page_ever_was(void **state)
{
	struct quire_space *space = ((struct world *)*state)->space;

	map_at(space, 0, 2, RW);
	map_at(space, 4, 2, RW);
	touch(space, 4);
	protect(space, 0, 2, R);
	assert_flags(space, 0, "rd mr mw me");
	protect(space, 4, 2, R);
	assert_flags(space, 4, "rd mr mw me ac");
	advise(space, 4, 2, QUIRE_MADV_DONTNEED);
	protect(space, 4, 2, NONE);
	assert_flags(space, 4, "mr mw me ac");
	protect(space, 0, 2, RW);
	assert_flags(space, 0, "rd wr mr mw me ac");
}

static void A1_commit_limit_counts_what_is_added(void **state)
{
	struct quire_space *space = ((struct world *)*state)->space;
	const uint64_t limit = PAGE_LIMIT * PAGE;
	uint64_t result;

	assert_int_equal(quire_mmap(space, BASE, limit + PAGE, RW, ANON_FIXED, &result),
			 -QUIRE_ENOMEM);
	assert_int_equal(quire_mmap(space, BASE, limit, RW, ANON_FIXED, &result), 0);
	/* What the mapping replaces is accounted for already. */
	assert_int_equal(quire_mmap(space, BASE, 2 * limit + PAGE, RW, ANON_FIXED, &result),
			 -QUIRE_ENOMEM);
	assert_int_equal(quire_mmap(space, BASE, 2 * limit, RW, ANON_FIXED, &result), 0);
	assert_int_equal(
		quire_mmap(space, BASE, 9 * limit, RW, ANON_FIXED | QUIRE_MAP_NORESERVE, &result),
		0);
	assert_int_equal(quire_mmap(space, BASE, 9 * limit, R, ANON_FIXED, &result), 0);
	assert_int_equal(quire_mprotect(space, BASE, limit + PAGE, RW), -QUIRE_ENOMEM);
	assert_int_equal(quire_mprotect(space, BASE, limit, RW), 0);
}

/* --- mremap --- */

static void A3_moved_vma_merges_by_its_numbering(void **state)
{
	struct quire_space *space = ((struct world *)*state)->space;

	/* AA..........BB  no page yet: numbered by the new place */
	map_at(space, 0, 2, RW);
	map_at(space, 12, 2, RW);
	move(space, 12, 2, 2, 2);
	assert_line(space, "0-4rw");
	/* AAAA........*C  has pages: numbered as it was */
	map_at(space, 12, 2, RW);
	touch(space, 12);
	move(space, 12, 2, 2, 4);
	assert_line(space, "0-4rw 4-6rw");
	/* *AAAAA  away and back */
	assert_int_equal(quire_munmap(space, BASE, 6 * PAGE), 0);
	map_at(space, 0, 6, RW);
	touch(space, 0);
	move(space, 2, 2, 2, 20);
	assert_line(space, "0-2rw 4-6rw 20-22rw");
	move(space, 20, 2, 2, 2);
	assert_line(space, "0-6rw");
}

static void A3_move_takes_every_vma_and_only_their_places(void **state)
{
	struct quire_space *space = ((struct world *)*state)->space;

	/* AABB..AA  onto xxxxxxxx */
	map_at(space, 0, 2, RW);
	map_at(space, 2, 2, R);
	map_at(space, 6, 2, RW);
	map_at(space, 20, 8, NONE);
	move(space, 0, 8, 8, 20);
	assert_line(space, "20-22rw 22-24r 24-26- 26-28rw");
}

static void A3_identity_reaches_through_the_source(void **state)
{
	struct quire_space *space = ((struct world *)*state)->space;

	/*
	 * *.AAAAAA  pages 4 and 5 go to 1 and 2: the new VMA joins the first and what is left of
	 * the source, which so has that identity
	 */
	map_at(space, 0, 1, RW);
	touch(space, 0);
	map_at(space, 3, 7, RW);
	move(space, 4, 2, 2, 1);
	assert_line(space, "0-4rw 6-10rw");
	protect(space, 6, 4, R);
	assert_flags(space, 6, "rd mr mw me ac");
}

static void A3_grows_in_place_up_to_what_follows(void **state)
{
	struct quire_space *space = ((struct world *)*state)->space;
	uint64_t result;

	/* AA..A. */
	map_at(space, 0, 2, RW);
	map_at(space, 4, 1, RW);
	assert_int_equal(grow(space, 0, 2, 5), -QUIRE_ENOMEM);
	assert_int_equal(grow(space, 0, 2, 4), 0);
	assert_line(space, "0-5rw");
	assert_int_equal(grow(space, 0, 2, 3), -QUIRE_ENOMEM);
	assert_int_equal(grow(space, 0, 6, 7), -QUIRE_EFAULT);
	assert_int_equal(grow(space, 0, 7, 3), 0);
	assert_line(space, "0-3rw");
	assert_int_equal(
		quire_mremap(space, at(1), PAGE, 2 * PAGE, QUIRE_MREMAP_MAYMOVE, 0, &result), 0);
	assert_line(space, "0-1rw 2-3rw");
}

static void A3_refused_growth_has_emptied_the_new_place(void **state)
{
	struct quire_space *space = ((struct world *)*state)->space;
	uint64_t result;

	map_at(space, 0, 2, RW);
	map_at(space, 10, 2, R);
	assert_int_equal(quire_mremap(space, at(0), 2 * PAGE, (PAGE_LIMIT + 3) * PAGE, MOVE_TO,
				      at(10), &result),
			 -QUIRE_ENOMEM);
	assert_line(space, "0-2rw");
}

/* --- too many VMAs --- */

/* Single pages from page 100 on, as many as make `count` VMAs with what lies before them. */
static void crowd(struct quire_space *space, uint64_t count)
{
	assert_int_equal(quire_munmap(space, at(100), 100 * PAGE), 0);
	for (uint64_t page = 100; space->vma_count < count; page += 2)
		map_at(space, page, 1, R);
	assert_int_equal(space->vma_count, count);
}

static void A1_limit_of_mappings(void **state)
{
	struct quire_space *space = ((struct world *)*state)->space;
	uint64_t result;

	/* One more than the limit may be mapped; then nothing, not even what would merge. */
	crowd(space, MAPS_LIMIT + 1);
	assert_int_equal(quire_mmap(space, at(101), PAGE, R, ANON_FIXED, &result), -QUIRE_ENOMEM);
	/* The length is looked at before, the kind only later. */
	assert_int_equal(quire_mmap(space, 0, 0, R, ANON, &result), -QUIRE_EINVAL);
	assert_int_equal(quire_mmap(space, 1, PAGE, R, QUIRE_MAP_FIXED | QUIRE_MAP_ANONYMOUS,
				    &result), -QUIRE_ENOMEM);
	assert_int_equal(quire_munmap(space, at(100), PAGE), 0);
	assert_int_equal(quire_mmap(space, at(101), PAGE, R, ANON_FIXED, &result), 0);
}

static void A1_limit_of_splits(void **state)
{
	struct quire_space *space = ((struct world *)*state)->space;

	/* AAAAA */
	map_at(space, 0, 5, RW);
	crowd(space, MAPS_LIMIT);
	assert_int_equal(quire_munmap(space, at(2), PAGE), -QUIRE_ENOMEM);
	assert_int_equal(quire_mprotect(space, at(0), PAGE, R), -QUIRE_ENOMEM);
	assert_int_equal(quire_mlock(space, at(0), PAGE), -QUIRE_ENOMEM);
	assert_int_equal(quire_madvise(space, at(0), PAGE, QUIRE_MADV_DONTFORK), -QUIRE_EAGAIN);
	assert_line(space,
		    "0-5rw 100-101r 102-103r 104-105r 106-107r 108-109r 110-111r 112-113r "
		    "114-115r 116-117r 118-119r 120-121r 122-123r 124-125r 126-127r 128-129r");
	assert_int_equal(quire_munmap(space, at(4), PAGE), 0);
	crowd(space, MAPS_LIMIT - 1);
	assert_int_equal(quire_mprotect(space, at(1), PAGE, R), -QUIRE_ENOMEM);
	assert_int_equal(quire_mprotect(space, at(0), PAGE, R), 0);
	/* BAAA  no split: the page goes over to its neighbour */
	assert_int_equal(quire_mprotect(space, at(1), PAGE, R), 0);
	assert_int_equal(quire_munmap(space, at(0), PAGE), 0);
}

static void A3_limit_of_moves(void **state)
{
	struct quire_space *space = ((struct world *)*state)->space;
	uint64_t result;

	map_at(space, 0, 4, RW);
	map_at(space, 4, 1, R);
	crowd(space, MAPS_LIMIT - 5);
	assert_int_equal(quire_mremap(space, at(0), PAGE, PAGE, MOVE_TO, at(50), &result),
			 -QUIRE_ENOMEM);
	crowd(space, MAPS_LIMIT - 6);
	move(space, 0, 1, 1, 50);
	crowd(space, MAPS_LIMIT - 3);
	assert_int_equal(
		quire_mremap(space, at(1), PAGE, 2 * PAGE, QUIRE_MREMAP_MAYMOVE, 0, &result),
		-QUIRE_ENOMEM);
	crowd(space, MAPS_LIMIT - 4);
	assert_int_equal(
		quire_mremap(space, at(1), PAGE, 2 * PAGE, QUIRE_MREMAP_MAYMOVE, 0, &result), 0);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, open_world, close_world)
	const struct CMUnitTest tests[] = {
		T(A1_highest_hole_at_its_upper_end),
		T(A1_whole_huge_pages_are_aligned),
		T(A1_first_page_stays_free),
		T(A1_new_mapping_joins_both_neighbours),
		T(A1_two_identities_stay_apart),
		T(A1_one_identity_is_enough_for_both),
		T(A2_first_write_takes_over_a_neighbours_identity),
		T(A5_inherited_pages_keep_a_vma_apart),
		T(A4_guard_flag_is_no_difference),
		T(A2_accounting_ends_only_where_no_page_ever_was),
		T(A1_commit_limit_counts_what_is_added),
		T(A3_moved_vma_merges_by_its_numbering),
		T(A3_move_takes_every_vma_and_only_their_places),
		T(A3_identity_reaches_through_the_source),
		T(A3_grows_in_place_up_to_what_follows),
		T(A3_refused_growth_has_emptied_the_new_place),
		T(A1_limit_of_mappings),
		T(A1_limit_of_splits),
		T(A3_limit_of_moves),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
