/* SPDX-License-Identifier: MIT */
/*
 * Device memory as objects: which ranges and devices can be made, what a device is asked, and what
 * reading, writing, truncating, punching and allocating do.  test_device.c maps them.
 */
#include "device_fixture.h"
#include "frame/machine.h"

static struct soft_fixture fixture;
static struct quire_machine *machine;
static unsigned logged;
static uint64_t logged_at;

static void count_log(void *context, const char *what, uint64_t address)
{
	assert_non_null(what);
	(void)context;
	logged++;
	logged_at = address;
}

static int open_fixture(void **state)
{
	struct soft_config config = {.memory = 4 * MIB, .log = count_log};

	(void)state;
	fixture = soft_fixture_open(&config);
	machine = soft_machine_core(fixture.machine);
	logged = 0;
	return 0;
}

static int close_fixture(void **state)
{
	(void)state;
	soft_fixture_close(&fixture);
	return 0;
}

/* ---- ranges of device memory ---- */

static _Alignas(4096) unsigned char bytes[4 * 4096];

static int add(uint64_t frame, uint64_t count)
{
	return quire_device_memory_add(machine, frame, count, bytes);
}

static void test_ranges_do_not_overlap(void **state)
{
	uint64_t own = machine->frames.first, frames = machine->frames.count;

	(void)state;
	assert_int_equal(add(DEVICE_FRAME, 0), -QUIRE_EINVAL);
	assert_int_equal(add(((uint64_t)1 << 40) - 1, 2), -QUIRE_EINVAL);
	assert_int_equal(add(UINT64_MAX, 1), -QUIRE_EINVAL);
	assert_int_equal(add(1, UINT64_MAX), -QUIRE_EINVAL);
	assert_int_equal(quire_device_memory_add(machine, DEVICE_FRAME, 1, NULL), -QUIRE_EINVAL);
	assert_int_equal(quire_device_memory_add(machine, DEVICE_FRAME, 1, bytes + 8),
			 -QUIRE_EINVAL);

	/* the machine's own    ..MMMM.. */
	assert_int_equal(add(own - 1, 2), -QUIRE_EINVAL);
	assert_int_equal(add(own + frames - 1, 1), -QUIRE_EINVAL);
	assert_int_equal(add(own - 1, frames + 2), -QUIRE_EINVAL);
	assert_int_equal(add(own - 1, 1), 0);
	assert_int_equal(add(own + frames, 1), 0);

	/* another range's      ..AA..   */
	assert_int_equal(add(DEVICE_FRAME, 2), 0);
	assert_int_equal(add(DEVICE_FRAME - 1, 2), -QUIRE_EINVAL);
	assert_int_equal(add(DEVICE_FRAME + 1, 1), -QUIRE_EINVAL);
	assert_int_equal(add(DEVICE_FRAME - 1, 4), -QUIRE_EINVAL);
	assert_int_equal(add(DEVICE_FRAME + 2, 1), 0);

	assert_int_equal(quire_device_memory_remove(machine, DEVICE_FRAME + 1), -QUIRE_ENOENT);
	assert_int_equal(quire_device_memory_remove(machine, DEVICE_FRAME), 0);
	assert_int_equal(quire_device_memory_remove(machine, DEVICE_FRAME), -QUIRE_ENOENT);
	assert_int_equal(add(DEVICE_FRAME - 1, 3), 0);
	/* the machine forgets those that are left */
}

static void test_frames_are_found(void **state)
{
	(void)state;
	assert_int_equal(add(DEVICE_FRAME, 3), 0);
	assert_ptr_equal(quire_device_memory_at(machine, DEVICE_FRAME), bytes);
	assert_ptr_equal(quire_device_memory_at(machine, DEVICE_FRAME + 2), bytes + 2 * PAGE);
	assert_null(quire_device_memory_at(machine, DEVICE_FRAME + 3));
	assert_null(quire_device_memory_at(machine, machine->frames.first));
	assert_true(device_memory_holds(machine, DEVICE_FRAME + 1, 2));
	assert_false(device_memory_holds(machine, DEVICE_FRAME + 1, 3));
	assert_false(device_memory_holds(machine, DEVICE_FRAME - 1, 2));
}

static void test_pinned_ranges_stay(void **state)
{
	(void)state;
	assert_int_equal(add(DEVICE_FRAME, 3), 0);
	assert_false(device_memory_pin(machine, DEVICE_FRAME + 3));
	assert_true(device_memory_pin(machine, DEVICE_FRAME + 2));
	assert_true(device_memory_pin(machine, DEVICE_FRAME));
	device_memory_unpin(machine, DEVICE_FRAME);
	assert_int_equal(quire_device_memory_remove(machine, DEVICE_FRAME), -QUIRE_EBUSY);
	device_memory_unpin(machine, DEVICE_FRAME + 2);
	assert_int_equal(quire_device_memory_remove(machine, DEVICE_FRAME), 0);
}

static void test_a_range_needs_memory(void **state)
{
	(void)state;
	quire_machine_fail_nth(machine, 1);
	assert_int_equal(add(DEVICE_FRAME, 3), -QUIRE_ENOMEM);
	assert_null(quire_device_memory_at(machine, DEVICE_FRAME));
}

/* ---- what can be made ---- */

static void test_what_no_device_is(void **state)
{
	struct quire_device_operations operations = {.kind = QUIRE_DEVICE_DAX, .level = 1};
	struct quire_object *object;

	(void)state;
	assert_int_equal(quire_device_create(machine, 2 * MIB, &operations, NULL, &object),
			 -QUIRE_EINVAL);
	operations.map = device_map;
	assert_int_equal(quire_device_create(machine, 2 * MIB + PAGE, &operations, NULL, &object),
			 -QUIRE_EINVAL);
	operations.level = 3;
	assert_int_equal(quire_device_create(machine, 512 * GIB, &operations, NULL, &object),
			 -QUIRE_EINVAL);
	operations = (struct quire_device_operations){.kind = QUIRE_DEVICE_PFN, .map = device_map};
	assert_int_equal(quire_device_create(machine, PAGE + 1, &operations, NULL, &object),
			 -QUIRE_EINVAL);
	operations.kind = QUIRE_DEVICE_FSDAX;
	assert_int_equal(
		quire_device_create(machine, QUIRE_OBJECT_MAX + 1, &operations, NULL, &object),
		-QUIRE_EINVAL);
	operations.kind = 0;
	assert_int_equal(quire_device_create(machine, PAGE, &operations, NULL, &object),
			 -QUIRE_EINVAL);
	operations.kind = QUIRE_DEVICE_PFN;
	quire_machine_fail_nth(machine, 1);
	assert_int_equal(quire_device_create(machine, PAGE, &operations, NULL, &object),
			 -QUIRE_ENOMEM);
}

static void test_bare_devices_have_no_bytes(void **state)
{
	static const enum quire_device_kind kinds[] = {QUIRE_DEVICE_DAX, QUIRE_DEVICE_PFN};
	uint64_t word = 1;
	size_t done;

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct device device;

		device_open(&device, machine, i, kinds[i], 1, 4 * MIB);
		assert_int_equal(quire_object_size(device.object), 4 * MIB);
		assert_int_equal(quire_object_read(device.object, 0, &word, 8, &done),
				 -QUIRE_EINVAL);
		assert_int_equal(quire_object_write(device.object, 0, &word, 8, &done),
				 -QUIRE_EINVAL);
		assert_int_equal(quire_object_truncate(device.object, 2 * MIB), -QUIRE_EINVAL);
		assert_int_equal(quire_object_punch(device.object, 0, 2 * MIB), -QUIRE_ENODEV);
		assert_int_equal(quire_object_allocate(device.object, 0, 2 * MIB), -QUIRE_ENODEV);
		assert_int_equal(quire_object_punch(device.object, 0, 0), -QUIRE_EINVAL);
		assert_int_equal(device.asked, 0);
		device_close(&device);
	}
}

/* ---- FSDAX ---- */

static void write_word(struct device *device, uint64_t offset, uint64_t word)
{
	size_t done;

	assert_int_equal(quire_object_write(device->object, offset, &word, sizeof(word), &done), 0);
	assert_int_equal(done, sizeof(word));
}

static uint64_t read_word(struct device *device, uint64_t offset)
{
	uint64_t word = 0;
	size_t done;

	assert_int_equal(quire_object_read(device->object, offset, &word, sizeof(word), &done), 0);
	assert_int_equal(done, sizeof(word));
	return word;
}

static void test_files_are_read_and_written_in_place(void **state)
{
	struct device device;
	uint64_t word;
	size_t done;

	(void)state;
	device_open_sized(&device, machine, 0, QUIRE_DEVICE_FSDAX, 2, 3 * PAGE, 4 * MIB);
	write_word(&device, PAGE - 4, 0x1122334455667788); /* over the border of two pages */
	memcpy(&word, device.memory + PAGE - 4, 8);
	assert_int_equal(word, 0x1122334455667788);
	assert_int_equal(read_word(&device, PAGE - 4), 0x1122334455667788);
	assert_int_equal(device.level, 0);
	assert_false(device.write);

	/* a read ends with the file, a write makes it larger */
	assert_int_equal(quire_object_read(device.object, 3 * PAGE - 4, &word, 8, &done), 0);
	assert_int_equal(done, 4);
	write_word(&device, 3 * PAGE, 7);
	assert_true(device.write);
	assert_int_equal(quire_object_size(device.object), 3 * PAGE + 8);
	assert_int_equal(quire_object_write(device.object, 4 * MIB, &word, 8, &done),
			 -QUIRE_ENOSPC);
	assert_int_equal(done, 0);
	assert_int_equal(quire_object_size(device.object), 3 * PAGE + 8);
	assert_int_equal(logged, 1);
	device_close(&device);
}

static void test_truncate_discards(void **state)
{
	struct device device;

	(void)state;
	device_open(&device, machine, 0, QUIRE_DEVICE_FSDAX, 1, 4 * MIB);
	memset(device.memory, 0xff, 4 * MIB);
	assert_int_equal(quire_object_truncate(device.object, 5 * PAGE + 16), 0);
	assert_int_equal(device.discarded, 6);
	assert_int_equal(device.discarded_count, 4 * MIB / PAGE - 6);
	assert_int_equal(device.index, 5);
	assert_true(device.write);
	assert_int_equal(quire_object_size(device.object), 5 * PAGE + 16);
	assert_int_equal(quire_object_truncate(device.object, 6 * PAGE + 8), 0);
	assert_int_equal(read_word(&device, 5 * PAGE + 8), UINT64_MAX);
	assert_int_equal(read_word(&device, 5 * PAGE + 16), 0);
	assert_int_equal(read_word(&device, 6 * PAGE - 8), 0);
	assert_int_equal(read_word(&device, 6 * PAGE), 0);
	device.error = -QUIRE_EIO;
	assert_int_equal(quire_object_truncate(device.object, PAGE + 8), -QUIRE_EIO);
	assert_int_equal(quire_object_size(device.object), 6 * PAGE + 8);
	device_close(&device);
}

static void test_holes_are_zeros(void **state)
{
	struct device device;

	(void)state;
	device_open(&device, machine, 0, QUIRE_DEVICE_FSDAX, 1, 16 * PAGE);
	memset(device.memory, 0xff, 16 * PAGE);

	/* whole pages and a piece at each end */
	assert_int_equal(quire_object_punch(device.object, 2 * PAGE + 8, 3 * PAGE), 0);
	assert_int_equal(device.discarded, 3);
	assert_int_equal(device.discarded_count, 2);
	for (uint64_t offset = 0; offset < 16 * PAGE; offset += 8)
		assert_int_equal(read_word(&device, offset),
				 offset >= 2 * PAGE + 8 && offset < 5 * PAGE + 8 ? 0 : UINT64_MAX);

	/* inside one page: nothing is discarded */
	device.discarded_count = 0;
	assert_int_equal(quire_object_punch(device.object, 7 * PAGE + 16, 16), 0);
	assert_int_equal(device.discarded_count, 0);
	assert_int_equal(read_word(&device, 7 * PAGE + 8), UINT64_MAX);
	assert_int_equal(read_word(&device, 7 * PAGE + 16), 0);
	assert_int_equal(read_word(&device, 7 * PAGE + 24), 0);
	assert_int_equal(read_word(&device, 7 * PAGE + 32), UINT64_MAX);

	/* over the end, and behind it */
	assert_int_equal(quire_object_punch(device.object, 15 * PAGE, GIB), 0);
	assert_int_equal(device.discarded, 15);
	assert_int_equal(device.discarded_count, 1);
	device.asked = 0;
	assert_int_equal(quire_object_punch(device.object, 20 * PAGE + 8, PAGE), 0);
	assert_int_equal(device.asked, 0);
	assert_int_equal(device.discarded, 15);
	device_close(&device);
}

static void test_allocate_asks_for_large_leaves(void **state)
{
	struct device device;

	(void)state;
	device_open_sized(&device, machine, 0, QUIRE_DEVICE_FSDAX, 1, PAGE, 8 * MIB);
	/* 4K up to the first border of 2M, 2M, and the rest in 4K */
	assert_int_equal(
		quire_object_allocate(device.object, 2 * MIB - 2 * PAGE, 2 * PAGE + 2 * MIB + PAGE),
		0);
	assert_int_equal(device.asked, 2 + 1 + 1);
	assert_true(device.write);
	assert_int_equal(quire_object_size(device.object), 4 * MIB + PAGE);
	assert_int_equal(quire_object_allocate(device.object, 6 * MIB, 8 * MIB), -QUIRE_ENOSPC);
	assert_int_equal(quire_object_size(device.object), 4 * MIB + PAGE);
	device_close(&device);
}

static void test_read_only_files(void **state)
{
	struct device device;
	uint64_t word = 0;
	size_t done;

	(void)state;
	device_open(&device, machine, 0, QUIRE_DEVICE_FSDAX, 1, 2 * MIB);
	quire_object_put(device.object);
	device.released = 0;
	device.operations.read_only = true;
	assert_int_equal(
		quire_device_create(machine, 2 * MIB, &device.operations, &device, &device.object),
		0);
	assert_int_equal(quire_object_write(device.object, 0, &word, 8, &done), -QUIRE_EACCES);
	assert_int_equal(quire_object_truncate(device.object, 0), -QUIRE_EACCES);
	assert_int_equal(quire_object_punch(device.object, 0, PAGE), -QUIRE_EACCES);
	assert_int_equal(quire_object_allocate(device.object, 0, PAGE), -QUIRE_EACCES);
	assert_int_equal(read_word(&device, 0), 0);
	device_close(&device);
}

static void test_who_cannot_discard(void **state)
{
	struct device device;

	(void)state;
	device_open(&device, machine, 0, QUIRE_DEVICE_FSDAX, 1, 2 * MIB);
	device.operations.discard = NULL;
	assert_int_equal(quire_object_truncate(device.object, MIB), -QUIRE_EOPNOTSUPP);
	assert_int_equal(quire_object_punch(device.object, 0, PAGE), -QUIRE_EOPNOTSUPP);
	assert_int_equal(quire_object_truncate(device.object, 4 * MIB), 0);
	assert_int_equal(quire_object_size(device.object), 4 * MIB);
	device_close(&device);
}

static void test_nonsense_is_named(void **state)
{
	const uint64_t beyond = DEVICE_FRAME + 2 * MIB / PAGE;
	const struct quire_device_leaf nonsense[] = {
		{DEVICE_FRAME, 1},		/* larger than asked for */
		{DEVICE_FRAME, 77},		/* larger than anything */
		{beyond, 0},			/* not the device's */
		{machine->frames.first + 1, 0}, /* the machine's */
		{0, 0},
	};
	struct device device;
	uint64_t word;
	size_t done;

	(void)state;
	device_open(&device, machine, 0, QUIRE_DEVICE_FSDAX, 1, 2 * MIB);
	for (unsigned i = 0; i < sizeof(nonsense) / sizeof(nonsense[0]); i++) {
		device.answer = &nonsense[i];
		assert_int_equal(quire_object_read(device.object, 3 * PAGE, &word, 8, &done),
				 -QUIRE_EIO);
		assert_int_equal(done, 0);
		assert_int_equal(logged, i + 1);
		assert_int_equal(logged_at, 3 * PAGE);
	}
	device_close(&device);
}

/* ---- answers that are untrue by the time they are used ---- */

static unsigned char *other;

/* The file moves to other blocks. */
static void move_blocks(struct device *device)
{
	static struct quire_device_leaf moved = {DEVICE_FRAME + (1 << 20), 0};

	device->answer = &moved;
	quire_device_revoke(device->object, 0, PAGE);
	memset(device->memory, 0xee, PAGE); /* the old ones are somebody else's now */
}

static void test_a_revoked_answer_is_asked_for_again(void **state)
{
	struct device device;
	uint64_t word = 9;

	(void)state;
	other = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(other, MAP_FAILED);
	assert_int_equal(quire_device_memory_add(machine, DEVICE_FRAME + (1 << 20), 1, other), 0);
	device_open(&device, machine, 0, QUIRE_DEVICE_FSDAX, 1, PAGE);
	memcpy(other, &word, 8);
	device.meanwhile = move_blocks;
	assert_int_equal(read_word(&device, 0), 9);
	assert_int_equal(device.asked, 2);

	device.answer = NULL;
	device.meanwhile = move_blocks;
	write_word(&device, 16, 10);
	memcpy(&word, other + 16, 8);
	assert_int_equal(word, 10);
	memcpy(&word, device.memory + 16, 8);
	assert_int_equal(word, 0xeeeeeeeeeeeeeeee);

	device.answer = NULL;
	device.meanwhile = move_blocks;
	assert_int_equal(quire_object_punch(device.object, 16, 8), 0);
	memcpy(&word, other + 16, 8);
	assert_int_equal(word, 0);

	write_word(&device, 16, 10);
	device.answer = NULL;
	device.meanwhile = move_blocks;
	assert_int_equal(quire_object_truncate(device.object, 8), 0);
	memcpy(&word, other + 16, 8);
	assert_int_equal(word, 0);
	device.answer = NULL;
	device_close(&device);
	munmap(other, PAGE);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_fixture, close_fixture)
	const struct CMUnitTest tests[] = {
		TEST(test_ranges_do_not_overlap),
		TEST(test_frames_are_found),
		TEST(test_pinned_ranges_stay),
		TEST(test_a_range_needs_memory),
		TEST(test_what_no_device_is),
		TEST(test_bare_devices_have_no_bytes),
		TEST(test_files_are_read_and_written_in_place),
		TEST(test_truncate_discards),
		TEST(test_holes_are_zeros),
		TEST(test_allocate_asks_for_large_leaves),
		TEST(test_read_only_files),
		TEST(test_who_cannot_discard),
		TEST(test_nonsense_is_named),
		TEST(test_a_revoked_answer_is_asked_for_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
