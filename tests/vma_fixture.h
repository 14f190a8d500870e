/* SPDX-License-Identifier: MIT */
/*
 * One address space, whose VMAs are told as a line of text, for tests.
 *
 * Pages are numbered from BASE on.  "0-2rw 4-6r" are two VMAs, of the pages 0 and 1, 4 and 5; "-"
 * stands for no permission.
 */
#ifndef QUIRE_VMA_FIXTURE_H
#define QUIRE_VMA_FIXTURE_H

#include <string.h>

#include "machine_fixture.h"
#include "space/space.h"

#define BASE  ((uint64_t)0x100000000000)
#define PAGE  PAGE_SIZE
#define PAGES 256 /* that line() looks at */

#define NONE QUIRE_PROT_NONE
#define R    QUIRE_PROT_READ
#define RW   (QUIRE_PROT_READ | QUIRE_PROT_WRITE)
#define RWX  (QUIRE_PROT_READ | QUIRE_PROT_WRITE | QUIRE_PROT_EXEC)

#define ANON	   (QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS)
#define ANON_FIXED (ANON | QUIRE_MAP_FIXED)
#define MOVE_TO	   (QUIRE_MREMAP_MAYMOVE | QUIRE_MREMAP_FIXED)
#define PAGE_LIMIT 4096 /* commit_limit, in pages */
#define MAPS_LIMIT 16

struct world {
	struct quire_machine *machine;
	void *memory;
	struct quire_space *space;
};

static inline struct quire_space *open_space(struct quire_machine *machine, uint64_t lowest,
					     uint64_t highest, uint64_t mmap_base)
{
	struct quire_space_config config = {
		.lowest = lowest, .highest = highest, .mmap_base = mmap_base};
	struct quire_space *space;

	assert_int_equal(quire_space_create(machine, &config, &space), 0);
	return space;
}

static inline int open_world(void **state)
{
	struct world *world = calloc(1, sizeof(*world));
	struct quire_machine_config config = {.bytes = 64 * MIB,
					      .zeroed = true,
					      .commit_limit = PAGE_LIMIT * PAGE,
					      .max_maps = MAPS_LIMIT};

	world->memory = mmap(NULL, config.bytes, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	assert_ptr_not_equal(world->memory, MAP_FAILED);
	config.memory = world->memory;
	assert_int_equal(quire_machine_create(&config, &world->machine), 0);
	world->space = open_space(world->machine, 16 * PAGE, 0, 0);
	*state = world;
	return 0;
}

static inline void print_text(void *context, const char *bytes, size_t length)
{
	(void)context;
	fwrite(bytes, 1, length, stderr);
}

static inline void assert_sound(struct quire_machine *machine)
{
	struct quire_text text = {.emit = print_text};

	assert_int_equal(quire_check(machine, &text), 0);
}

/* Everything must have been given back. */
static inline int close_world(void **state)
{
	struct world *world = *state;

	assert_sound(world->machine);
	quire_space_destroy(world->space);
	assert_int_equal(quire_machine_destroy(world->machine), 0);
	munmap(world->memory, 64 * MIB);
	free(world);
	return 0;
}

static inline uint64_t at(uint64_t page)
{
	return BASE + page * PAGE;
}

static inline void map_at(struct quire_space *space, uint64_t page, uint64_t pages, int prot)
{
	uint64_t result;

	assert_int_equal(quire_mmap(space, at(page), pages * PAGE, prot, ANON_FIXED, &result), 0);
	assert_int_equal(result, at(page));
}

/* One write by the user. */
static inline void touch(struct quire_space *space, uint64_t page)
{
	assert_int_equal(quire_fault(space, at(page), QUIRE_WRITE).outcome, QUIRE_DONE);
}

static inline const char *permissions(uint8_t prot)
{
	static const char *const letters[] = {"-", "r", "w", "rw", "x", "rx", "wx", "rwx"};

	return letters[prot & 7];
}

static inline void line(struct quire_space *space, char *text, size_t size)
{
	struct quire_vma_report vma = {.end = BASE};
	size_t length = 0;

	*text = '\0';
	while (quire_vma(space, vma.end, &vma) == 0 && vma.start < at(PAGES))
		length += (size_t)snprintf(text + length, size - length, "%s%u-%u%s",
					   length ? " " : "", (unsigned)((vma.start - BASE) / PAGE),
					   (unsigned)((vma.end - BASE) / PAGE),
					   permissions(vma.prot));
}

static inline void assert_line(struct quire_space *space, const char *want)
{
	char got[1024];

	line(space, got, sizeof(got));
	assert_string_equal(got, want);
	assert_true(vma_tree_valid(space));
}

/* What VmFlags shows of the VMA that holds the page. */
static inline void assert_flags(struct quire_space *space, uint64_t page, const char *want)
{
	struct quire_vma_report vma;

	assert_int_equal(quire_vma(space, at(page), &vma), 0);
	assert_string_equal(vma.flags, want);
}

#endif
