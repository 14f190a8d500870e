/* SPDX-License-Identifier: MIT */
/* Small objects. */
#include <string.h>

#include "machine_fixture.h"

static uint64_t slab_frames(struct quire_machine *machine)
{
	struct quire_machine_counters counters;

	quire_machine_count(machine, &counters);
	return counters.frames_slab;
}

static bool all_bytes(const unsigned char *object, size_t size, unsigned char byte)
{
	for (size_t i = 0; i < size; i++)
		if (object[i] != byte)
			return false;
	return true;
}

static void objects_of_every_size_are_zero_and_aligned(void **state)
{
	struct fixture fixture = fixture_open(4 * MIB, 0);

	(void)state;
	for (size_t size = 1; size <= 2048; size++) {
		unsigned char *object = slab_alloc(fixture.machine, size);

		assert_non_null(object);
		assert_int_equal((uintptr_t)object % 16, 0);
		assert_true(all_bytes(object, size, 0));
		memset(object, 0xff, size);
		slab_free(fixture.machine, object);
		assert_int_equal(slab_frames(fixture.machine), 0);
	}
	slab_free(fixture.machine, NULL);
	fixture_close(&fixture);
}

/*
 *	64 bytes an object: 64 fill a frame, the 65th opens a second one
 */
static void a_frame_comes_with_the_first_object_and_goes_with_the_last(void **state)
{
	struct fixture fixture = fixture_open(1 * MIB, 0);
	void *objects[65];

	(void)state;
	for (unsigned i = 0; i < 65; i++) {
		objects[i] = slab_alloc(fixture.machine, 33);
		assert_non_null(objects[i]);
		assert_int_equal(slab_frames(fixture.machine), i < 64 ? 1 : 2);
		assert_true(slabs_valid(fixture.machine));
	}
	slab_free(fixture.machine, objects[64]);
	assert_int_equal(slab_frames(fixture.machine), 1);
	for (unsigned i = 0; i < 64; i++) {
		assert_int_equal(slab_frames(fixture.machine), 1);
		slab_free(fixture.machine, objects[i]);
		assert_true(slabs_valid(fixture.machine));
	}
	assert_int_equal(slab_frames(fixture.machine), 0);
	fixture_close(&fixture);
}

/*
 * The next object of the class takes the place of the one that was given back, and finds it zero.
 */
static void a_place_is_used_again(void **state)
{
	struct fixture fixture = fixture_open(1 * MIB, 0);
	unsigned char *keeper = slab_alloc(fixture.machine, 100);
	unsigned char *object = slab_alloc(fixture.machine, 100), *again;

	(void)state;
	memset(object, 0xff, 100);
	slab_free(fixture.machine, object);
	again = slab_alloc(fixture.machine, 128);
	assert_ptr_equal(again, object);
	assert_true(all_bytes(again, 128, 0));
	slab_free(fixture.machine, again);
	slab_free(fixture.machine, keeper);
	fixture_close(&fixture);
}

static void without_a_frame_there_is_no_object(void **state)
{
	struct fixture fixture = fixture_open(1 * MIB, 0);
	struct frame *chain = NULL, *frame;
	void *object;

	(void)state;
	while ((frame = frame_alloc(fixture.machine, 0))) {
		frame->next = chain;
		chain = frame;
	}
	assert_null(slab_alloc(fixture.machine, 32));
	assert_true(slabs_valid(fixture.machine));
	frame_free_chain(fixture.machine, chain);
	object = slab_alloc(fixture.machine, 32);
	assert_non_null(object);
	slab_free(fixture.machine, object);
	fixture_close(&fixture);
}

/* Every object is filled with a byte of its own, and still has it when it is given back. */
static void random_sizes_never_overlap(void **state)
{
	enum { OBJECTS = 600 };
	static struct object {
		unsigned char *bytes;
		size_t size;
	} objects[OBJECTS];
	struct fixture fixture = fixture_open(4 * MIB, 0);
	struct random random = random_start();

	(void)state;
	memset(objects, 0, sizeof(objects));
	for (unsigned step = 0; step < 50000; step++) {
		unsigned which = (unsigned)random_below(&random, OBJECTS);
		struct object *object = &objects[which];

		if (object->bytes) {
			assert_true(all_bytes(object->bytes, object->size, (unsigned char)which));
			slab_free(fixture.machine, object->bytes);
			object->bytes = NULL;
		} else {
			object->size =
				1 + (size_t)random_below(&random, 1u << random_below(&random, 12));
			object->bytes = slab_alloc(fixture.machine, object->size);
			if (object->bytes) {
				assert_true(all_bytes(object->bytes, object->size, 0));
				memset(object->bytes, (int)which, object->size);
			}
		}
		if (step % 64 == 0)
			assert_true(slabs_valid(fixture.machine));
	}
	for (unsigned i = 0; i < OBJECTS; i++)
		slab_free(fixture.machine, objects[i].bytes);
	assert_int_equal(slab_frames(fixture.machine), 0);
	fixture_close(&fixture);
}

/*
 * ---- misuse and damage -------------------------------------------------------------------------
 */

struct misuse {
	struct quire_machine *machine;
	char *object;
};

static void free_it(void *argument)
{
	struct misuse *misuse = argument;

	slab_free(misuse->machine, misuse->object);
}

static void misuse_is_caught(void **state)
{
	struct fixture fixture = fixture_open(1 * MIB, 0);
	char *object = slab_alloc(fixture.machine, 64);
	struct misuse inside = {fixture.machine, object + 16};
	struct misuse elsewhere = {fixture.machine, (char *)fixture.memory};
	struct misuse twice = {fixture.machine, object};

	(void)state;
	if (!QUIRE_ASSERTIONS)
		skip();
	assert_true(panics(free_it, &inside));
	assert_true(panics(free_it, &elsewhere));
	slab_free(fixture.machine, object);
	assert_true(panics(free_it, &twice));
	fixture_close(&fixture);
}

static void set_next(char *object, char *next)
{
	memcpy(object, &next, sizeof(next));
}

/* Two objects of 64 bytes, of which the first has been given back. */
static void damage_is_seen(void **state)
{
	struct fixture fixture = fixture_open(1 * MIB, 0);
	char *first = slab_alloc(fixture.machine, 64), *second = slab_alloc(fixture.machine, 64);
	struct frame *frame =
		container_of(fixture.machine->slabs.partial[1].next, struct frame, link);
	struct frame saved;

	(void)state;
	slab_free(fixture.machine, first);
	assert_true(slabs_valid(fixture.machine));
	saved = *frame;

	frame->slab.used = 2; /* a count that the chain does not bear out */
	assert_false(slabs_valid(fixture.machine));
	*frame = saved;

	frame->slab.used = 0; /* a frame that should have gone back */
	frame->slab.carved = 1;
	assert_false(slabs_valid(fixture.machine));
	*frame = saved;

	frame->slab.size = 128; /* a frame in another class's list */
	assert_false(slabs_valid(fixture.machine));
	*frame = saved;

	frame->kind = FRAME_ANON; /* a frame in use for something else */
	assert_false(slabs_valid(fixture.machine));
	*frame = saved;

	frame->slab.free = first + 8; /* a pointer between objects */
	set_next(first + 8, NULL);
	assert_false(slabs_valid(fixture.machine));
	*frame = saved;

	set_next(first, first); /* a chain that bites its tail */
	assert_false(slabs_valid(fixture.machine));

	set_next(first, second); /* more objects than fit, though the chain bears it out */
	set_next(second, NULL);
	frame->slab.carved = 65;
	frame->slab.used = 63;
	assert_false(slabs_valid(fixture.machine));
	*frame = saved;
	set_next(first, NULL);

	assert_true(slabs_valid(fixture.machine));
	slab_free(fixture.machine, second);
	fixture_close(&fixture);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(objects_of_every_size_are_zero_and_aligned),
		cmocka_unit_test(a_frame_comes_with_the_first_object_and_goes_with_the_last),
		cmocka_unit_test(a_place_is_used_again),
		cmocka_unit_test(without_a_frame_there_is_no_object),
		cmocka_unit_test(random_sizes_never_overlap),
		cmocka_unit_test(misuse_is_caught),
		cmocka_unit_test(damage_is_seen),
	};

	return cmocka_run_group_tests_name("slab", tests, NULL, NULL);
}
