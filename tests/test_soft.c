/* SPDX-License-Identifier: MIT */
/* The software MMU, one CPU at a time: its TLB against the page tables, and accesses of all shapes.
 */
#include <string.h>

#include "soft_fixture.h"

static struct soft_fixture fixture;
static struct soft_cpu *cpu;

static int open_machine(void **state)
{
	(void)state;
	fixture = soft_fixture_open(&(struct soft_config){.memory = 16 * MIB, .cpus = 2});
	cpu = soft_machine_cpu(fixture.machine, 0);
	soft_cpu_enter(cpu, fixture.space);
	return 0;
}

static int close_machine(void **state)
{
	(void)state;
	soft_fixture_close(&fixture);
	return 0;
}

/* What an access does to the CPU's counters. */
static uint64_t walks(void)
{
	return soft_cpu_counters(cpu).walks;
}
static uint64_t faults(void)
{
	return soft_cpu_counters(cpu).faults;
}

static void assert_done(struct soft_result result, uint64_t bytes)
{
	assert_int_equal(result.outcome, QUIRE_DONE);
	assert_int_equal(result.done, bytes);
}

static void assert_segv(struct soft_result result, int code, uint64_t bytes)
{
	assert_int_equal(result.outcome, QUIRE_SEGV);
	assert_int_equal(result.code, code);
	assert_int_equal(result.done, bytes);
}

static uint64_t load(uint64_t address)
{
	uint64_t value = 0;

	assert_done(soft_load64(cpu, address, &value), 8);
	return value;
}

static void store(uint64_t address, uint64_t value)
{
	assert_done(soft_store64(cpu, address, value), 8);
}

/* ---- machines ----------------------------------------------------------------------------------
 */

static void a_machine_refuses_what_it_cannot_be(void **state)
{
	struct soft_machine *machine;

	(void)state;
	assert_int_equal(
		soft_machine_open(&(struct soft_config){.cpus = SOFT_CPUS_MAX + 1}, &machine),
		-QUIRE_EINVAL);
	assert_int_equal(soft_machine_open(&(struct soft_config){.memory = PAGE}, &machine),
			 -QUIRE_EINVAL);
	assert_int_equal(soft_machine_open(&(struct soft_config){.memory = 2 * MIB + 1}, &machine),
			 -QUIRE_EINVAL);
}

static void a_machine_with_a_space_is_not_closed(void **state)
{
	struct soft_machine *machine;
	struct quire_space *space;

	(void)state;
	assert_int_equal(soft_machine_open(&(struct soft_config){0}, &machine), 0);
	assert_int_equal(soft_machine_cpus(machine), 1);
	space = new_space(machine);
	assert_int_equal(soft_machine_close(machine), -QUIRE_EBUSY);
	quire_space_destroy(space);
	assert_int_equal(soft_machine_close(machine), 0);
}

/* ---- the TLB -----------------------------------------------------------------------------------
 */

static void a_page_that_was_used_is_not_walked_again(void **state)
{
	uint64_t page = map(fixture.space, 1, RW), before;

	(void)state;
	store(page, 1);
	before = walks();
	for (unsigned i = 0; i < 100; i++) {
		store(page + 8 * i, i);
		assert_int_equal(load(page + 8 * i), i);
	}
	assert_int_equal(walks(), before);
}

static void a_fault_is_taken_once(void **state)
{
	uint64_t page = map(fixture.space, 1, RW), before = faults();

	(void)state;
	store(page, 1);
	assert_int_equal(faults(), before + 1);
	soft_cpu_leave(cpu);
	soft_cpu_enter(cpu, fixture.space);
	assert_int_equal(load(page), 1);
	assert_int_equal(faults(), before + 1);
}

/* Pages a whole TLB apart want the same entry. */
static void pages_that_share_an_entry_keep_their_contents(void **state)
{
	const uint64_t apart = SOFT_TLB_ENTRIES * PAGE;
	uint64_t first = map(fixture.space, 2 * SOFT_TLB_ENTRIES, RW);

	(void)state;
	for (unsigned i = 0; i < 10; i++) {
		store(first, i);
		store(first + apart, ~(uint64_t)i);
		assert_int_equal(load(first), i);
		assert_int_equal(load(first + apart), ~(uint64_t)i);
	}
}

static void lost_permission_holds_for_the_next_access(void **state)
{
	uint64_t page = map(fixture.space, 1, RW), value;

	(void)state;
	store(page, 1);
	assert_int_equal(quire_mprotect(fixture.space, page, PAGE, R), 0);
	assert_segv(soft_store64(cpu, page, 2), QUIRE_SEGV_ACCERR, 0);
	assert_int_equal(load(page), 1);
	assert_int_equal(quire_mprotect(fixture.space, page, PAGE, NONE), 0);
	assert_segv(soft_load64(cpu, page, &value), QUIRE_SEGV_ACCERR, 0);
	assert_int_equal(quire_munmap(fixture.space, page, PAGE), 0);
	assert_segv(soft_load64(cpu, page, &value), QUIRE_SEGV_MAPERR, 0);
}

static void gained_permission_holds_for_the_next_access(void **state)
{
	uint64_t page = map(fixture.space, 1, RW);

	(void)state;
	store(page, 1);
	assert_int_equal(quire_mprotect(fixture.space, page, PAGE, NONE), 0);
	assert_int_equal(quire_mprotect(fixture.space, page, PAGE, RW), 0);
	assert_int_equal(load(page), 1);
	store(page, 2);
	assert_int_equal(load(page), 2);
}

/* More pages than a flush forgets one by one, and than the TLB has. */
static void a_large_range_is_forgotten_too(void **state)
{
	const uint64_t pages = SOFT_TLB_ENTRIES + 100;
	uint64_t first = map(fixture.space, pages, RW);

	(void)state;
	for (uint64_t i = 0; i < pages; i++)
		store(first + i * PAGE, i);
	assert_int_equal(quire_mprotect(fixture.space, first, pages * PAGE, R), 0);
	for (uint64_t i = 0; i < pages; i++) {
		assert_segv(soft_store64(cpu, first + i * PAGE, 0), QUIRE_SEGV_ACCERR, 0);
		assert_int_equal(load(first + i * PAGE), i);
	}
}

static void only_executable_pages_are_fetched_from(void **state)
{
	uint64_t page = map(fixture.space, 1, RW);

	(void)state;
	store(page, 1);
	assert_segv(soft_touch(cpu, page, QUIRE_EXECUTE), QUIRE_SEGV_ACCERR, 0);
	assert_int_equal(quire_mprotect(fixture.space, page, PAGE, RX), 0);
	assert_done(soft_touch(cpu, page, QUIRE_EXECUTE), 1);
	assert_int_equal(load(page), 1);
	assert_segv(soft_touch(cpu, page, QUIRE_WRITE), QUIRE_SEGV_ACCERR, 0);
}

static void a_cpu_in_another_space_sees_that_one(void **state)
{
	struct quire_space *other = new_space(fixture.machine);
	uint64_t page = map(fixture.space, 1, RW);

	(void)state;
	assert_int_equal(map(other, 1, RW), page);
	store(page, 1);
	soft_cpu_enter(cpu, other);
	assert_ptr_equal(soft_cpu_space(cpu), other);
	assert_int_equal(load(page), 0);
	store(page, 2);
	soft_cpu_enter(cpu, fixture.space);
	assert_int_equal(load(page), 1);
	quire_space_destroy(other);
}

/* Both CPUs are this thread's. */
static void a_flush_reaches_every_cpu_of_the_thread(void **state)
{
	struct soft_cpu *second = soft_machine_cpu(fixture.machine, 1);
	uint64_t page = map(fixture.space, 1, RW);

	(void)state;
	soft_cpu_enter(second, fixture.space);
	assert_done(soft_store64(second, page, 1), 8);
	store(page, 2);
	assert_int_equal(quire_mprotect(fixture.space, page, PAGE, R), 0);
	assert_segv(soft_store64(second, page, 3), QUIRE_SEGV_ACCERR, 0);
	assert_segv(soft_store64(cpu, page, 3), QUIRE_SEGV_ACCERR, 0);
}

/* ---- accessed and dirty ------------------------------------------------------------------------
 */

static void a_store_leaves_the_page_young_and_dirty(void **state)
{
	uint64_t page = map(fixture.space, 1, RW);

	(void)state;
	store(page, 1);
	assert_true(entry_at(fixture.space, page).young);
	assert_true(entry_at(fixture.space, page).dirty);
}

/* MADV_FREE leaves a writable page that is clean. */
static void a_load_leaves_a_clean_page_clean_and_the_first_store_does_not(void **state)
{
	uint64_t page = map(fixture.space, 1, RW), before;

	(void)state;
	store(page, 1);
	assert_int_equal(quire_madvise(fixture.space, page, PAGE, QUIRE_MADV_FREE), 0);
	assert_false(entry_at(fixture.space, page).dirty);
	assert_int_equal(load(page), 1);
	assert_true(entry_at(fixture.space, page).young);
	assert_false(entry_at(fixture.space, page).dirty);
	before = faults();
	store(page, 2);
	assert_true(entry_at(fixture.space, page).dirty);
	assert_int_equal(faults(), before);
}

static void a_write_touch_makes_dirty_and_keeps_the_content(void **state)
{
	uint64_t page = map(fixture.space, 1, RW);

	(void)state;
	assert_done(soft_touch(cpu, page + 5, QUIRE_READ), 1);
	assert_false(entry_at(fixture.space, page).dirty);
	assert_done(soft_touch(cpu, page + 5, QUIRE_WRITE), 1);
	assert_true(entry_at(fixture.space, page).dirty);
	assert_int_equal(load(page), 0);
}

/* ---- accesses of all shapes --------------------------------------------------------------------
 */

#define AROUND 24 /* bytes on each side of a page boundary */

static struct soft_result store_scalar(uint64_t address, unsigned size, uint64_t value)
{
	switch (size) {
	case 1:
		return soft_store8(cpu, address, (uint8_t)value);
	case 2:
		return soft_store16(cpu, address, (uint16_t)value);
	case 4:
		return soft_store32(cpu, address, (uint32_t)value);
	default:
		return soft_store64(cpu, address, value);
	}
}

static struct soft_result load_scalar(uint64_t address, unsigned size, uint64_t *value)
{
	uint32_t value32;
	uint16_t value16;
	uint8_t value8;
	struct soft_result result;

	switch (size) {
	case 1:
		result = soft_load8(cpu, address, &value8);
		*value = value8;
		return result;
	case 2:
		result = soft_load16(cpu, address, &value16);
		*value = value16;
		return result;
	case 4:
		result = soft_load32(cpu, address, &value32);
		*value = value32;
		return result;
	default:
		return soft_load64(cpu, address, value);
	}
}

static void scalars_of_every_size_at_every_place_read_back(void **state)
{
	uint64_t boundary = map(fixture.space, 2, RW) + PAGE;
	unsigned char shadow[2 * AROUND] = {0}, found[2 * AROUND];
	struct random random = random_start();

	(void)state;
	for (unsigned size = 1; size <= 8; size *= 2) {
		for (unsigned i = 0; i + size <= 2 * AROUND; i++) {
			uint64_t value = random_next(&random), back, want = 0;

			memcpy(&shadow[i], &value, size);
			memcpy(&want, &value, size);
			assert_done(store_scalar(boundary - AROUND + i, size, value), size);
			assert_done(load_scalar(boundary - AROUND + i, size, &back), size);
			assert_int_equal(back, want);
			assert_done(soft_load(cpu, boundary - AROUND, found, sizeof(found)),
				    sizeof(found));
			assert_memory_equal(found, shadow, sizeof(found));
		}
	}
}

static void transfers_of_every_length_at_every_place_read_back(void **state)
{
	uint64_t boundary = map(fixture.space, 2, RW) + PAGE;
	unsigned char shadow[2 * AROUND] = {0}, found[2 * AROUND], bytes[2 * AROUND];
	struct random random = random_start();

	(void)state;
	for (unsigned i = 0; i < 2 * AROUND; i++) {
		for (unsigned length = 0; i + length <= 2 * AROUND; length++) {
			for (unsigned k = 0; k < length; k++)
				shadow[i + k] = bytes[k] = (unsigned char)random_next(&random);
			assert_done(soft_store(cpu, boundary - AROUND + i, bytes, length), length);
			assert_done(soft_load(cpu, boundary - AROUND + i, found, length), length);
			assert_memory_equal(found, bytes, length);
			assert_done(soft_load(cpu, boundary - AROUND, found, sizeof(found)),
				    sizeof(found));
			assert_memory_equal(found, shadow, sizeof(found));
		}
	}
}

static void a_transfer_over_many_pages_faults_each_of_them(void **state)
{
	static unsigned char out[9 * PAGE], back[9 * PAGE];
	uint64_t address = map(fixture.space, 10, RW) + 123;
	uint64_t before = faults();

	(void)state;
	for (size_t i = 0; i < sizeof(out); i++)
		out[i] = (unsigned char)(i * 7 + i / PAGE);
	assert_done(soft_store(cpu, address, out, sizeof(out)), sizeof(out));
	assert_int_equal(faults(), before + 10);
	assert_done(soft_load(cpu, address, back, sizeof(back)), sizeof(back));
	assert_memory_equal(back, out, sizeof(out));
}

/*	RW | R	*/
static void a_transfer_stops_where_it_is_refused(void **state)
{
	uint64_t boundary = map(fixture.space, 2, RW) + PAGE;
	unsigned char bytes[20];

	(void)state;
	memset(bytes, 'x', sizeof(bytes));
	assert_int_equal(quire_mprotect(fixture.space, boundary, PAGE, R), 0);
	assert_segv(soft_store(cpu, boundary - 7, bytes, sizeof(bytes)), QUIRE_SEGV_ACCERR, 7);
	assert_done(soft_load(cpu, boundary - 7, bytes, sizeof(bytes)), sizeof(bytes));
	assert_memory_equal(bytes, "xxxxxxx\0\0\0", 10);
}

/*	RW | R	an instruction's store happens whole or not at all	*/
static void a_scalar_store_into_a_forbidden_page_moves_nothing(void **state)
{
	uint64_t boundary = map(fixture.space, 2, RW) + PAGE;

	(void)state;
	store(boundary - 8, 0x1111111111111111);
	assert_int_equal(quire_mprotect(fixture.space, boundary, PAGE, R), 0);
	for (unsigned i = 1; i < 8; i++)
		assert_segv(soft_store64(cpu, boundary - i, 0), QUIRE_SEGV_ACCERR, 0);
	assert_int_equal(load(boundary - 8), 0x1111111111111111);
}

/* ---- what the walker remembers -----------------------------------------------------------------
 */

#define REGION (2 * MIB)

/* Three regions that begin where a table does, the first of them written to. */
static uint64_t map_regions(void)
{
	uint64_t address = (uint64_t)1 << 40;

	assert_int_equal(quire_mmap(fixture.space, address, 3 * REGION, RW,
				    QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS | QUIRE_MAP_FIXED,
				    &address),
			 0);
	store(address, 1);
	store(address + PAGE, 2);
	return address;
}

/* The table goes over to another region as a whole, and none is freed. */
static void a_table_that_moves_is_not_walked_by_its_old_address(void **state)
{
	uint64_t from = map_regions(), to = from + 2 * REGION, moved;
	uint64_t value;

	(void)state;
	assert_int_equal(quire_mremap(fixture.space, from, REGION, REGION,
				      QUIRE_MREMAP_MAYMOVE | QUIRE_MREMAP_FIXED, to, &moved),
			 0);
	assert_int_equal(load(to), 1);
	assert_int_equal(soft_load64(cpu, from, &value).outcome, QUIRE_SEGV);
	assert_int_equal(soft_load64(cpu, from + 5 * PAGE, &value).outcome, QUIRE_SEGV);
	assert_int_equal(load(to + PAGE), 2);
}

static void a_table_that_is_gone_is_not_walked(void **state)
{
	uint64_t address = map_regions();

	(void)state;
	assert_int_equal(quire_munmap(fixture.space, address, 3 * REGION), 0);
	map_regions();
	assert_int_equal(load(address), 1);
	assert_int_equal(quire_madvise(fixture.space, address, REGION, QUIRE_MADV_DONTNEED), 0);
	assert_int_equal(load(address), 0);
	assert_int_equal(load(address + PAGE), 0);
}

/* The walker of a CPU that has gone over to another space begins at the root again. */
static void what_one_space_has_is_not_walked_in_another(void **state)
{
	uint64_t address = map_regions(), value;
	struct quire_space *other = new_space(fixture.machine);

	(void)state;
	soft_cpu_enter(cpu, other);
	assert_int_equal(soft_load64(cpu, address, &value).outcome, QUIRE_SEGV);
	assert_int_equal(soft_load64(cpu, address + 5 * PAGE, &value).outcome, QUIRE_SEGV);
	soft_cpu_enter(cpu, fixture.space);
	assert_int_equal(load(address + PAGE), 2);
	quire_space_destroy(other);
}

/* ---- the TLB's checker -------------------------------------------------------------------------
 */

static void the_check_notices_a_tlb_that_grants_too_much(void **state)
{
	uint64_t page = map(fixture.space, 1, RW);
	struct soft_tlb_entry *entry = &cpu->tlb[page / PAGE % SOFT_TLB_ENTRIES];
	char text[128];

	(void)state;
	store(page, 1);
	assert_int_equal(quire_mprotect(fixture.space, page, PAGE, R), 0);
	assert_int_equal(load(page), 1);
	assert_true(soft_tlb_check(cpu, text, sizeof(text)));

	entry->key |= SOFT_TLB_WRITE;
	assert_false(soft_tlb_check(cpu, text, sizeof(text)));
	assert_non_null(strstr(text, "not writable"));
	entry->key &= ~SOFT_TLB_WRITE;

	entry->key |= SOFT_TLB_EXECUTE;
	assert_false(soft_tlb_check(cpu, text, sizeof(text)));
	assert_non_null(strstr(text, "not executable"));
	entry->key &= ~SOFT_TLB_EXECUTE;

	entry->offset += PAGE;
	assert_false(soft_tlb_check(cpu, text, sizeof(text)));
	assert_non_null(strstr(text, "another frame"));
	entry->offset -= PAGE;

	assert_true(soft_tlb_check(cpu, text, sizeof(text)));
}

static void the_check_leaves_pages_as_old_as_they_are(void **state)
{
	uint64_t page = map(fixture.space, 1, RW);
	char text[128];

	(void)state;
	store(page, 1);
	assert_int_equal(quire_madvise(fixture.space, page, PAGE, QUIRE_MADV_COLD), 0);
	assert_true(soft_tlb_check(cpu, text, sizeof(text)));
	assert_false(entry_at(fixture.space, page).young);
}

#define with_machine(test) cmocka_unit_test_setup_teardown(test, open_machine, close_machine)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_machine_refuses_what_it_cannot_be),
		cmocka_unit_test(a_machine_with_a_space_is_not_closed),
		with_machine(a_page_that_was_used_is_not_walked_again),
		with_machine(a_fault_is_taken_once),
		with_machine(pages_that_share_an_entry_keep_their_contents),
		with_machine(lost_permission_holds_for_the_next_access),
		with_machine(gained_permission_holds_for_the_next_access),
		with_machine(a_large_range_is_forgotten_too),
		with_machine(only_executable_pages_are_fetched_from),
		with_machine(a_cpu_in_another_space_sees_that_one),
		with_machine(a_flush_reaches_every_cpu_of_the_thread),
		with_machine(a_store_leaves_the_page_young_and_dirty),
		with_machine(a_load_leaves_a_clean_page_clean_and_the_first_store_does_not),
		with_machine(a_write_touch_makes_dirty_and_keeps_the_content),
		with_machine(scalars_of_every_size_at_every_place_read_back),
		with_machine(transfers_of_every_length_at_every_place_read_back),
		with_machine(a_transfer_over_many_pages_faults_each_of_them),
		with_machine(a_transfer_stops_where_it_is_refused),
		with_machine(a_scalar_store_into_a_forbidden_page_moves_nothing),
		with_machine(a_table_that_moves_is_not_walked_by_its_old_address),
		with_machine(a_table_that_is_gone_is_not_walked),
		with_machine(what_one_space_has_is_not_walked_in_another),
		with_machine(the_check_notices_a_tlb_that_grants_too_much),
		with_machine(the_check_leaves_pages_as_old_as_they_are),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
