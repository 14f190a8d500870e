/* SPDX-License-Identifier: MIT */
/*
 * The encoding of shadow stacks (write=0, dirty=1): only leaves of shadow stacks have it, at every
 * level, and one that is found elsewhere as it is taken out is counted and logged (BEHAVIOUR E5).
 */
#include "soft_fixture.h"
#include "space/space.h"
#include "table/cursor.h"

#include <string.h>

#define SPAN ((uint64_t)1 << 30) /* of a leaf of the highest level */
/* A device's: no frame of the machine. */
#define DEVICE_FRAME ((uint64_t)1 << 30)

static struct soft_fixture fixture;
static uint64_t logged;

static void note(void *context, const char *what, uint64_t address)
{
	(void)context;
	assert_non_null(strstr(what, "shadow stack"));
	logged = address;
}

static void open_memory(void)
{
	logged = 0;
	fixture = soft_fixture_open(
		&(struct soft_config){.memory = 16 * MIB, .cpus = 1, .log = note});
}

static uint64_t misplaced(void)
{
	struct quire_machine_counters counters;

	quire_machine_count(soft_machine_core(fixture.machine), &counters);
	return counters.shadow_stacks_misplaced;
}

static bool has_encoding(struct quire_space *space, uint64_t page)
{
	struct table_run run;

	table_run(&space->tables, page, page + PAGE, true, &run);
	return run.shadow_stack;
}

static bool reached(struct quire_space *space, uint64_t page, enum quire_access access)
{
	struct quire_translation translation;

	return quire_translate(space, page, access, &translation);
}

static void assert_refused(struct quire_space *space, uint64_t page, enum quire_access access)
{
	struct quire_fault_result result = quire_fault(space, page, access);

	assert_int_equal(result.outcome, QUIRE_SEGV);
	assert_int_equal(result.code, QUIRE_SEGV_ACCERR);
	assert_false(reached(space, page, access));
}

static void push(struct quire_space *space, uint64_t page)
{
	assert_int_equal(quire_fault(space, page, QUIRE_SHADOW_STACK).outcome, QUIRE_DONE);
	assert_true(reached(space, page, QUIRE_SHADOW_STACK));
	assert_true(has_encoding(space, page));
}

static void calls_write_to_a_shadow_stack_and_stores_do_not(void **state)
{
	struct quire_space *space, *child;
	uint64_t stack, other, done, value = 7;

	(void)state;
	open_memory();
	space = fixture.space;
	assert_int_equal(quire_map_shadow_stack(space, 0, 2 * PAGE, &stack), 0);
	assert_refused(space, stack, QUIRE_WRITE);
	assert_int_equal(quire_fault(space, stack, QUIRE_READ).outcome, QUIRE_DONE);
	assert_false(has_encoding(space, stack));
	push(space, stack);
	assert_refused(space, stack, QUIRE_WRITE);
	assert_true(reached(space, stack, QUIRE_READ));
	assert_int_equal(quire_access_write(space, stack, &value, sizeof(value), &done),
			 -QUIRE_EFAULT);
	assert_int_equal(quire_access_read(space, stack, &value, sizeof(value), &done), 0);
	assert_int_equal(value, 0);

	/* A page of two is neither's, and the dirty bit waits. */
	assert_int_equal(quire_fork(space, &child), 0);
	assert_false(has_encoding(space, stack));
	assert_false(has_encoding(child, stack));
	assert_true(entry_at(space, stack).dirty);
	assert_false(reached(space, stack, QUIRE_SHADOW_STACK));
	push(child, stack);
	push(space, stack);
	assert_int_not_equal(entry_at(space, stack).frame, entry_at(child, stack).frame);

	/* Without write permission it is memory like other memory. */
	assert_int_equal(quire_mprotect(space, stack, PAGE, R), 0);
	assert_false(has_encoding(space, stack));
	assert_true(entry_at(space, stack).dirty);
	assert_refused(space, stack, QUIRE_SHADOW_STACK);
	assert_int_equal(quire_mprotect(space, stack, PAGE, RW), 0);
	assert_true(has_encoding(space, stack));
	assert_sound(fixture.machine);

	other = map(space, 1, RW);
	assert_refused(space, other, QUIRE_SHADOW_STACK);
	assert_int_equal(quire_munmap(space, stack, PAGE), 0);
	quire_space_destroy(child);
	assert_int_equal(misplaced(), 0);
	assert_int_equal(logged, 0);

	assert_int_equal(quire_map_shadow_stack(space, stack, 0, &other), -QUIRE_EINVAL);
	assert_int_equal(quire_map_shadow_stack(space, stack, 2 * PAGE, &other), -QUIRE_EEXIST);
	assert_int_equal(quire_map_shadow_stack(space, stack, PAGE, &other), 0);
	assert_int_equal(other, stack);
	soft_fixture_close(&fixture);
}

/* The place of one leaf of the highest level. */
static uint64_t map_span(void)
{
	uint64_t base = 0;

	assert_int_equal(quire_mmap(fixture.space, 0, 2 * SPAN, RW,
				    QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS | QUIRE_MAP_NORESERVE,
				    &base),
			 0);
	return (base + SPAN - 1) & ~(SPAN - 1);
}

/* A leaf as nothing but a hand could put it there. */
static void put_leaf(uint64_t address, unsigned level, entry_t leaf)
{
	struct page_tables *tables = &fixture.space->tables;
	struct table_reserve reserve = {0};
	struct cursor cursor;

	assert_int_equal(table_reserve(fixture.space->machine, &reserve, ARCH_LEVELS), 0);
	cursor_begin(&cursor, tables, address, address + level_span(level), NULL);
	while (cursor.level > level)
		cursor_push_down(&cursor, &reserve);
	cursor_exchange(&cursor, leaf);
	cursor_end(&cursor);
	table_unreserve(fixture.space->machine, &reserve);
}

static entry_t writable_leaf(unsigned level)
{
	entry_t leaf = entry_make_leaf(DEVICE_FRAME, level);

	leaf = entry_set_exclusive(leaf, true);
	return entry_set_dirty(entry_set_permissions(leaf, true, true, false), true);
}

static void a_leaf_that_loses_write_permission_does_not_get_it(void **state)
{
	uint64_t base;

	(void)state;
	open_memory();
	base = map_span();
	for (unsigned level = 0; level <= ARCH_LEAF_LEVEL_MAX; level++) {
		put_leaf(base, level, writable_leaf(level));
		assert_int_equal(quire_mprotect(fixture.space, base, SPAN, R), 0);
		assert_int_equal(entry_at(fixture.space, base).level, level);
		assert_false(has_encoding(fixture.space, base));
		assert_true(entry_at(fixture.space, base).dirty);
		assert_int_equal(quire_mprotect(fixture.space, base, SPAN, RW), 0);
		assert_true(entry_at(fixture.space, base).dirty);
		assert_true(entry_at(fixture.space, base).writable);
		assert_int_equal(quire_madvise(fixture.space, base, SPAN, QUIRE_MADV_DONTNEED), 0);
		assert_int_equal(misplaced(), 0);
	}
	soft_fixture_close(&fixture);
}

static void one_that_is_found_elsewhere_is_counted_and_logged(void **state)
{
	uint64_t base, stack;

	(void)state;
	open_memory();
	base = map_span();
	assert_int_equal(quire_map_shadow_stack(fixture.space, 0, PAGE, &stack), 0);
	push(fixture.space, stack);
	for (unsigned level = 0; level <= ARCH_LEAF_LEVEL_MAX; level++) {
		uint64_t at = base + SPAN - level_span(level);

		put_leaf(at, level, entry_make_shadow_stack(writable_leaf(level)));
		assert_true(has_encoding(fixture.space, at));
		assert_int_equal(quire_madvise(fixture.space, base, SPAN, QUIRE_MADV_DONTNEED), 0);
		assert_int_equal(misplaced(), level + 1);
		assert_int_equal(logged, at);
	}
	soft_fixture_close(&fixture);
}

/* With an argument: the tests of that name. */
int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(calls_write_to_a_shadow_stack_and_stores_do_not),
		cmocka_unit_test(a_leaf_that_loses_write_permission_does_not_get_it),
		cmocka_unit_test(one_that_is_found_elsewhere_is_counted_and_logged),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
