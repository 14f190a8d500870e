/* SPDX-License-Identifier: MIT */
/*
 * The allocators under several threads.  What it proves it proves under ThreadSanitizer: that
 * joining looks at a neighbour's descriptor only in the field that is the lock's, and that memory
 * passes from one owner to the next in order.
 */
#include <pthread.h>
#include <string.h>

#include "machine_fixture.h"

#define THREADS 4
#define STEPS	20000
#define HELD	64

struct worker {
	struct quire_machine *machine;
	pthread_t thread;
	struct random random;
	unsigned char stamp;
	bool broken; /* someone else wrote into memory of ours */
	struct frame *frames[HELD];
	unsigned char *objects[HELD];
};

static bool stamped(const unsigned char *bytes, size_t count, unsigned char stamp)
{
	for (size_t i = 0; i < count; i++)
		if (bytes[i] != stamp)
			return false;
	return true;
}

/* The first bytes of each frame tell the owner. */
static void stamp_block(struct worker *worker, struct frame *block)
{
	char *bytes = frame_memory(worker->machine, block);

	for (unsigned i = 0; i < 1u << block->order; i++)
		memset(bytes + i * PAGE_SIZE, worker->stamp, 64);
}

static void check_block(struct worker *worker, struct frame *block)
{
	unsigned char *bytes = frame_memory(worker->machine, block);

	for (unsigned i = 0; i < 1u << block->order; i++)
		if (!stamped(bytes + i * PAGE_SIZE, 64, worker->stamp))
			worker->broken = true;
}

/* Mostly single frames; every use writes the fields that an owner may write without a lock. */
static void take_frame(struct worker *worker, unsigned which)
{
	uint64_t dice = random_below(&worker->random, 8);
	struct frame *frame = frame_alloc(worker->machine, dice < 6 ? 0 : (unsigned)dice - 5);

	worker->frames[which] = frame;
	if (!frame)
		return;
	frame_set_kind(worker->machine, frame, dice % 2 ? FRAME_ANON : FRAME_TABLE);
	folio_hold(frame_folio(frame), FRAME_ONE_MAPPING);
	stamp_block(worker, frame);
}

static void give_frame(struct worker *worker, unsigned which)
{
	struct frame *frame = worker->frames[which];

	worker->frames[which] = NULL;
	check_block(worker, frame);
	if (folio_drop(frame_folio(frame), FRAME_ONE_MAPPING))
		frame_free(worker->machine, frame);
}

static void give_all_frames(struct worker *worker)
{
	struct frame *chain = NULL;

	for (unsigned i = 0; i < HELD; i++) {
		struct frame *frame = worker->frames[i];

		worker->frames[i] = NULL;
		if (!frame)
			continue;
		check_block(worker, frame);
		folio_drop(frame_folio(frame), FRAME_ONE_MAPPING);
		frame->next = chain;
		chain = frame;
	}
	frame_free_chain(worker->machine, chain);
}

static void turn_object(struct worker *worker, unsigned which)
{
	unsigned char *object = worker->objects[which];

	if (object) {
		if (!stamped(object, 40, worker->stamp))
			worker->broken = true;
		slab_free(worker->machine, object);
		object = NULL;
	} else {
		object = slab_alloc(worker->machine, 40 + which);
		if (object)
			memset(object, worker->stamp, 40);
	}
	worker->objects[which] = object;
}

static void *work(void *argument)
{
	struct worker *worker = argument;

	for (unsigned step = 0; step < STEPS; step++) {
		unsigned which = (unsigned)random_below(&worker->random, HELD);

		if (step % 512 == 511)
			give_all_frames(worker);
		else if (worker->frames[which])
			give_frame(worker, which);
		else
			take_frame(worker, which);
		turn_object(worker, which);
	}
	give_all_frames(worker);
	for (unsigned i = 0; i < HELD; i++)
		slab_free(worker->machine, worker->objects[i]);
	return NULL;
}

/* The machine is so small that blocks run out, and singles are joined all the time. */
static void threads_share_the_allocators(void **state)
{
	struct fixture fixture = fixture_open(1 * MIB, 0);
	struct worker workers[THREADS] = {0};

	(void)state;
	for (unsigned i = 0; i < THREADS; i++) {
		workers[i].machine = fixture.machine;
		workers[i].random = random_start();
		workers[i].random.state += i;
		workers[i].stamp = (unsigned char)(i + 1);
		assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
	}
	for (unsigned i = 0; i < THREADS; i++) {
		pthread_join(workers[i].thread, NULL);
		assert_false(workers[i].broken);
	}
	fixture_close(&fixture);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(threads_share_the_allocators),
	};

	return cmocka_run_group_tests_name("frame threads", tests, NULL, NULL);
}
