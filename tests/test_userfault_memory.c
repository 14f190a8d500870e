/* SPDX-License-Identifier: MIT */
/*
 * userfaultfd and the machine's memory: an empty terabyte is protected with a handful of tables
 * (BEHAVIOUR C8), and when memory runs out, a request, fault or call with events has not been made.
 */
#include "userfault_fixture.h"

#define GIB ((uint64_t)1 << 30)
#define TIB ((uint64_t)1 << 40)
#define EVENTS                                                                                     \
	(QUIRE_UFFD_FEATURE_EVENT_FORK | QUIRE_UFFD_FEATURE_EVENT_REMAP |                          \
	 QUIRE_UFFD_FEATURE_EVENT_REMOVE | QUIRE_UFFD_FEATURE_EVENT_UNMAP)
#define WP_WRITE_FLAG (QUIRE_UFFD_PAGEFAULT_FLAG_WRITE | QUIRE_UFFD_PAGEFAULT_FLAG_WP)

static struct soft_fixture fixture;
static struct soft_cpu *cpu;
static struct quire_thread guest;
static struct quire_userfault *context;

static void map_at(uint64_t address, uint64_t bytes)
{
	assert_int_equal(quire_mmap(fixture.space, address, bytes, RW,
				    QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS | QUIRE_MAP_NORESERVE |
					    QUIRE_MAP_FIXED,
				    &address),
			 0);
}

static void open_fixture(uint64_t features)
{
	fixture = soft_fixture_open(&(struct soft_config){.memory = 16 * MIB});
	cpu = soft_machine_cpu(fixture.machine, 0);
	soft_cpu_enter(cpu, fixture.space);
	context = open_context(fixture.space, features | QUIRE_UFFD_FEATURE_PAGEFAULT_FLAG_WP |
						      QUIRE_UFFD_FEATURE_WP_UNPOPULATED);
	guest = (struct quire_thread){.nowait = true};
}

static void close_fixture(void)
{
	assert_sound(fixture.machine);
	quire_userfault_close(context);
	soft_fixture_close(&fixture);
}

/* ---- an empty terabyte -------------------------------------------------------------------------
 *
 *	base                                                                                   base + 1T
 *	|mmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmm 512G mmmmmm|mmmmmmmmmmmmmmmmmmmmmmmmmmmm 512G mmmmmmmmmmmmmmm|
 *	                 ^ MIDDLE
 */

#define BASE   TIB
#define MIDDLE (BASE + 5 * GIB + 7 * 2 * MIB + 9 * PAGE)

static uint64_t table_count(void)
{
	struct quire_tables_report report;

	quire_tables(fixture.space, &report);
	return report.bytes / PAGE;
}

static bool protected_at(uint64_t address)
{
	uint64_t word;

	assert_int_equal(quire_pagemap(fixture.space, address & ~(PAGE - 1), 1, &word), 0);
	return word & QUIRE_PAGEMAP_UFFD_WP;
}

static void assert_marker(uint64_t address, unsigned level)
{
	struct quire_entry_report entry = entry_at(fixture.space, address);

	assert_int_equal(entry.kind, QUIRE_ENTRY_MARKER);
	assert_int_equal(entry.level, level);
	assert_true(protected_at(address));
}

static int protect_terabyte(void **state)
{
	(void)state;
	open_fixture(0);
	map_at(BASE, TIB);
	assert_int_equal(register_pages(context, BASE, TIB / PAGE, WP), 0);
	assert_int_equal(writeprotect(context, BASE, TIB / PAGE, PROTECT), 0);
	return 0;
}

static int end_terabyte(void **state)
{
	(void)state;
	close_fixture();
	return 0;
}

static void the_root_alone_says_it_all(void **state)
{
	(void)state;
	assert_int_equal(table_count(), 1);
	assert_marker(BASE, 3);
	assert_marker(BASE + TIB - 1, 3);
	assert_int_equal(writeprotect(context, BASE, TIB / PAGE, RELEASE), 0);
	assert_int_equal(table_count(), 1);
	assert_false(protected_at(BASE));
}

/* Unaligned, it takes one path of tables at either end. */
static void the_edges_cost_a_path_each(void **state)
{
	(void)state;
	assert_int_equal(writeprotect(context, BASE, TIB / PAGE, RELEASE), 0);
	assert_int_equal(writeprotect(context, BASE + PAGE, TIB / PAGE - 2, PROTECT), 0);
	assert_int_equal(table_count(), 1 + 3 + 3);
	assert_false(protected_at(BASE));
	assert_false(protected_at(BASE + TIB - PAGE));
	assert_marker(BASE + PAGE, 0);
	assert_marker(BASE + 2 * MIB, 1);
	assert_marker(BASE + GIB, 2);
	assert_marker(BASE + TIB - 2 * PAGE, 0);
}

/* The page that comes is protected, and its siblings on the way are markers. */
static void a_write_builds_its_own_path(void **state)
{
	(void)state;
	soft_thread_use(&guest);
	assert_int_equal(soft_store64(cpu, MIDDLE, 42).outcome, QUIRE_BLOCKED);
	soft_thread_use(NULL);
	assert_fault(next_message(context, NULL), MIDDLE, WP_WRITE_FLAG);
	assert_int_equal(table_count(), 1 + 3);
	assert_true(entry_at(fixture.space, MIDDLE).uffd_wp);
	assert_marker(MIDDLE - PAGE, 0);
	assert_marker(MIDDLE + PAGE, 0);
	assert_marker(MIDDLE + 2 * MIB, 1);
	assert_marker(MIDDLE + GIB, 2);
	assert_marker(BASE + 512 * GIB, 3);
	assert_int_equal(writeprotect(context, MIDDLE, 1, RELEASE), 0);
	assert_false(quire_thread_asleep(&guest));
	assert_int_equal(soft_store64(cpu, MIDDLE, 42).outcome, QUIRE_DONE);
	assert_false(protected_at(MIDDLE));
	assert_marker(MIDDLE + PAGE, 0);
}

static void a_read_gives_a_protected_zero_page(void **state)
{
	uint64_t value = 1;

	(void)state;
	assert_int_equal(soft_load64(cpu, MIDDLE, &value).outcome, QUIRE_DONE);
	assert_int_equal(value, 0);
	assert_true(entry_at(fixture.space, MIDDLE).uffd_wp);
	assert_int_equal(table_count(), 1 + 3);
}

/* Whatever is cleared, what lies beside it stays protected. */
static void clearing_a_part_leaves_the_rest(void **state)
{
	static const struct {
		uint64_t start, length, tables;
	} parts[] = {
		{MIDDLE, PAGE, 3},
		{BASE, PAGE, 3},
		{BASE + TIB - PAGE, PAGE, 3},
		{BASE + GIB, GIB, 1},
		{BASE + GIB + 2 * MIB, 3 * GIB, 1 + 2},
		{BASE + 512 * GIB - PAGE, 2 * PAGE, 3 + 3},
		{BASE, 512 * GIB, 0},
		{MIDDLE, 700 * GIB, 3 + 3},
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		uint64_t start = parts[i].start, end = start + parts[i].length;

		assert_int_equal(writeprotect(context, start, parts[i].length / PAGE, RELEASE), 0);
		assert_int_equal(table_count(), 1 + parts[i].tables);
		assert_false(protected_at(start));
		assert_false(protected_at(start + parts[i].length / 2));
		assert_false(protected_at(end - PAGE));
		if (start > BASE)
			assert_true(protected_at(start - PAGE));
		if (end < BASE + TIB)
			assert_true(protected_at(end));
		assert_int_equal(protected_at(BASE), start != BASE);
		assert_int_equal(protected_at(BASE + TIB - PAGE), end != BASE + TIB);
		assert_sound(fixture.machine);
		/* Tables go when they are empty. */
		assert_int_equal(writeprotect(context, BASE, TIB / PAGE, RELEASE), 0);
		assert_int_equal(table_count(), 1);
		assert_int_equal(writeprotect(context, BASE, TIB / PAGE, PROTECT), 0);
	}
}

/* ---- no memory ---------------------------------------------------------------------------------
 *
 *	AREA       +2M        +4M         +6M     +8M
 *	|..........P..........|mmmmmmmmmmm|.......|      P: a page, m: markers
 *
 * The space has just that, all of it registered but for BARE.
 */

#define AREA  TIB
#define PLACE (AREA + 2 * MIB)
#define MARKS (AREA + 4 * MIB)
#define EMPTY (AREA + 6 * MIB)
#define END   (AREA + 8 * MIB)
#define BARE  (AREA + GIB)
#define AWAY  (AREA + 2 * GIB) /* nothing is mapped there */

static struct quire_space *made;

/* EINPROGRESS: reads what there is to be read, and asks for the call to be made again. */
static bool in_progress(int error)
{
	if (error != -QUIRE_EINPROGRESS)
		return false;
	soft_thread_use(NULL);
	next_message(context, NULL);
	soft_thread_use(&guest);
	return true;
}

static int do_open(void)
{
	struct quire_userfault_config config = {0};
	struct quire_userfault *other;
	int error = quire_userfault_open(fixture.space, &config, &other);

	if (!error)
		quire_userfault_close(other);
	return error;
}
static int do_register(void)
{
	return register_pages(context, BARE + PAGE, 2, MISSING | WP);
}
static int do_unregister(void)
{
	return unregister_pages(context, MARKS + PAGE, 2);
}
static int do_protect(void)
{
	return writeprotect(context, EMPTY + PAGE, 3, PROTECT);
}
static int do_release(void)
{
	return writeprotect(context, MARKS + PAGE, 3, RELEASE);
}
static int do_copy(void)
{
	return copy_value(context, EMPTY, 7, 0);
}
static int do_copy_onto_marker(void)
{
	return copy_value(context, MARKS + PAGE, 7, QUIRE_UFFDIO_COPY_MODE_WP);
}
static int do_zeropage(void)
{
	return zeropage(context, EMPTY, 0);
}
static int do_poison(void)
{
	return poison(context, EMPTY);
}
static int do_move(void)
{
	struct quire_uffdio_move move = {.dst = EMPTY, .src = PLACE, .len = PAGE};

	return quire_userfault_ioctl(context, QUIRE_UFFDIO_MOVE, &move, NULL);
}
static int do_fault(void)
{
	enum quire_outcome outcome = soft_touch(cpu, MARKS + PAGE, QUIRE_READ).outcome;

	return outcome == QUIRE_OUT_OF_MEMORY ? -QUIRE_ENOMEM : 0;
}
static int do_fork(void)
{
	int error;

	do
		error = quire_fork(fixture.space, &made);
	while (in_progress(error));
	return error;
}
static int do_remove(void)
{
	int error;

	do
		error = quire_madvise(fixture.space, MARKS + PAGE, 2 * PAGE, QUIRE_MADV_DONTNEED);
	while (in_progress(error));
	return error;
}
static int do_unmap(void)
{
	int error;

	do
		error = quire_munmap(fixture.space, MARKS + PAGE, 2 * PAGE);
	while (in_progress(error));
	return error;
}
static int do_map_over(void)
{
	uint64_t address;
	int error;

	do
		error = quire_mmap(fixture.space, MARKS + PAGE, 2 * PAGE, RW,
				   QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS | QUIRE_MAP_FIXED,
				   &address);
	while (in_progress(error));
	return error;
}
/* Unmaps something in the place where it moves to as well. */
static int do_remap(void)
{
	uint64_t address;
	int error;

	do
		error = quire_mremap(fixture.space, MARKS + PAGE, 3 * PAGE, 2 * PAGE,
				     QUIRE_MREMAP_MAYMOVE | QUIRE_MREMAP_FIXED, AWAY, &address);
	while (in_progress(error));
	return error;
}

static const struct unit {
	const char *name;
	int (*call)(void);
	unsigned places; /* where it allocates, at least */
} units[] = {
	{"open", do_open, 1},
	{"register", do_register, 2},
	{"unregister", do_unregister, 2},
	{"protect", do_protect, 1},
	{"release", do_release, 1},
	{"copy", do_copy, 2},
	{"copy onto a marker", do_copy_onto_marker, 2},
	{"zeropage", do_zeropage, 1},
	{"poison", do_poison, 1},
	{"move", do_move, 1},
	{"fault", do_fault, 1},
	{"fork", do_fork, 6},
	{"remove", do_remove, 1},
	{"unmap", do_unmap, 3},
	{"map over", do_map_over, 3},
	{"remap", do_remap, 5},
};
#define UNITS (sizeof(units) / sizeof(units[0]))

struct text_buffer {
	size_t length;
	char bytes[16384];
};

static void append(void *argument, const char *bytes, size_t length)
{
	struct text_buffer *buffer = argument;

	assert_true(buffer->length + length < sizeof(buffer->bytes));
	memcpy(buffer->bytes + buffer->length, bytes, length);
	buffer->length += length;
	buffer->bytes[buffer->length] = 0;
}

/*
 * Everything that can be seen: the spaces, and the frames in use other than those of small objects.
 */
static void dump(struct text_buffer *buffer)
{
	struct quire_text text = {.emit = append, .context = buffer};
	struct quire_machine_counters counters;
	char line[96];

	*buffer = (struct text_buffer){0};
	quire_space_dump(fixture.space, true, &text);
	quire_machine_count(soft_machine_core(fixture.machine), &counters);
	append(buffer, line,
	       (size_t)snprintf(line, sizeof(line), "%ju spaces, %ju tables, %ju anon, %ju others",
				(uintmax_t)counters.spaces, (uintmax_t)counters.frames_table,
				(uintmax_t)counters.frames_anon,
				(uintmax_t)(counters.frames_free + counters.frames_slab)));
}

static void prepare_area(void)
{
	open_fixture(EVENTS);
	made = NULL;
	map_at(AREA, END - AREA);
	map_at(BARE, 8 * PAGE);
	assert_int_equal(soft_store64(cpu, PLACE, 42).outcome, QUIRE_DONE);
	assert_int_equal(register_pages(context, AREA, (END - AREA) / PAGE, WP), 0);
	assert_int_equal(writeprotect(context, MARKS, 2 * MIB / PAGE, PROTECT), 0);
	soft_thread_use(&guest);
}

/* The n-th allocation fails; whether there was one. */
static bool fail_one(const struct unit *unit, uint64_t n)
{
	static struct text_buffer before, after;
	struct quire_machine *core;
	bool failed;
	int error;

	prepare_area();
	core = soft_machine_core(fixture.machine);
	dump(&before);
	quire_machine_fail_nth(core, n);
	error = unit->call();
	failed = quire_machine_failed(core);
	quire_machine_fail_nth(core, 0);
	if (error) {
		assert_true(failed);
		assert_int_equal(error, -QUIRE_ENOMEM);
		dump(&after);
		assert_string_equal(after.bytes, before.bytes);
		assert_no_message(context);
		assert_int_equal(unit->call(), 0);
	}
	assert_no_message(context);
	/* No event is left that nobody will read. */
	assert_int_equal(zeropage(context, AREA, 0), 0);
	soft_thread_use(NULL);
	if (made)
		quire_space_destroy(made);
	close_fixture();
	return failed;
}

static void without_memory_nothing_has_happened(void **state)
{
	(void)state;
	for (unsigned i = 0; i < UNITS; i++) {
		uint64_t n = 1;

		while (fail_one(&units[i], n))
			n++;
		if (n - 1 < units[i].places)
			fail_msg("%s: only %ju allocations", units[i].name, (uintmax_t)(n - 1));
	}
}

#define TERABYTE_TEST(function)                                                                    \
	cmocka_unit_test_setup_teardown(function, protect_terabyte, end_terabyte)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TERABYTE_TEST(the_root_alone_says_it_all),
		TERABYTE_TEST(the_edges_cost_a_path_each),
		TERABYTE_TEST(a_write_builds_its_own_path),
		TERABYTE_TEST(a_read_gives_a_protected_zero_page),
		TERABYTE_TEST(clearing_a_part_leaves_the_rest),
		cmocka_unit_test(without_memory_nothing_has_happened),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
