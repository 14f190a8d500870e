/* SPDX-License-Identifier: MIT */
/*
 * Device memory where memory runs out: whatever allocation fails, a call that reports it has changed
 * nothing, and can be made again.
 */
#include "device_space.h"

#define HALF (BASE + MIB)

static uint64_t result;
static struct quire_space *child;

static void map_shared(struct device *device, int prot)
{
	map_at(device, BASE, GIB, prot, SHARED, 0);
	fsdax.highest = 2;
}

static int touch(uint64_t address, enum quire_access access)
{
	return quire_fault(space, address, access).outcome == QUIRE_DONE ? 0 : -QUIRE_ENOMEM;
}

/* ---- what is done, and what stands there before and after ---- */

static void nothing_mapped(void)
{
}
static int do_map(void)
{
	return try_map(&pfn, BASE, GIB, RW, SHARED | FIXED, 0, &result);
}

static void pfn_mapped(void)
{
	map_shared(&pfn, RW);
}
static int do_read_fault(void)
{
	return touch(BASE, QUIRE_READ);
}
static void pfn_by_the_page(void)
{
	map_at(&pfn, BASE + PAGE, GIB, RW, SHARED, PAGE);
}
static int do_fault_of_a_page(void)
{
	return touch(BASE + PAGE, QUIRE_WRITE);
}
static void fsdax_private(void)
{
	map_at(&fsdax, BASE, GIB, RW, COPIED, 0);
	*word(&fsdax, MIB) = 3;
	assert_int_equal(load(HALF), 3);
}
static int do_copy(void)
{
	return touch(HALF, QUIRE_WRITE);
}
static void pfn_leaf(void)
{
	map_shared(&pfn, RW);
	store(HALF, 3);
}
static int do_protect(void)
{
	return quire_mprotect(space, HALF, PAGE, R);
}
static int do_unmap(void)
{
	return quire_munmap(space, HALF, PAGE);
}
static int do_move(void)
{
	return quire_mremap(space, BASE, 4 * MIB, 4 * MIB,
			    QUIRE_MREMAP_MAYMOVE | QUIRE_MREMAP_FIXED, BASE + 8 * GIB + PAGE,
			    &result);
}
static int do_fork(void)
{
	return quire_fork(space, &child);
}
static void fsdax_leaf(void)
{
	map_shared(&fsdax, RW);
	store(HALF, 3);
}
static int do_dontneed(void)
{
	return quire_madvise(space, HALF, PAGE, QUIRE_MADV_DONTNEED);
}
static int do_punch(void)
{
	return quire_object_punch(fsdax.object, 8 * PAGE, PAGE);
}
static int do_truncate(void)
{
	return quire_object_truncate(fsdax.object, GIB / 2);
}
static int do_revoke(void)
{
	quire_device_revoke(fsdax.object, 8 * PAGE, PAGE);
	return 0;
}
static void dax_leaf(void)
{
	map_at(&dax[2], BASE, GIB, RW, SHARED, 0);
	store(HALF, 3);
}
static int do_move_dax(void)
{
	return quire_mremap(space, BASE, GIB, GIB, QUIRE_MREMAP_MAYMOVE | QUIRE_MREMAP_FIXED,
			    BASE + 8 * GIB + PAGE, &result);
}

static const struct {
	const char *name;
	void (*before)(void);
	int (*call)(void);
	unsigned fails; /* at least so many allocations can fail it */
} calls[] = {
	{"mmap", nothing_mapped, do_map, 1},
	{"a fault at 1G", pfn_mapped, do_read_fault, 1},
	{"a fault at 4K", pfn_by_the_page, do_fault_of_a_page, 3},
	{"a copy", fsdax_private, do_copy, 3},
	{"mprotect", pfn_leaf, do_protect, 4},
	{"munmap", pfn_leaf, do_unmap, 3},
	{"mremap", pfn_leaf, do_move, 4},
	{"mremap of DAX", dax_leaf, do_move_dax, 1},
	{"fork", pfn_leaf, do_fork, 4},
	{"madvise", fsdax_leaf, do_dontneed, 2},
	{"punch", fsdax_leaf, do_punch, 0},
	{"truncate", fsdax_leaf, do_truncate, 0},
	{"revoke", fsdax_leaf, do_revoke, 0},
};

static void keep_line(void *context, const char *bytes, size_t length)
{
	char **end = context;

	memcpy(*end, bytes, length);
	*end += length;
	**end = '\0';
}

static void dump(char *text)
{
	char *end = text;
	struct quire_text to = {.emit = keep_line, .context = &end};

	quire_space_dump(space, true, &to);
}

static void what_fails_changes_nothing(void **state)
{
	static char before[1 << 16], after[1 << 16];

	(void)state;
	for (unsigned i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		unsigned failures = 0, n = 1;
		bool failed;

		do {
			int error;

			child = NULL;
			calls[i].before();
			dump(before);
			quire_machine_fail_nth(machine, n++);
			error = calls[i].call();
			failed = quire_machine_failed(machine);
			quire_machine_fail_nth(machine, 0);
			if (error) {
				failures++;
				dump(after);
				assert_true(failed);
				assert_int_equal(error, -QUIRE_ENOMEM);
				assert_string_equal(before, after);
				assert_int_equal(calls[i].call(), 0);
			}
			assert_sound(fixture.machine);
			if (child)
				quire_space_destroy(child);
			assert_int_equal(quire_munmap(space, 0, 1024 * GIB), 0);
			assert_int_equal(quire_object_truncate(fsdax.object, SIZE), 0);
		} while (failed);
		if (failures < calls[i].fails)
			fail_msg("%s: %u failures", calls[i].name, failures);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_fails_changes_nothing, open_devices,
						close_devices),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
