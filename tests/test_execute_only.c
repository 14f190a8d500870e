/* SPDX-License-Identifier: MIT */
/*
 * Execute-only memory, on a machine that has it and on one that has not, beyond what a scenario can
 * ask: see A8-execute-only.lua.
 */
#include "soft_fixture.h"

#define EXECUTE	    QUIRE_PROT_EXEC
#define EXECUTE_SEM (QUIRE_PROT_EXEC | QUIRE_PROT_SEM)

static struct soft_fixture fixture;
static struct soft_cpu *cpu;

static void open_memory(bool execute_only)
{
	fixture = soft_fixture_open(
		&(struct soft_config){.memory = 16 * MIB, .cpus = 2, .execute_only = execute_only});
	cpu = soft_machine_cpu(fixture.machine, 0);
	soft_cpu_enter(cpu, fixture.space);
}

static void close_memory(void)
{
	assert_sound(fixture.machine);
	soft_fixture_close(&fixture);
}

static void assert_denied(uint64_t page, enum quire_access access)
{
	struct soft_result result = soft_touch(cpu, page, access);

	assert_int_equal(result.outcome, QUIRE_SEGV);
	assert_int_equal(result.code, QUIRE_SEGV_PKUERR);
}

static void assert_allowed(uint64_t page, enum quire_access access)
{
	assert_int_equal(soft_touch(cpu, page, access).outcome, QUIRE_DONE);
}

static void without_it_what_may_be_executed_can_be_read(void **state)
{
	uint64_t page;

	(void)state;
	open_memory(false);
	page = map(fixture.space, 1, EXECUTE);
	assert_allowed(page, QUIRE_EXECUTE);
	assert_allowed(page, QUIRE_READ);
	assert_true(entry_at(fixture.space, page).readable);
	assert_int_equal(soft_touch(cpu, page, QUIRE_WRITE).code, QUIRE_SEGV_ACCERR);
	assert_int_equal(quire_mlock(fixture.space, page, PAGE), 0);
	close_memory();
}

static void it_has_a_leaf_that_is_executable_and_not_readable(void **state)
{
	struct quire_entry_report leaf;
	uint64_t page;

	(void)state;
	open_memory(true);
	page = map(fixture.space, 1, EXECUTE);
	assert_denied(page, QUIRE_READ);
	assert_int_equal(entry_at(fixture.space, page).kind, QUIRE_ENTRY_ABSENT);
	assert_allowed(page, QUIRE_EXECUTE);
	leaf = entry_at(fixture.space, page);
	assert_int_equal(leaf.kind, QUIRE_ENTRY_LEAF);
	assert_true(leaf.user && leaf.exec && !leaf.readable && !leaf.writable);
	assert_denied(page, QUIRE_READ);
	assert_denied(page, QUIRE_WRITE);
	close_memory();
}

/* The other CPU has the translation, too. */
static void a_load_goes_by_no_translation_from_before(void **state)
{
	struct soft_cpu *second;
	uint64_t page, value;

	(void)state;
	open_memory(true);
	second = soft_machine_cpu(fixture.machine, 1);
	soft_cpu_enter(second, fixture.space);
	page = map(fixture.space, 1, QUIRE_PROT_READ | QUIRE_PROT_EXEC);
	assert_int_equal(soft_load64(second, page, &value).outcome, QUIRE_DONE);
	assert_int_equal(quire_mprotect(fixture.space, page, PAGE, EXECUTE), 0);
	assert_int_equal(soft_load64(second, page, &value).code, QUIRE_SEGV_PKUERR);
	assert_int_equal(soft_touch(second, page, QUIRE_EXECUTE).outcome, QUIRE_DONE);
	assert_int_equal(soft_load64(second, page, &value).code, QUIRE_SEGV_PKUERR);
	soft_cpu_leave(second);
	close_memory();
}

/* As on Linux, which compares prot with PROT_EXEC; such mappings do not merge. */
static void another_bit_in_prot_makes_it_readable(void **state)
{
	struct quire_vma_report vma;
	uint64_t base;

	(void)state;
	open_memory(true);
	base = map(fixture.space, 6, EXECUTE);
	assert_int_equal(quire_mprotect(fixture.space, base + 2 * PAGE, 2 * PAGE, EXECUTE_SEM), 0);
	assert_denied(base, QUIRE_READ);
	assert_allowed(base + 2 * PAGE, QUIRE_READ);
	assert_int_equal(quire_vma(fixture.space, base, &vma), 0);
	assert_int_equal(vma.end, base + 2 * PAGE);
	assert_string_equal(vma.flags, "ex mr mw me");
	assert_int_equal(quire_mprotect(fixture.space, base + 2 * PAGE, 2 * PAGE, EXECUTE), 0);
	assert_denied(base + 2 * PAGE, QUIRE_READ);
	assert_int_equal(quire_vma(fixture.space, base, &vma), 0);
	assert_int_equal(vma.end, base + 6 * PAGE);
	assert_allowed(map(fixture.space, 1, EXECUTE_SEM), QUIRE_READ);
	close_memory();
}

static void a_page_keeps_it_while_it_moves(void **state)
{
	struct quire_space *child;
	uint64_t page, moved;

	(void)state;
	open_memory(true);
	page = map(fixture.space, 1, RW);
	assert_int_equal(soft_store64(cpu, page, 42).outcome, QUIRE_DONE);
	assert_int_equal(quire_mprotect(fixture.space, page, PAGE, EXECUTE), 0);
	assert_int_equal(quire_migrate(fixture.space, page, PAGE, &moved), 0);
	assert_int_equal(moved, 1);
	assert_denied(page, QUIRE_READ);
	assert_allowed(page, QUIRE_EXECUTE);
	assert_int_equal(quire_fork(fixture.space, &child), 0);
	assert_false(entry_at(child, page).readable);
	assert_true(entry_at(child, page).exec);
	quire_space_destroy(child);
	close_memory();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_it_what_may_be_executed_can_be_read),
		cmocka_unit_test(it_has_a_leaf_that_is_executable_and_not_readable),
		cmocka_unit_test(a_load_goes_by_no_translation_from_before),
		cmocka_unit_test(another_bit_in_prot_makes_it_readable),
		cmocka_unit_test(a_page_keeps_it_while_it_moves),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
