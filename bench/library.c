/* SPDX-License-Identifier: MIT */
/* The library's side: the software MMU, with Quire's page tables. */
#include "userfault.h"

#include <soft.h>
#include <sys/mman.h>

static struct soft_machine *machine;
static struct quire_space *space; /* that the threads of a benchmark work in */
static uint64_t base;

static void ok(int error, const char *what)
{
	bench_require(error == 0, what);
}

void bench_library_open(void)
{
	/* As a kernel's direct map. */
	const struct soft_config config = {.memory = 3ull << 30, .cpus = 2, .huge_pages = true};

	ok(soft_machine_open(&config, &machine), "opening the library's machine");
	/* The kernel's forks are of its own side.  A machine stands where its memory begins. */
	ok(madvise(soft_machine_core(machine), config.memory, MADV_DONTFORK), "MADV_DONTFORK");
}

void bench_library_close(void)
{
	ok(soft_machine_close(machine), "closing the library's machine");
}

struct soft_machine *bench_library_machine(void)
{
	return machine;
}

static void begin(uint64_t bytes)
{
	ok(quire_space_create(soft_machine_core(machine), &(struct quire_space_config){0}, &space),
	   "creating a space");
	ok(quire_mmap(space, 0, bytes, QUIRE_PROT_READ | QUIRE_PROT_WRITE,
		      QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS, &base),
	   "mmap in the library");
}

static void end(void)
{
	quire_space_destroy(space);
}

/* Enters on the calling thread; the CPU is left again by leave(). */
static struct soft_cpu *enter(unsigned number)
{
	struct soft_cpu *cpu = soft_machine_cpu(machine, number);

	soft_cpu_enter(cpu, space);
	return cpu;
}

static void write_pages(struct soft_cpu *cpu, uint64_t start, uint64_t bytes)
{
	for (uint64_t at = start; at < start + bytes; at += BENCH_PAGE)
		if (soft_store8(cpu, at, 1).outcome != QUIRE_DONE)
			bench_require(0, "a store in the library");
}

static void write_share(unsigned thread)
{
	struct soft_cpu *cpu = enter(thread);

	write_pages(cpu, base + thread * BENCH_TOUCH, BENCH_TOUCH);
	soft_cpu_leave(cpu);
}

static double touch(unsigned threads)
{
	double seconds;

	begin(threads * BENCH_TOUCH);
	seconds = bench_threads(threads, write_share);
	end();
	return seconds;
}

static double copy(unsigned threads)
{
	struct quire_space *child;
	double seconds;

	begin(threads * BENCH_TOUCH);
	bench_threads(threads, write_share);
	ok(quire_fork(space, &child), "fork in the library");
	seconds = bench_threads(threads, write_share);
	quire_space_destroy(child);
	end();
	return seconds;
}

/* A space with `bytes` populated, on CPU 0. */
static struct soft_cpu *begin_populated(uint64_t bytes)
{
	struct soft_cpu *cpu;

	begin(bytes);
	cpu = enter(0);
	write_pages(cpu, base, bytes);
	return cpu;
}

static double protect(uint64_t bytes, unsigned calls)
{
	struct soft_cpu *cpu = begin_populated(bytes);
	double start = bench_now(), seconds;

	for (unsigned i = 0; i < calls; i++) {
		ok(quire_mprotect(space, base, bytes, QUIRE_PROT_READ), "mprotect");
		ok(quire_mprotect(space, base, bytes, QUIRE_PROT_READ | QUIRE_PROT_WRITE),
		   "mprotect");
	}
	seconds = bench_now() - start;
	soft_cpu_leave(cpu);
	end();
	return seconds;
}

static double fork_large(void)
{
	struct soft_cpu *cpu = begin_populated(BENCH_LARGE);
	struct quire_space *child;
	double start = bench_now(), seconds;

	ok(quire_fork(space, &child), "fork in the library");
	seconds = bench_now() - start;
	quire_space_destroy(child);
	soft_cpu_leave(cpu);
	end();
	return seconds;
}

static double unmap(void)
{
	struct soft_cpu *cpu = begin_populated(BENCH_LARGE);
	double start = bench_now(), seconds;

	ok(quire_munmap(space, base, BENCH_LARGE), "munmap in the library");
	seconds = bench_now() - start;
	soft_cpu_leave(cpu);
	end();
	return seconds;
}

static double load_hit(void)
{
	struct soft_cpu *cpu = begin_populated(64 * BENCH_PAGE);
	double start = bench_now(), seconds;
	uint64_t value, sum = 0;

	for (uint64_t i = 0; i < BENCH_LOADS; i++) {
		soft_load64(cpu, base + i * 8 % (64 * BENCH_PAGE), &value);
		sum += value;
	}
	seconds = bench_now() - start;
	bench_require(sum != 1, "the sum of what was loaded");
	soft_cpu_leave(cpu);
	end();
	return seconds;
}

static double load_miss(void)
{
	struct soft_cpu *cpu = begin_populated(BENCH_LARGE);
	double start = bench_now(), seconds;
	uint64_t value, sum = 0;

	for (uint64_t i = 0; i < BENCH_LOADS; i++) {
		soft_load64(cpu, base + bench_scatter(i, BENCH_LARGE / BENCH_PAGE) * BENCH_PAGE,
			    &value);
		sum += value;
	}
	seconds = bench_now() - start;
	bench_require(sum != 1, "the sum of what was loaded");
	soft_cpu_leave(cpu);
	end();
	return seconds;
}

struct bench_side bench_library = {
	.touch = touch,
	.copy = copy,
	.protect = protect,
	.fork = fork_large,
	.unmap = unmap,
	.load_hit = load_hit,
	.load_miss = load_miss,
	.userfault = &bench_library_userfault,
};
