/* SPDX-License-Identifier: MIT */
/*
 * Runs every benchmark some rounds, library and kernel in turn, and prints medians, spreads and the
 *ratio round by round.
 *
 *	quire_bench [ROUNDS] [NAME]      NAME: only benchmarks whose name contains it
 */
#define _GNU_SOURCE
#include "bench.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#define ROUNDS_DEFAULT 7
#define ROUNDS_MAX     99

struct job {
	pthread_t thread;
	pthread_barrier_t *start;
	void (*body)(unsigned);
	unsigned number;
};

static void *run_job(void *argument)
{
	struct job *job = argument;

	pthread_barrier_wait(job->start);
	job->body(job->number);
	return NULL;
}

double bench_threads(unsigned threads, void (*body)(unsigned thread))
{
	struct job job[2];
	pthread_barrier_t start;
	double began;

	bench_require(threads >= 1 && threads <= 2, "one or two threads");
	pthread_barrier_init(&start, NULL, threads + 1);
	for (unsigned i = 0; i < threads; i++) {
		job[i] = (struct job){.start = &start, .body = body, .number = i};
		bench_require(pthread_create(&job[i].thread, NULL, run_job, &job[i]) == 0,
			      "starting a thread");
	}
	pthread_barrier_wait(&start);
	began = bench_now();
	for (unsigned i = 0; i < threads; i++)
		pthread_join(job[i].thread, NULL);
	pthread_barrier_destroy(&start);
	return bench_now() - began;
}

void bench_require(int held, const char *what)
{
	if (held)
		return;
	fprintf(stderr, "quire_bench: failed: %s\n", what);
	exit(1);
}

static double touch1(const struct bench_side *side)
{
	return side->touch(1);
}
static double touch2(const struct bench_side *side)
{
	return side->touch(2);
}
static double copy1(const struct bench_side *side)
{
	return side->copy(1);
}
static double copy2(const struct bench_side *side)
{
	return side->copy(2);
}
static double protect_4k(const struct bench_side *side)
{
	return side->protect(BENCH_PAGE, BENCH_CALLS);
}
static double protect_4m(const struct bench_side *side)
{
	return side->protect(4ull << 20, 50);
}
static double protect_1g(const struct bench_side *side)
{
	return side->protect(BENCH_LARGE, 1);
}
static double fork_1g(const struct bench_side *side)
{
	return side->fork();
}
static double unmap_1g(const struct bench_side *side)
{
	return side->unmap();
}
static double load_hit(const struct bench_side *side)
{
	return side->load_hit();
}
static double load_miss(const struct bench_side *side)
{
	return side->load_miss();
}

static const struct {
	const char *name, *unit;
	double units; /* in one measurement */
	double (*run)(const struct bench_side *side);
} benchmarks[] = {
	{"fault, first touch, 1 thread", "page", BENCH_TOUCH / BENCH_PAGE, touch1},
	{"fault, first touch, 2 threads", "page", 2 * BENCH_TOUCH / BENCH_PAGE, touch2},
	{"fault, write after fork, 1 thread", "page", BENCH_TOUCH / BENCH_PAGE, copy1},
	{"fault, write after fork, 2 threads", "page", 2 * BENCH_TOUCH / BENCH_PAGE, copy2},
	{"mprotect 4K", "call", 2 * BENCH_CALLS, protect_4k},
	{"mprotect 4M populated", "page", 2 * 50 * (4 << 20) / BENCH_PAGE, protect_4m},
	{"mprotect 1G populated", "page", 2 * BENCH_LARGE / BENCH_PAGE, protect_1g},
	{"fork 1G populated", "page", BENCH_LARGE / BENCH_PAGE, fork_1g},
	{"munmap 1G populated", "page", BENCH_LARGE / BENCH_PAGE, unmap_1g},
	{"load, TLB hit", "load", BENCH_LOADS, load_hit},
	{"load, TLB miss", "load", BENCH_LOADS, load_miss},
};
#define BENCHMARKS (sizeof(benchmarks) / sizeof(benchmarks[0]))

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Sorts the rounds and prints "median (least - most)". */
static void print_rounds(double *rounds, int count, int width, int digits)
{
	char spread[64];

	qsort(rounds, (size_t)count, sizeof(*rounds), ascending);
	snprintf(spread, sizeof(spread), "(%.*f - %.*f)", digits, rounds[0], digits,
		 rounds[count - 1]);
	printf(" %*.*f %-*s", width, digits, rounds[count / 2], width + 11, spread);
}

static void run(unsigned number, int rounds)
{
	double library[ROUNDS_MAX], kernel[ROUNDS_MAX], ratio[ROUNDS_MAX];
	double scale = 1e9 / benchmarks[number].units;

	/* The first round of either warms up and does not count. */
	for (int i = -1; i < rounds; i++) {
		double ours = benchmarks[number].run(&bench_library) * scale;
		double theirs = benchmarks[number].run(&bench_kernel) * scale;

		if (i < 0)
			continue;
		library[i] = ours;
		kernel[i] = theirs;
		ratio[i] = ours / theirs;
	}
	printf("%-35s %-5s", benchmarks[number].name, benchmarks[number].unit);
	print_rounds(library, rounds, 8, 1);
	print_rounds(kernel, rounds, 8, 1);
	print_rounds(ratio, rounds, 6, 2);
	printf("\n");
	fflush(stdout);
}

static void print_machine(int rounds)
{
	struct utsname name;
	char line[256], model[256] = "unknown processor\n";
	FILE *file = fopen("/proc/cpuinfo", "r");

	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "model name : %255[^\n]", model) == 1)
			break;
	if (file)
		fclose(file);
	uname(&name);
	printf("Regime: the library owns the tables (software MMU); the kernel uses the "
	       "hardware's.\n"
	       "Machine: %s, Linux %s; compiler: %s.\n"
	       "%d rounds, library and kernel in turn; ns per unit: median (least - most);\n"
	       "ratio: library / kernel, round by round; below 1 the library is faster.\n"
	       "A fault of the kernel includes the hardware's trap; the library's has none.\n\n",
	       model, name.release, __VERSION__, rounds);
	printf("%-35s %-5s %8s %-19s %8s %-19s %6s\n", "benchmark", "unit", "library", "", "kernel",
	       "", "ratio");
}

int main(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : ROUNDS_DEFAULT;
	const char *only = argc > 2 ? argv[2] : "";

	if (argc > 3 || rounds < 1 || rounds > ROUNDS_MAX) {
		fprintf(stderr, "usage: %s [ROUNDS (1 to %d)] [NAME]\n", argv[0], ROUNDS_MAX);
		return 2;
	}
	print_machine(rounds);
	bench_library_open();
	for (unsigned i = 0; i < BENCHMARKS; i++)
		if (strstr(benchmarks[i].name, only))
			run(i, rounds);
	bench_library_close();
	return 0;
}
