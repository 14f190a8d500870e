/* SPDX-License-Identifier: MIT */
/*
 * What the tests of the invariant checker damage, and how they see that it was found.
 *
 *	base   p0 p1 p2 p3 p4 p5 p6 p7 | hole | one page far away        | object, shared
 *	       w  w  z  g  .  n  s     |      | w, in a table of its own | w  s
 *
 * w: written, z: the page of zeros, g: guard marker, n: written, then PROT_NONE, s: in swap.
 */
#ifndef QUIRE_CHECK_FIXTURE_H
#define QUIRE_CHECK_FIXTURE_H

#include <string.h>

#include "soft_fixture.h"
#include "object/object.h"
#include "soft_internal.h"
#include "space/rmap.h"
#include "table/cursor.h"

#define PAGES	 8
#define BASE	 ((uint64_t)1 << 44)
#define FAR_AWAY ((uint64_t)1 << 40)
#define SHARED	 ((uint64_t)1 << 41)

/* Bytes as they were before the damage. */
struct damage {
	void *place;
	size_t size;
	unsigned char bytes[8];
};

static struct world {
	struct soft_fixture fixture;
	struct quire_machine *machine;
	struct quire_space *space;
	struct quire_object *object;
	uint64_t base;
	struct damage damages[8];
	unsigned damaged;
	char findings[4096];
	size_t length;
} world;

/* ---- damage and repair ---- */

static inline void remember(void *place, size_t size)
{
	struct damage *damage = &world.damages[world.damaged++];

	damage->place = place;
	damage->size = size;
	memcpy(damage->bytes, place, size);
}

#define DAMAGE(place, value)                                                                       \
	do {                                                                                       \
		remember(&(place), sizeof(place));                                                 \
		(place) = (value);                                                                 \
	} while (0)

static inline void mend(void)
{
	while (world.damaged > 0) {
		const struct damage *damage = &world.damages[--world.damaged];

		memcpy(damage->place, damage->bytes, damage->size);
	}
}

static inline uint64_t page(unsigned number)
{
	return world.base + number * PAGE;
}

/* The table whose entries are of `level` on the way to `address`. */
static inline struct frame *table_of(uint64_t address, unsigned level)
{
	struct frame *table = world.space->tables.root;

	for (unsigned at = ARCH_LEVELS - 1; at > level; at--) {
		entry_t entry =
			slot_load(table_slot(world.machine, table, level_index(address, at)));

		assert_true(entry_is_table(entry, at));
		table = table_below(&world.space->tables, entry);
	}
	return table;
}
static inline _Atomic entry_t *slot_of(uint64_t address)
{
	return table_slot(world.machine, table_of(address, 0), level_index(address, 0));
}
static inline struct frame *frame_of(uint64_t address)
{
	return &leaf_folio(&world.space->tables, slot_load(slot_of(address)))->head;
}
static inline struct vma *vma_of(uint64_t address)
{
	struct vma *vma = vma_find(world.space, address);

	assert_true(vma_holds(vma, address));
	return vma;
}

/* ---- findings ---- */

static inline void emit(void *context, const char *bytes, size_t length)
{
	(void)context;
	assert_true(world.length + length < sizeof(world.findings));
	memcpy(world.findings + world.length, bytes, length);
	world.findings[world.length += length] = '\0';
}

static const struct quire_text text = {.emit = emit};

static inline void clear(void)
{
	world.findings[world.length = 0] = '\0';
}

static inline void expect_finding(int answer, const char *line)
{
	assert_int_equal(answer, -QUIRE_EUCLEAN);
	if (!strstr(world.findings, line))
		fail_msg("wanted: %sfound: %s", line, world.findings);
}

/* The full check says so, and nothing once it is mended. */
static inline void finds(const char *what)
{
	char line[160];

	snprintf(line, sizeof(line), "%s\n", what);
	clear();
	expect_finding(quire_check(world.machine, &text), line);
	mend();
	clear();
	assert_int_equal(quire_check(world.machine, &text), 0);
	assert_string_equal(world.findings, "");
}

/* The same, with the address; and so does the check of a range that holds it, but of no other. */
static inline void finds_at(uint64_t address, const char *what)
{
	char line[160];

	snprintf(line, sizeof(line), "space %llu at %llx: %s\n",
		 (unsigned long long)world.space->tables.tag, (unsigned long long)address, what);
	clear();
	expect_finding(quire_check_range(world.space, address, address + PAGE, &text), line);
	clear();
	assert_int_equal(quire_check_range(world.space, world.base + FAR_AWAY,
					   world.base + FAR_AWAY + PAGE, &text),
			 0);
	line[strlen(line) - 1] = '\0';
	finds(line);
}

/* ---- the world ---- */

static inline void map_at(uint64_t address, uint64_t pages)
{
	assert_int_equal(quire_mmap(world.space, address, pages * PAGE, RW,
				    QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS | QUIRE_MAP_FIXED,
				    &address),
			 0);
}

static inline int open_world(void **state)
{
	const struct soft_config config = {
		.memory = 16 * MIB,
		.cpus = 1,
		.swap = soft_swap_compressed(64),
	};
	struct soft_cpu *cpu;
	uint64_t shared = BASE + SHARED;

	(void)state;
	world.fixture = soft_fixture_open(&config);
	world.machine = soft_machine_core(world.fixture.machine);
	world.space = world.fixture.space;
	map_at(world.base = BASE, PAGES);
	map_at(world.base + FAR_AWAY, 1);
	assert_int_equal(quire_shmem_create(world.machine, 2 * PAGE, &world.object), 0);
	assert_int_equal(quire_mmap_object(world.space, shared, 2 * PAGE, RW,
					   QUIRE_MAP_SHARED | QUIRE_MAP_FIXED, world.object, 0,
					   &shared),
			 0);
	cpu = soft_machine_cpu(world.fixture.machine, 0);
	soft_cpu_enter(cpu, world.space);
	soft_store64(cpu, page(0), 1);
	soft_store64(cpu, page(1), 1);
	soft_store64(cpu, page(5), 1);
	soft_store64(cpu, page(6), 1);
	soft_store64(cpu, page(7), 1);
	soft_store64(cpu, world.base + FAR_AWAY, 1);
	soft_store64(cpu, shared, 1);
	soft_store64(cpu, shared + PAGE, 1);
	soft_touch(cpu, page(2), QUIRE_READ);
	soft_cpu_leave(cpu);
	assert_int_equal(quire_madvise(world.space, page(6), 2 * PAGE, QUIRE_MADV_PAGEOUT), 0);
	/* A slot that is free again. */
	assert_int_equal(quire_madvise(world.space, page(7), PAGE, QUIRE_MADV_DONTNEED), 0);
	assert_int_equal(quire_madvise(world.space, shared + PAGE, PAGE, QUIRE_MADV_PAGEOUT), 0);
	assert_int_equal(world.object->swapped, 1);
	assert_int_equal(quire_madvise(world.space, page(3), PAGE, QUIRE_MADV_GUARD_INSTALL), 0);
	return quire_mprotect(world.space, page(5), PAGE, NONE);
}

static inline int close_world(void **state)
{
	(void)state;
	mend();
	quire_object_put(world.object);
	soft_fixture_close(&world.fixture);
	return 0;
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, open_world, close_world)

#endif
