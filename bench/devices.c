/* SPDX-License-Identifier: MIT */
#include "devices.h"

#include "bench.h"
#include <quire/device.h>
#include <quire/userfault.h>
#include <soft.h>
#include <sys/mman.h>

#define DEVICE_BYTES (64ull << 30)
#define DEVICE_FRAME (1ull << 30) /* aligned at every level, and no frame of the machine */

static void *memory;
static struct quire_object *object;
static struct quire_space *space;
static struct soft_cpu *cpu;
static uint64_t base;

static void ok(int error, const char *what)
{
	bench_require(error == 0, what);
}

static struct quire_machine *core(void)
{
	return soft_machine_core(bench_library_machine());
}

static uint64_t span(unsigned level)
{
	return BENCH_PAGE << (9 * level);
}

static uint64_t bytes_of(unsigned level)
{
	return level ? DEVICE_BYTES : BENCH_LARGE;
}

static int map_page(void *context, uint64_t index, unsigned level, bool write,
		    struct quire_device_leaf *leaf)
{
	const unsigned *highest = context;
	uint64_t pages;

	(void)write;
	leaf->level = level < *highest ? level : *highest;
	pages = span(leaf->level) / BENCH_PAGE;
	leaf->frame = DEVICE_FRAME + index / pages * pages;
	return 0;
}

/* A device whose leaves are of `level`, mapped. */
static void begin(enum quire_device_kind kind, unsigned level, uint64_t bytes)
{
	static struct quire_device_operations operations;
	static unsigned highest;

	highest = level;
	operations =
		(struct quire_device_operations){.kind = kind, .level = level, .map = map_page};
	memory = mmap(NULL, DEVICE_BYTES, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	bench_require(memory != MAP_FAILED, "mmap of a device's memory");
	ok(quire_device_memory_add(core(), DEVICE_FRAME, DEVICE_BYTES / BENCH_PAGE, memory),
	   "a device's memory");
	ok(quire_device_create(core(), DEVICE_BYTES, &operations, &highest, &object), "a device");
	ok(quire_space_create(core(), &(struct quire_space_config){0}, &space), "a space");
	base = 1ull << 40;
	ok(quire_mmap_object(space, base, bytes, QUIRE_PROT_READ | QUIRE_PROT_WRITE,
			     QUIRE_MAP_SHARED | QUIRE_MAP_FIXED, object, 0, &base),
	   "mmap of a device");
	cpu = soft_machine_cpu(bench_library_machine(), 0);
	soft_cpu_enter(cpu, space);
}

static void end(void)
{
	soft_cpu_leave(cpu);
	quire_space_destroy(space);
	quire_object_put(object);
	ok(quire_device_memory_remove(core(), DEVICE_FRAME), "taking a device's memory away");
	munmap(memory, DEVICE_BYTES);
}

/* Reads one page of each leaf: writable, and the host's memory stays untouched. */
static void begin_populated(enum quire_device_kind kind, unsigned level)
{
	uint64_t value;

	begin(kind, level, bytes_of(level));
	for (uint64_t at = base; at < base + bytes_of(level); at += span(level))
		bench_require(soft_load64(cpu, at, &value).outcome == QUIRE_DONE,
			      "a load from a device");
}

double bench_device_protect(unsigned level)
{
	double start, seconds;

	begin_populated(QUIRE_DEVICE_DAX, level);
	start = bench_now();
	ok(quire_mprotect(space, base, bytes_of(level), QUIRE_PROT_READ), "mprotect");
	ok(quire_mprotect(space, base, bytes_of(level), QUIRE_PROT_READ | QUIRE_PROT_WRITE),
	   "mprotect");
	seconds = bench_now() - start;
	end();
	return seconds;
}

static struct quire_userfault *watch(uint64_t bytes)
{
	struct quire_uffdio_register range = {.range = {base, bytes},
					      .mode = QUIRE_UFFDIO_REGISTER_MODE_WP};
	struct quire_uffdio_api api = {.api = QUIRE_UFFD_API,
				       .features = QUIRE_UFFD_FEATURE_WP_ASYNC};
	struct quire_userfault *context;

	ok(quire_userfault_open(space, &(struct quire_userfault_config){0}, &context), "a context");
	ok(quire_userfault_ioctl(context, QUIRE_UFFDIO_API, &api, NULL), "negotiating");
	ok(quire_userfault_ioctl(context, QUIRE_UFFDIO_REGISTER, &range, NULL), "registering");
	return context;
}

static void write_protect(struct quire_userfault *context, uint64_t bytes)
{
	struct quire_uffdio_writeprotect request = {.range = {base, bytes},
						    .mode = QUIRE_UFFDIO_WRITEPROTECT_MODE_WP};

	ok(quire_userfault_ioctl(context, QUIRE_UFFDIO_WRITEPROTECT, &request, NULL),
	   "UFFDIO_WRITEPROTECT");
}

double bench_device_writeprotect(unsigned level)
{
	struct quire_userfault *context;
	double start, seconds;

	begin_populated(QUIRE_DEVICE_DAX, level);
	context = watch(bytes_of(level));
	start = bench_now();
	write_protect(context, bytes_of(level));
	seconds = bench_now() - start;
	quire_userfault_close(context);
	end();
	return seconds;
}

double bench_device_fork(unsigned level)
{
	struct quire_space *child;
	double start, seconds;

	begin_populated(QUIRE_DEVICE_PFN, level);
	start = bench_now();
	ok(quire_fork(space, &child), "fork");
	seconds = bench_now() - start;
	quire_space_destroy(child);
	end();
	return seconds;
}

double bench_device_unmap(unsigned level)
{
	double start, seconds;

	begin_populated(QUIRE_DEVICE_DAX, level);
	start = bench_now();
	ok(quire_munmap(space, base, bytes_of(level)), "munmap");
	seconds = bench_now() - start;
	end();
	return seconds;
}

double bench_device_write_cut(void)
{
	struct quire_userfault *context;
	double start, seconds;

	begin(QUIRE_DEVICE_FSDAX, 1, BENCH_TOUCH);
	context = watch(BENCH_TOUCH);
	/* The host's pages are there when the time is taken. */
	for (uint64_t at = base; at < base + BENCH_TOUCH; at += BENCH_PAGE)
		bench_require(soft_store8(cpu, at, 1).outcome == QUIRE_DONE, "a store");
	write_protect(context, BENCH_TOUCH);
	start = bench_now();
	for (uint64_t at = base; at < base + BENCH_TOUCH; at += BENCH_PAGE)
		bench_require(soft_store8(cpu, at, 1).outcome == QUIRE_DONE, "a store");
	seconds = bench_now() - start;
	quire_userfault_close(context);
	end();
	return seconds;
}

double bench_device_load(unsigned level)
{
	uint64_t value, sum = 0;
	double start, seconds;

	begin(QUIRE_DEVICE_DAX, level, BENCH_LARGE);
	for (uint64_t at = base; at < base + BENCH_LARGE; at += BENCH_PAGE)
		soft_store8(cpu, at, 1);
	start = bench_now();
	for (uint64_t i = 0; i < BENCH_LOADS; i++) {
		soft_load64(cpu, base + bench_scatter(i, BENCH_LARGE / BENCH_PAGE) * BENCH_PAGE,
			    &value);
		sum += value;
	}
	seconds = bench_now() - start;
	bench_require(sum != 1, "the sum of what was loaded");
	end();
	return seconds;
}
