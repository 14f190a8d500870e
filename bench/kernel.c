/* SPDX-License-Identifier: MIT */
/* The kernel's side: the system calls, with the hardware's MMU.  Huge pages are kept out of it, as
 * the library has 4K pages here. */
#define _GNU_SOURCE
#include "kernel.h"
#include "userfault.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static unsigned char *base;

static unsigned char *map(uint64_t bytes)
{
	unsigned char *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
				     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	bench_require(memory != MAP_FAILED, "mmap in the kernel");
	madvise(memory, bytes, MADV_NOHUGEPAGE);
	return memory;
}

static void write_pages(volatile unsigned char *memory, uint64_t bytes)
{
	for (uint64_t at = 0; at < bytes; at += BENCH_PAGE)
		memory[at] = 1;
}

static void write_share(unsigned thread)
{
	write_pages(base + thread * BENCH_TOUCH, BENCH_TOUCH);
}

static double touch(unsigned threads)
{
	double seconds;

	base = map(threads * BENCH_TOUCH);
	seconds = bench_threads(threads, write_share);
	munmap(base, threads * BENCH_TOUCH);
	return seconds;
}

/* A child that lives until the parent closes its end of the pipe; the seconds that fork() took in
 * the parent. */
static double fork_waiting_child(pid_t *child, int *hold)
{
	int ends[2];
	double start, seconds;
	char byte;

	bench_require(pipe(ends) == 0, "pipe");
	start = bench_now();
	*child = fork();
	seconds = bench_now() - start;
	bench_require(*child >= 0, "fork in the kernel");
	if (*child == 0) {
		close(ends[1]);
		_exit(read(ends[0], &byte, 1) != 0);
	}
	close(ends[0]);
	*hold = ends[1];
	return seconds;
}

static void end_child(pid_t child, int hold)
{
	close(hold);
	waitpid(child, NULL, 0);
}

double bench_kernel_fork(void)
{
	double seconds;
	pid_t child;
	int hold;

	seconds = fork_waiting_child(&child, &hold);
	end_child(child, hold);
	return seconds;
}

static double copy(unsigned threads)
{
	double seconds;
	pid_t child;
	int hold;

	base = map(threads * BENCH_TOUCH);
	write_pages(base, threads * BENCH_TOUCH);
	fork_waiting_child(&child, &hold);
	seconds = bench_threads(threads, write_share);
	end_child(child, hold);
	munmap(base, threads * BENCH_TOUCH);
	return seconds;
}

static double protect(uint64_t bytes, unsigned calls)
{
	double start, seconds;

	base = map(bytes);
	write_pages(base, bytes);
	start = bench_now();
	for (unsigned i = 0; i < calls; i++) {
		bench_require(mprotect(base, bytes, PROT_READ) == 0, "mprotect");
		bench_require(mprotect(base, bytes, PROT_READ | PROT_WRITE) == 0, "mprotect");
	}
	seconds = bench_now() - start;
	munmap(base, bytes);
	return seconds;
}

static double fork_large(void)
{
	double seconds;

	base = map(BENCH_LARGE);
	write_pages(base, BENCH_LARGE);
	seconds = bench_kernel_fork();
	munmap(base, BENCH_LARGE);
	return seconds;
}

static double unmap(void)
{
	double start;

	base = map(BENCH_LARGE);
	write_pages(base, BENCH_LARGE);
	start = bench_now();
	bench_require(munmap(base, BENCH_LARGE) == 0, "munmap in the kernel");
	return bench_now() - start;
}

static double load_hit(void)
{
	const uint64_t bytes = 64 * BENCH_PAGE;
	double start, seconds;

	base = map(bytes);
	write_pages(base, bytes);
	start = bench_now();
	for (uint64_t i = 0; i < BENCH_LOADS; i++)
		(void)*(volatile uint64_t *)(base + i * 8 % bytes);
	seconds = bench_now() - start;
	munmap(base, bytes);
	return seconds;
}

static double load_miss(void)
{
	double start, seconds;

	base = map(BENCH_LARGE);
	write_pages(base, BENCH_LARGE);
	start = bench_now();
	for (uint64_t i = 0; i < BENCH_LOADS; i++)
		(void)*(volatile uint64_t *)(base + bench_scatter(i, BENCH_LARGE / BENCH_PAGE) *
							    BENCH_PAGE);
	seconds = bench_now() - start;
	munmap(base, BENCH_LARGE);
	return seconds;
}

struct bench_side bench_kernel = {
	.touch = touch,
	.copy = copy,
	.protect = protect,
	.fork = fork_large,
	.unmap = unmap,
	.load_hit = load_hit,
	.load_miss = load_miss,
	.userfault = &bench_kernel_userfault,
};
