/* SPDX-License-Identifier: MIT */
/*
 * A memory object of the host's own: the image of a file, which guests map.
 *
 * All that a kind of object needs is a table of operations.  This one reads pages from a file and
 * is read-only; so its pages are always clean, and reclaim may drop them.
 */
#include <soft.h>

#include <quire/object.h>
#include <quire/swap.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PAGE  QUIRE_PAGE_SIZE
#define PAGES 8

struct image {
	FILE *file;
	unsigned reads;
};

static int image_read_page(void *context, uint64_t index, uint64_t count, void *memory)
{
	struct image *image = context;
	ssize_t bytes = pread(fileno(image->file), memory, count * PAGE, (off_t)(index * PAGE));

	image->reads++;
	if (bytes <= 0)
		return -QUIRE_EIO; /* the object says there is a page, the file has none */
	memset((char *)memory + bytes, 0, count * PAGE - (size_t)bytes);
	return 0;
}

static void image_release(void *context)
{
	fclose(((struct image *)context)->file);
}

static const struct quire_object_operations image_operations = {
	.read_page = image_read_page,
	.release = image_release,
	.read_only = true,
};

static void must(int error)
{
	if (error)
		exit(1);
}

/* A file whose first page is full of a's, the second of b's. */
static void make_file(struct image *image)
{
	image->file = tmpfile();
	must(!image->file);
	for (unsigned i = 0; i < PAGES * PAGE; i++)
		must(fputc('a' + (int)(i / PAGE), image->file) == EOF);
	must(fflush(image->file));
}

static void count(const char *when, struct soft_machine *machine, const struct image *image)
{
	struct quire_machine_counters now;

	quire_machine_count(soft_machine_core(machine), &now);
	printf("%s: %" PRIu64 " frames of the image, %" PRIu64
	       " of private memory, %u pages read\n",
	       when, now.frames_file, now.frames_anon, image->reads);
}

/* The first byte of each page, as `space` sees it; an exclamation mark is a BUS. */
static void show(const char *who, struct soft_cpu *cpu, struct quire_space *space, uint64_t base)
{
	soft_cpu_enter(cpu, space);
	printf("%s sees", who);
	for (unsigned page = 0; page < PAGES; page++) {
		uint8_t byte;
		struct soft_result result = soft_load8(cpu, base + page * PAGE, &byte);

		printf(" %c", result.outcome == QUIRE_DONE ? byte : '!');
	}
	printf("\n");
}

int main(void)
{
	struct image image = {.reads = 0};
	struct soft_machine *machine;
	struct quire_object *object;
	struct quire_space *one, *two;
	struct soft_cpu *cpu;
	uint64_t private, shared;

	make_file(&image);
	must(soft_machine_open(&(struct soft_config){0}, &machine));
	must(quire_object_create(soft_machine_core(machine), PAGES * PAGE, &image_operations,
				 &image, &object));
	must(quire_space_create(soft_machine_core(machine), &(struct quire_space_config){0}, &one));
	must(quire_space_create(soft_machine_core(machine), &(struct quire_space_config){0}, &two));
	must(quire_mmap_object(one, 0, PAGES * PAGE, QUIRE_PROT_READ | QUIRE_PROT_WRITE,
			       QUIRE_MAP_PRIVATE, object, 0, &private));
	must(quire_mmap_object(two, 0, PAGES * PAGE, QUIRE_PROT_READ, QUIRE_MAP_SHARED, object, 0,
			       &shared));
	printf("a writable shared mapping is %s\n",
	       quire_mmap_object(two, 0, PAGE, QUIRE_PROT_READ | QUIRE_PROT_WRITE, QUIRE_MAP_SHARED,
				 object, 0, &(uint64_t){0}) == -QUIRE_EACCES
		       ? "refused"
		       : "ALLOWED");
	quire_object_put(object); /* the mappings are its users now */

	cpu = soft_machine_cpu(machine, 0);
	show("one", cpu, one, private);
	show("two", cpu, two, shared);
	count("both have read it", machine, &image);

	soft_cpu_enter(cpu, one);
	must(soft_store8(cpu, private + PAGE, 'B').outcome != QUIRE_DONE);
	show("one", cpu, one, private);
	show("two", cpu, two, shared);
	count("one has written to a page", machine, &image);

	quire_reclaim(soft_machine_core(machine), UINT64_MAX);
	count("memory was short", machine, &image);
	must(ftruncate(fileno(image.file), 6 * PAGE)); /* behind the object's back */
	show("one", cpu, one, private);
	count("one has read it again", machine, &image);

	soft_cpu_leave(cpu);
	quire_space_destroy(one);
	quire_space_destroy(two);
	return soft_machine_close(machine);
}
