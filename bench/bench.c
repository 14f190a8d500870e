/* SPDX-License-Identifier: MIT */
/*
 * Runs every benchmark some rounds, library and kernel in turn, and prints medians, spreads and the
 * ratio round by round.
 *
 *	quire_bench [ROUNDS] [NAME]      NAME: only benchmarks whose name contains it
 */
#define _GNU_SOURCE
#include "devices.h"
#include "userfault.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#define ROUNDS_DEFAULT 7
#define ROUNDS_MAX     99
#define VAST_ROUNDS    3 /* of what takes the kernel seconds */

struct job {
	pthread_t thread;
	pthread_barrier_t *start;
	void (*body)(unsigned);
	unsigned number;
	double began, ended;
};

static void *run_job(void *argument)
{
	struct job *job = argument;

	pthread_barrier_wait(job->start);
	job->began = bench_now();
	job->body(job->number);
	job->ended = bench_now();
	return NULL;
}

double bench_threads(unsigned threads, void (*body)(unsigned thread))
{
	struct job job[2];
	pthread_barrier_t start;
	double began, ended;

	bench_require(threads >= 1 && threads <= 2, "one or two threads");
	pthread_barrier_init(&start, NULL, threads);
	for (unsigned i = 0; i < threads; i++) {
		job[i] = (struct job){.start = &start, .body = body, .number = i};
		bench_require(pthread_create(&job[i].thread, NULL, run_job, &job[i]) == 0,
			      "starting a thread");
	}
	for (unsigned i = 0; i < threads; i++)
		pthread_join(job[i].thread, NULL);
	pthread_barrier_destroy(&start);
	began = job[0].began;
	ended = job[0].ended;
	for (unsigned i = 1; i < threads; i++) {
		began = job[i].began < began ? job[i].began : began;
		ended = job[i].ended > ended ? job[i].ended : ended;
	}
	return ended - began;
}

void bench_require(int held, const char *what)
{
	if (held)
		return;
	fprintf(stderr, "quire_bench: failed: %s\n", what);
	exit(1);
}

static double touch1(struct bench_side *side)
{
	return side->touch(1);
}
static double touch2(struct bench_side *side)
{
	return side->touch(2);
}
static double copy1(struct bench_side *side)
{
	return side->copy(1);
}
static double copy2(struct bench_side *side)
{
	return side->copy(2);
}
static double protect_4k(struct bench_side *side)
{
	return side->protect(BENCH_PAGE, BENCH_CALLS);
}
static double protect_4m(struct bench_side *side)
{
	return side->protect(4ull << 20, 50);
}
static double protect_1g(struct bench_side *side)
{
	return side->protect(BENCH_LARGE, 1);
}
static double fork_1g(struct bench_side *side)
{
	return side->fork();
}
static double unmap_1g(struct bench_side *side)
{
	return side->unmap();
}
static double load_hit(struct bench_side *side)
{
	return side->load_hit();
}
static double load_miss(struct bench_side *side)
{
	return side->load_miss();
}

static double wp_set_1g(struct bench_side *side)
{
	return bench_writeprotect(side->userfault, BENCH_LARGE, BENCH_PRIVATE, true, true,
				  &side->tables);
}
static double wp_clear_1g(struct bench_side *side)
{
	return bench_writeprotect(side->userfault, BENCH_LARGE, BENCH_PRIVATE, true, false,
				  &side->tables);
}
static double wp_set_64g(struct bench_side *side)
{
	return bench_writeprotect(side->userfault, 64ull << 30, BENCH_PRIVATE, false, true,
				  &side->tables);
}
static double wp_clear_64g(struct bench_side *side)
{
	return bench_writeprotect(side->userfault, 64ull << 30, BENCH_PRIVATE, false, false,
				  &side->tables);
}
static double wp_set_1t(struct bench_side *side)
{
	return bench_writeprotect(side->userfault, BENCH_VAST, BENCH_PRIVATE, false, true,
				  &side->tables);
}
static double wp_clear_1t(struct bench_side *side)
{
	return bench_writeprotect(side->userfault, BENCH_VAST, BENCH_PRIVATE, false, false,
				  &side->tables);
}
static double wp_fault(struct bench_side *side)
{
	return bench_write_fault(side->userfault);
}
static double wp_async(struct bench_side *side)
{
	return bench_write_async(side->userfault);
}
static double scan_clean(struct bench_side *side)
{
	return bench_scan(side->userfault, BENCH_LARGE, 0);
}
static double scan_some(struct bench_side *side)
{
	return bench_scan(side->userfault, BENCH_LARGE, BENCH_DIRTY_PAGES);
}
static double scan_all(struct bench_side *side)
{
	return bench_scan(side->userfault, BENCH_LARGE, BENCH_LARGE / BENCH_PAGE);
}
static double scan_1t(struct bench_side *side)
{
	return bench_scan(side->userfault, BENCH_VAST, 0);
}

static double shared_new(struct bench_side *side)
{
	return bench_shared_new(side->userfault);
}
static double shared_write(struct bench_side *side)
{
	return bench_shared_cached(side->userfault, true, false);
}
static double shared_read(struct bench_side *side)
{
	return bench_shared_cached(side->userfault, false, false);
}
static double shared_read_alone(struct bench_side *side)
{
	return bench_shared_cached(side->userfault, false, true);
}
static double shared_punch(struct bench_side *side)
{
	return bench_shared_punch(side->userfault);
}
static double shared_fork(struct bench_side *side)
{
	return bench_shared_fork(side->userfault);
}
static double shared_wp_populated(struct bench_side *side)
{
	return bench_writeprotect(side->userfault, BENCH_LARGE, BENCH_SHARED, true, true,
				  &side->tables);
}
static double shared_wp_empty(struct bench_side *side)
{
	return bench_writeprotect(side->userfault, BENCH_LARGE, BENCH_SHARED, false, true,
				  &side->tables);
}

static double swap_out_compressed(struct bench_side *side)
{
	return bench_swap_out(side->userfault, BENCH_COMPRESSED);
}
static double swap_in_compressed(struct bench_side *side)
{
	return bench_swap_in(side->userfault, BENCH_COMPRESSED);
}
static double swap_out_file(struct bench_side *side)
{
	return bench_swap_out(side->userfault, BENCH_FILE);
}
static double swap_in_file(struct bench_side *side)
{
	return bench_swap_in(side->userfault, BENCH_FILE);
}

/* The kernel here has no devices with large leaves. */
#define DEVICE_ROWS(level)                                                                         \
	static double device_protect_##level(struct bench_side *side)                              \
	{                                                                                          \
		return side == &bench_library ? bench_device_protect(level) : -1;                  \
	}                                                                                          \
	static double device_wp_##level(struct bench_side *side)                                   \
	{                                                                                          \
		return side == &bench_library ? bench_device_writeprotect(level) : -1;             \
	}                                                                                          \
	static double device_fork_##level(struct bench_side *side)                                 \
	{                                                                                          \
		return side == &bench_library ? bench_device_fork(level) : -1;                     \
	}                                                                                          \
	static double device_unmap_##level(struct bench_side *side)                                \
	{                                                                                          \
		return side == &bench_library ? bench_device_unmap(level) : -1;                    \
	}                                                                                          \
	static double device_load_##level(struct bench_side *side)                                 \
	{                                                                                          \
		return side == &bench_library ? bench_device_load(level) : -1;                     \
	}
DEVICE_ROWS(0)
DEVICE_ROWS(1)
DEVICE_ROWS(2)
static double device_write_cut(struct bench_side *side)
{
	return side == &bench_library ? bench_device_write_cut() : -1;
}

static const struct {
	const char *name, *unit;
	double units; /* in one measurement */
	double (*run)(struct bench_side *side);
	int rounds;  /* at most; 0: any number */
	bool tables; /* print what page tables it took */
} benchmarks[] = {
	{"fault, first touch, 1 thread", "page", BENCH_TOUCH / BENCH_PAGE, .run = touch1},
	{"fault, first touch, 2 threads", "page", 2 * BENCH_TOUCH / BENCH_PAGE, .run = touch2},
	{"fault, write after fork, 1 thread", "page", BENCH_TOUCH / BENCH_PAGE, .run = copy1},
	{"fault, write after fork, 2 threads", "page", 2 * BENCH_TOUCH / BENCH_PAGE, .run = copy2},
	{"mprotect 4K", "call", 2 * BENCH_CALLS, .run = protect_4k},
	{"mprotect 4M populated", "page", 2 * 50 * (4 << 20) / BENCH_PAGE, .run = protect_4m},
	{"mprotect 1G populated", "page", 2 * BENCH_LARGE / BENCH_PAGE, .run = protect_1g},
	{"fork 1G populated", "page", BENCH_LARGE / BENCH_PAGE, .run = fork_1g},
	{"munmap 1G populated", "page", BENCH_LARGE / BENCH_PAGE, .run = unmap_1g},
	{"load, TLB hit", "load", BENCH_LOADS, .run = load_hit},
	{"load, TLB miss", "load", BENCH_LOADS, .run = load_miss},
	{"writeprotect 1G populated, set", "page", BENCH_LARGE / BENCH_PAGE, .run = wp_set_1g},
	{"writeprotect 1G populated, clear", "page", BENCH_LARGE / BENCH_PAGE, .run = wp_clear_1g},
	{"writeprotect 64G empty, set", "call", 1, .run = wp_set_64g, .tables = true},
	{"writeprotect 64G empty, clear", "call", 1, .run = wp_clear_64g},
	{"writeprotect 1T empty, set", "call", 1, .run = wp_set_1t, .rounds = VAST_ROUNDS,
	 .tables = true},
	{"writeprotect 1T empty, clear", "call", 1, .run = wp_clear_1t, .rounds = VAST_ROUNDS},
	{"write fault, another thread polls", "fault", BENCH_ROUND_TRIPS, .run = wp_fault},
	{"write fault, WP_ASYNC", "fault", BENCH_TOUCH / BENCH_PAGE, .run = wp_async},
	{"pagemap_scan 1G, clean", "page", BENCH_LARGE / BENCH_PAGE, .run = scan_clean},
	{"pagemap_scan 1G, 100 pages dirty", "page", BENCH_LARGE / BENCH_PAGE, .run = scan_some},
	{"pagemap_scan 1G, all dirty", "page", BENCH_LARGE / BENCH_PAGE, .run = scan_all},
	{"pagemap_scan 1T empty, protected", "call", 1, .run = scan_1t, .rounds = VAST_ROUNDS},
	{"shared, write, new page", "page", BENCH_TOUCH / BENCH_PAGE, .run = shared_new},
	{"shared, write, page in cache", "page", BENCH_TOUCH / BENCH_PAGE, .run = shared_write},
	{"shared, read, with neighbours", "page", BENCH_TOUCH / BENCH_PAGE, .run = shared_read},
	{"shared, read, one by one", "page", BENCH_TOUCH / BENCH_PAGE, .run = shared_read_alone},
	{"shared, writeprotect 1G populated", "page", BENCH_LARGE / BENCH_PAGE,
	 .run = shared_wp_populated},
	{"shared, writeprotect 1G empty", "call", 1, .run = shared_wp_empty, .tables = true},
	{"shared, punch 1G mapped", "page", BENCH_LARGE / BENCH_PAGE, .run = shared_punch},
	{"shared, fork 1G mapped", "call", 1, .run = shared_fork},
	{"swap out, compressed; zram", "page", BENCH_TOUCH / BENCH_PAGE,
	 .run = swap_out_compressed},
	{"swap in, compressed; zram", "page", BENCH_TOUCH / BENCH_PAGE, .run = swap_in_compressed},
	{"swap out, file; zram", "page", BENCH_TOUCH / BENCH_PAGE, .run = swap_out_file},
	{"swap in, file; zram", "page", BENCH_TOUCH / BENCH_PAGE, .run = swap_in_file},
	{"device, mprotect, 4K leaves", "leaf", 2 * (1 << 18), .run = device_protect_0},
	{"device, writeprotect, 4K leaves", "leaf", 1 << 18, .run = device_wp_0},
	{"device, fork, 4K leaves", "leaf", 1 << 18, .run = device_fork_0},
	{"device, munmap, 4K leaves", "leaf", 1 << 18, .run = device_unmap_0},
	{"device, scattered loads, 4K leaves", "load", BENCH_LOADS, .run = device_load_0},
	{"device, mprotect, 2M leaves", "leaf", 2 * (1 << 15), .run = device_protect_1},
	{"device, writeprotect, 2M leaves", "leaf", 1 << 15, .run = device_wp_1},
	{"device, fork, 2M leaves", "leaf", 1 << 15, .run = device_fork_1},
	{"device, munmap, 2M leaves", "leaf", 1 << 15, .run = device_unmap_1},
	{"device, scattered loads, 2M leaves", "load", BENCH_LOADS, .run = device_load_1},
	{"device, mprotect, 1G leaves", "leaf", 2 * (64), .run = device_protect_2},
	{"device, writeprotect, 1G leaves", "leaf", 64, .run = device_wp_2},
	{"device, fork, 1G leaves", "leaf", 64, .run = device_fork_2},
	{"device, munmap, 1G leaves", "leaf", 64, .run = device_unmap_2},
	{"device, scattered loads, 1G leaves", "load", BENCH_LOADS, .run = device_load_2},
	{"device, write to protected 2M leaves", "page", BENCH_TOUCH / BENCH_PAGE,
	 .run = device_write_cut},
};
#define BENCHMARKS (sizeof(benchmarks) / sizeof(benchmarks[0]))

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/*
 * Sorts the rounds and prints "median (least - most)", with so many digits that it says something.
 */
static void print_rounds(double *rounds, int count, int width, int digits)
{
	char spread[64];

	qsort(rounds, (size_t)count, sizeof(*rounds), ascending);
	if (rounds[count / 2] >= 1e5)
		digits = 0;
	else if (rounds[count / 2] < 0.01)
		digits = 7;
	snprintf(spread, sizeof(spread), "(%.*f - %.*f)", digits, rounds[0], digits,
		 rounds[count - 1]);
	printf(" %*.*f %-*s", width, digits, rounds[count / 2], width + 11, spread);
}

static void run(unsigned number, int rounds)
{
	double library[ROUNDS_MAX], kernel[ROUNDS_MAX], ratio[ROUNDS_MAX];
	double scale = 1e9 / benchmarks[number].units;

	if (benchmarks[number].rounds && rounds > benchmarks[number].rounds)
		rounds = benchmarks[number].rounds;

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
	printf("%-37s %-5s", benchmarks[number].name, benchmarks[number].unit);
	print_rounds(library, rounds, 8, 1);
	if (kernel[0] >= 0) { /* it has such a thing */
		print_rounds(kernel, rounds, 8, 1);
		print_rounds(ratio, rounds, 6, 2);
	}
	printf("\n");
	if (benchmarks[number].tables)
		printf("%37s %-5s %8ju %-19s %8ju\n", "page tables it took", "KiB",
		       (uintmax_t)bench_library.tables >> 10, "",
		       (uintmax_t)bench_kernel.tables >> 10);
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
	printf("%-37s %-5s %8s %-19s %8s %-19s %6s\n", "benchmark", "unit", "library", "", "kernel",
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
