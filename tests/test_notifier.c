/* SPDX-License-Identifier: MIT */
/*
 * E3: random calls, with and without allocations that fail: what notifiers are told is what happens.
 * QUIRE_SEED gives other calls.  In the tests' small geometry devices have leaves of 16 pages.
 */
#include "notifier_fixture.h"
#include "table/table.h"
#include <quire/device.h>
#include <quire/pin.h>
#include <quire/swap.h>

#define CALLS 4000

/* DAX, FSDAX, PFN: page `index` of each is the frame of that number behind its first. */
#define DEVICES		3
#define DEVICE_FRAME(n) (((uint64_t)1 << 30) + (uint64_t)(n)*PAGES)

static unsigned char device_memory[DEVICES][PAGES * PAGE] __attribute__((aligned(4096)));

static int device_map(void *context, uint64_t index, unsigned level, bool write,
		      struct quire_device_leaf *leaf)
{
	const uint64_t *frame = context;

	(void)write;
	leaf->level = level;
	leaf->frame = *frame + (index & ~(table_span(level) / PAGE - 1));
	return 0;
}

static void device_discard(void *context, uint64_t index, uint64_t count)
{
	(void)context, (void)index, (void)count;
}

/* Of leaves as large as fit. */
static struct quire_object *open_device(unsigned number)
{
	static struct quire_device_operations kinds[DEVICES];
	static uint64_t frames[DEVICES];
	struct quire_object *object;

	frames[number] = DEVICE_FRAME(number);
	kinds[number] = (struct quire_device_operations){
		.kind = QUIRE_DEVICE_DAX + number,
		.level = table_span(1) <= PAGES * PAGE,
		.map = device_map,
		.discard = QUIRE_DEVICE_DAX + number == QUIRE_DEVICE_FSDAX ? device_discard : NULL,
	};
	assert_int_equal(
		quire_device_memory_add(core(), DEVICE_FRAME(number), PAGES, device_memory[number]),
		0);
	assert_int_equal(
		quire_device_create(core(), PAGES * PAGE, &kinds[number], &frames[number], &object),
		0);
	return object;
}

struct play {
	struct random random;
	struct quire_object *object;
	struct quire_object *device[DEVICES];
	struct quire_space *child;
	struct quire_userfault *context;
	uint64_t address, length; /* of the call */
};

static uint64_t below(struct play *play, uint64_t limit)
{
	return random_below(&play->random, limit);
}

static void pick_range(struct play *play)
{
	uint64_t page = below(play, PAGES);

	play->address = at(page);
	play->length = (1 + below(play, PAGES - page)) * PAGE;
	if (below(play, 3))
		play->length = PAGE * (1 + below(play, 4));
	if (!below(play, 3)) {
		play->address &= ~(16 * PAGE - 1);
		play->length = (play->length + 16 * PAGE - 1) & ~(16 * PAGE - 1);
	}
	if (play->address + play->length > at(PAGES))
		play->length = at(PAGES) - play->address;
}

static unsigned play_access(struct play *play)
{
	soft_touch(cpu, play->address, below(play, 3) ? QUIRE_WRITE : QUIRE_READ);
	return CLEAR;
}

/* Many at once, so that there is something to change. */
static unsigned play_fill(struct play *play)
{
	quire_madvise(fixture.space, play->address, play->length,
		      below(play, 3) ? QUIRE_MADV_POPULATE_WRITE : QUIRE_MADV_POPULATE_READ);
	return CLEAR;
}

static unsigned play_map(struct play *play)
{
	static const int prots[] = {NONE, R, RW, RW, RW, RW, RW, RW};
	int prot = prots[below(play, 8)];
	unsigned what = (unsigned)below(play, 4 + DEVICES);
	uint64_t result;

	if (what < 2)
		quire_mmap(fixture.space, play->address, play->length, prot,
			   QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS | QUIRE_MAP_FIXED, &result);
	else
		quire_mmap_object(fixture.space, play->address, play->length, prot,
				  (below(play, 2) ? QUIRE_MAP_SHARED : QUIRE_MAP_PRIVATE) |
					  QUIRE_MAP_FIXED,
				  what < 4 ? play->object : play->device[what - 4],
				  play->address - BASE, &result);
	return UNMAP;
}

static unsigned play_unmap(struct play *play)
{
	quire_munmap(fixture.space, play->address, play->length);
	return UNMAP;
}

static unsigned play_protect(struct play *play)
{
	static const int prots[] = {NONE, R, RW, RX, RW};

	quire_mprotect(fixture.space, play->address, play->length, prots[below(play, 5)]);
	return PROT | CLEAR; /* it populates what is locked */
}

static unsigned play_move(struct play *play)
{
	uint64_t to = at(below(play, PAGES)), result;

	if (to + play->length <= at(PAGES))
		quire_mremap(fixture.space, play->address, play->length, play->length,
			     QUIRE_MREMAP_MAYMOVE | QUIRE_MREMAP_FIXED |
				     (below(play, 3) ? 0 : QUIRE_MREMAP_DONTUNMAP),
			     to, &result);
	return UNMAP | PROT;
}

static unsigned play_advise(struct play *play)
{
	static const int advice[] = {
		QUIRE_MADV_DONTNEED, QUIRE_MADV_FREE,	       QUIRE_MADV_COLD,
		QUIRE_MADV_PAGEOUT,  QUIRE_MADV_GUARD_INSTALL, QUIRE_MADV_GUARD_REMOVE,
		QUIRE_MADV_WILLNEED, QUIRE_MADV_REMOVE,
	};

	quire_madvise(fixture.space, play->address, play->length, advice[below(play, 8)]);
	return CLEAR;
}

static unsigned play_lock(struct play *play)
{
	if (below(play, 3))
		quire_munlock(fixture.space, play->address, play->length);
	else
		quire_mlock(fixture.space, play->address, play->length);
	return CLEAR;
}

static unsigned play_fork(struct play *play)
{
	if (play->child)
		quire_space_destroy(play->child);
	play->child = NULL;
	if (below(play, 2) && quire_fork(fixture.space, &play->child))
		play->child = NULL;
	return PROT;
}

/* The other process uses what it shares. */
static unsigned play_child(struct play *play)
{
	if (play->child)
		quire_fault(play->child, play->address, QUIRE_WRITE);
	return 0;
}

static unsigned play_migrate(struct play *play)
{
	uint64_t moved;

	quire_migrate(fixture.space, play->address, play->length, &moved);
	return MIGRATE;
}

static unsigned play_reclaim(struct play *play)
{
	quire_reclaim(core(), 1 + below(play, 16));
	return CLEAR;
}

static unsigned play_object(struct play *play)
{
	uint64_t offset = play->address - BASE, byte = 1;
	struct quire_object *object = below(play, 2) ? play->object : play->device[1];
	size_t done;

	switch (below(play, 5)) {
	case 0:
		quire_object_truncate(object, offset);
		return CLEAR;
	case 1:
		quire_object_truncate(object, PAGES * PAGE);
		return 0;
	case 2:
		quire_object_punch(object, offset, play->length);
		return CLEAR;
	case 3:
		quire_device_revoke(play->device[below(play, DEVICES)], offset, play->length);
		return CLEAR;
	default:
		quire_object_write(object, offset, &byte, sizeof(byte), &done);
		return 0;
	}
}

static unsigned play_userfault(struct play *play)
{
	uint64_t pages = play->length / PAGE;
	struct quire_uffdio_move move = {
		.dst = at(below(play, PAGES)),
		.src = play->address,
		.len = play->length,
		.mode = QUIRE_UFFDIO_MOVE_MODE_ALLOW_SRC_HOLES,
	};

	switch (below(play, 6)) {
	case 0:
		unregister_pages(play->context, play->address, pages);
		return PROT;
	case 1:
		register_pages(play->context, play->address, pages, WP);
		return PROT;
	case 2:
		writeprotect(play->context, play->address, pages, PROTECT);
		return PROT;
	case 3:
		writeprotect(play->context, play->address, pages, RELEASE);
		return PROT;
	default:
		if (move.dst + move.len <= at(PAGES))
			quire_userfault_ioctl(play->context, QUIRE_UFFDIO_MOVE, &move, NULL);
		return CLEAR | PROT;
	}
}

static unsigned play_scan(struct play *play)
{
	struct quire_scan_region region[4];
	struct quire_scan argument = {
		.size = sizeof(argument),
		.flags = QUIRE_SCAN_WP_MATCHING,
		.start = play->address,
		.end = play->address + play->length,
		.vec = (uintptr_t)region,
		.vec_len = 1 + below(play, 4),
		.max_pages = below(play, 6),
		.category_mask = below(play, 2) ? QUIRE_PAGE_IS_WRITTEN : QUIRE_PAGE_IS_PRESENT,
		.category_inverted = below(play, 4) ? 0 : QUIRE_PAGE_IS_FILE,
		.return_mask = QUIRE_PAGE_IS_WRITTEN,
	};

	quire_pagemap_scan(fixture.space, &argument);
	return PROT;
}

static unsigned play_refused(struct play *play)
{
	uint64_t result;

	quire_munmap(fixture.space, play->address + 1, play->length);
	quire_mprotect(fixture.space, play->address, play->length, 64);
	quire_madvise(fixture.space, play->address, play->length, 99);
	quire_mremap(fixture.space, play->address, play->length, play->length, 64, 0, &result);
	quire_mmap(fixture.space, play->address, play->length, RW,
		   QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS | QUIRE_MAP_FIXED_NOREPLACE, &result);
	return 0;
}

/* Two calls: the first one faults the pages in. */
static unsigned play_pin(struct play *play)
{
	uint64_t frames[PAGES];
	struct quire_pin pin = {.address = play->address, .length = play->length, .frames = frames};
	unsigned whys;

	if (quire_pin(fixture.space, &pin))
		return CLEAR;
	judge("pin", ALL);
	listen();
	whys = below(play, 2) ? play_fork(play) : play_migrate(play);
	quire_unpin(core(), &pin, true);
	return whys;
}

#define PLAY(name)                                                                                 \
	{                                                                                          \
#name, play_##name                                                                 \
	}
static const struct {
	const char *name;
	unsigned (*make)(struct play *play); /* the reasons that may be told */
} plays[] = {
	PLAY(access),  PLAY(access),  PLAY(access), PLAY(fill),	  PLAY(fill),	   PLAY(fill),
	PLAY(fill),    PLAY(map),     PLAY(map),    PLAY(unmap),  PLAY(protect),   PLAY(protect),
	PLAY(move),    PLAY(advise),  PLAY(advise), PLAY(lock),	  PLAY(fork),	   PLAY(child),
	PLAY(migrate), PLAY(reclaim), PLAY(object), PLAY(object), PLAY(userfault), PLAY(userfault),
	PLAY(scan),    PLAY(refused), PLAY(pin),
};
#define PLAYS (sizeof(plays) / sizeof(*plays))

static struct play begin_play(void)
{
	struct play play = {.random = random_start()};

	open_memory(1);
	assert_int_equal(quire_shmem_create(core(), PAGES * PAGE, &play.object), 0);
	for (unsigned i = 0; i < DEVICES; i++)
		play.device[i] = open_device(i);
	play.context = open_context(fixture.space, QUIRE_UFFD_FEATURE_WP_ASYNC |
							   QUIRE_UFFD_FEATURE_WP_HUGETLBFS_SHMEM |
							   QUIRE_UFFD_FEATURE_MOVE);
	return play;
}

static void end_play(struct play *play)
{
	if (play->child)
		quire_space_destroy(play->child);
	quire_notifier_unregister(notifier);
	quire_userfault_close(play->context);
	quire_object_put(play->object);
	for (unsigned i = 0; i < DEVICES; i++)
		quire_object_put(play->device[i]);
	soft_fixture_close(&fixture);
}

static void what_is_told_is_what_happens(void **state)
{
	struct play play = begin_play();
	unsigned brackets = 0, reasons = 0, large = 0;

	(void)state;
	for (unsigned i = 0; i < CALLS; i++) {
		unsigned which = (unsigned)below(&play, PLAYS);

		pick_range(&play);
		listen();
		for (uint64_t page = 0; page < PAGES; page++)
			large += maps(&recorder.before[page]) && recorder.before[page].level;
		judge(plays[which].name, plays[which].make(&play));
		brackets += recorder.count;
		for (unsigned j = 0; j < recorder.count; j++)
			reasons |= 1u << recorder.heard[j].why;
	}
	assert_true(brackets > CALLS / 8 && reasons == ALL);
	assert_true(large > CALLS / 16 || table_span(1) > PAGES * PAGE);
	end_play(&play);
}

/* What fails half-way has told of the half that was done; what is reclaimed for it is told, too. */
static void a_failure_leaves_no_bracket_open(void **state)
{
	struct play play = begin_play();
	unsigned failed = 0;

	(void)state;
	for (unsigned i = 0; i < CALLS; i++) {
		unsigned which = (unsigned)below(&play, PLAYS);

		pick_range(&play);
		listen();
		quire_machine_fail_nth(core(), 1 + below(&play, 6));
		plays[which].make(&play);
		failed += quire_machine_failed(core());
		quire_machine_fail_nth(core(), 0);
		judge(plays[which].name, ALL);
	}
	assert_true(failed > CALLS / 20);
	end_play(&play);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_told_is_what_happens),
		cmocka_unit_test(a_failure_leaves_no_bracket_open),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
