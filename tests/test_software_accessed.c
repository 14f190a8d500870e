/* SPDX-License-Identifier: MIT */
/*
 * An MMU that does not set accessed and dirty (struct quire_machine_config, software_accessed): every
 * access comes to its end, and the bits are those that a walk would have set.
 */
#include "soft_fixture.h"

static struct soft_fixture fixture;
static struct soft_cpu *cpu;

static void open_memory(void)
{
	fixture = soft_fixture_open(
		&(struct soft_config){.memory = 16 * MIB, .cpus = 1, .software_accessed = true});
	cpu = soft_machine_cpu(fixture.machine, 0);
	soft_cpu_enter(cpu, fixture.space);
}

static void touch(uint64_t page, enum quire_access access)
{
	assert_int_equal(soft_touch(cpu, page, access).outcome, QUIRE_DONE);
}

static void expect(uint64_t page, bool young, bool dirty)
{
	struct quire_entry_report leaf = entry_at(fixture.space, page);

	assert_int_equal(leaf.kind, QUIRE_ENTRY_LEAF);
	assert_int_equal(leaf.young, young);
	assert_int_equal(leaf.dirty, dirty);
}

/* One walk, as an MMU makes it: it changes nothing. */
static bool walk(uint64_t page, enum quire_access access)
{
	struct quire_translation translation;

	return quire_translate(fixture.space, page, access, &translation);
}

static void a_fault_sets_what_the_access_needs(void **state)
{
	struct quire_space *child;
	uint64_t page;

	(void)state;
	open_memory();
	page = map(fixture.space, 1, RW);
	touch(page, QUIRE_WRITE);
	expect(page, true, true);
	assert_int_equal(quire_madvise(fixture.space, page, PAGE, QUIRE_MADV_FREE), 0);
	expect(page, false, false);
	assert_false(walk(page, QUIRE_READ));
	assert_int_equal(quire_fault(fixture.space, page, QUIRE_READ).outcome, QUIRE_DONE);
	expect(page, true, false);
	assert_true(walk(page, QUIRE_READ));
	touch(page, QUIRE_READ);
	/* It may be written to, and yet the first store faults. */
	assert_true(entry_at(fixture.space, page).writable);
	assert_false(walk(page, QUIRE_WRITE));
	expect(page, true, false);
	touch(page, QUIRE_WRITE);
	expect(page, true, true);
	assert_true(walk(page, QUIRE_WRITE));

	/* Copy-on-write, and permissions that come back, as ever. */
	assert_int_equal(quire_fork(fixture.space, &child), 0);
	touch(page, QUIRE_WRITE);
	expect(page, true, true);
	assert_false(entry_at(child, page).writable);
	quire_space_destroy(child);
	assert_int_equal(quire_mprotect(fixture.space, page, PAGE, R), 0);
	assert_int_equal(soft_touch(cpu, page, QUIRE_WRITE).outcome, QUIRE_SEGV);
	assert_int_equal(quire_mprotect(fixture.space, page, PAGE, RW), 0);
	touch(page, QUIRE_WRITE);
	soft_fixture_close(&fixture);
}

/* A writable leaf of a shared mapping is clean until it is written to, and then its page is kept. */
static void shared_memory_is_dirty_when_it_was_written_to(void **state)
{
	struct quire_object *object;
	uint64_t page = 0, value = 7;

	(void)state;
	open_memory();
	assert_int_equal(quire_shmem_create(soft_machine_core(fixture.machine), PAGE, &object), 0);
	assert_int_equal(
		quire_mmap_object(fixture.space, 0, PAGE, RW, QUIRE_MAP_SHARED, object, 0, &page),
		0);
	touch(page, QUIRE_READ);
	expect(page, true, false);
	assert_int_equal(soft_store64(cpu, page, value).outcome, QUIRE_DONE);
	expect(page, true, true);
	quire_object_put(object);
	soft_fixture_close(&fixture);
}

/* With an argument: the tests of that name. */
int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_fault_sets_what_the_access_needs),
		cmocka_unit_test(shared_memory_is_dirty_when_it_was_written_to),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
