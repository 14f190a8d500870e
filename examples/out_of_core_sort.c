/* SPDX-License-Identifier: MIT */
/*
 * Sorts more records than a machine has memory for.
 *
 *	out-of-core-sort [--memory SIZE] [--data SIZE] [--threads N] [--seed N] [--swap]
 *
 * The records lie in guest memory that is registered with userfaultfd, for missing pages and for
 * write protection.  The guest (out_of_core_sort/guest.c) sorts them as if they were all there.  A
 * handler keeps as much of them in memory as fits, and the rest in a file, in blocks of some pages.
 * What is to be done follows from where a block is, and what the guest wants of it:
 *
 *	            ABSENT                     CLEAN                  DIRTY
 *	a read      copy it in, protected      wake                   wake
 *	a write     copy it in                 unprotect              wake
 *	eviction    -                          drop                   protect, write to file, drop
 *
 * What is copied in protected (UFFDIO_COPY_MODE_WP) faults at the first write to it; without one it
 * is the same in the file, and can go without being written.  "Wake" is for a thread whose fault is
 * out of date, because another's has been served since.
 *
 * No write may be lost between the reading of a dirty block and its end, while other threads run.  So
 * it is protected first: who writes to it from then on sleeps, finds nothing there when it is gone,
 * and faults it in again.
 *
 * With --swap there is no handler: the same guest runs, and the library itself swaps.
 */
#define _GNU_SOURCE 1
#include "out_of_core_sort/guest.h"

#include <quire/userfault.h>

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PAGE	     QUIRE_PAGE_SIZE
#define BLOCK	     (8 * PAGE)
#define SPARE_FRAMES 64 /* for what is neither records nor tables that map them */

void must(bool held, const char *what)
{
	if (held)
		return;
	fprintf(stderr, "out-of-core-sort: %s failed\n", what);
	exit(1);
}

/* --- the handler --- */

enum block_state { ABSENT, CLEAN, DIRTY };

struct pager {
	struct quire_space *space;
	struct quire_userfault *context;
	uint64_t base;		 /* address of the records */
	int file;		 /* where block n is at n * BLOCK */
	enum block_state *state; /* of each block */
	uint64_t *queue;	 /* the blocks in memory: a ring, in the order in which they came */
	uint64_t room;		 /* how many there may be */
	uint64_t resident, oldest;
	atomic_bool stop;
	uint64_t fetched, first_writes, outdated, dropped, written; /* what it has done */
};

static struct quire_uffdio_range range_of(const struct pager *pager, uint64_t block)
{
	return (struct quire_uffdio_range){pager->base + block * BLOCK, BLOCK};
}

static void request(struct pager *pager, uint32_t number, void *argument, const char *what)
{
	must(quire_userfault_ioctl(pager->context, number, argument, NULL) == 0, what);
}

/* false: unprotects, and wakes who sleeps there. */
static void protect(struct pager *pager, uint64_t block, bool set)
{
	struct quire_uffdio_writeprotect protect = {
		.range = range_of(pager, block),
		.mode = set ? QUIRE_UFFDIO_WRITEPROTECT_MODE_WP : 0,
	};

	request(pager, QUIRE_UFFDIO_WRITEPROTECT, &protect, "UFFDIO_WRITEPROTECT");
}

static void wake(struct pager *pager, uint64_t block)
{
	struct quire_uffdio_range range = range_of(pager, block);

	request(pager, QUIRE_UFFDIO_WAKE, &range, "UFFDIO_WAKE");
}

static void write_back(struct pager *pager, uint64_t block)
{
	unsigned char bytes[BLOCK];
	size_t done;

	must(!quire_access_read(pager->space, range_of(pager, block).start, bytes, BLOCK, &done),
	     "reading a block");
	must(pwrite(pager->file, bytes, BLOCK, (off_t)(block * BLOCK)) == (ssize_t)BLOCK,
	     "writing to the file");
}

static void evict_oldest(struct pager *pager)
{
	uint64_t block = pager->queue[pager->oldest];

	if (pager->state[block] == DIRTY) {
		protect(pager, block, true);
		write_back(pager, block);
		pager->written++;
	} else {
		pager->dropped++;
	}
	must(!quire_madvise(pager->space, range_of(pager, block).start, BLOCK, QUIRE_MADV_DONTNEED),
	     "MADV_DONTNEED");
	pager->state[block] = ABSENT;
	pager->oldest = (pager->oldest + 1) % pager->room;
	pager->resident--;
}

static void fetch(struct pager *pager, uint64_t block, bool for_writing)
{
	unsigned char bytes[BLOCK];
	struct quire_uffdio_copy copy = {
		.dst = range_of(pager, block).start,
		.src = (uintptr_t)bytes,
		.len = BLOCK,
		.mode = for_writing ? 0 : QUIRE_UFFDIO_COPY_MODE_WP,
	};

	if (pager->resident == pager->room)
		evict_oldest(pager);
	must(pread(pager->file, bytes, BLOCK, (off_t)(block * BLOCK)) == (ssize_t)BLOCK,
	     "reading the file");
	request(pager, QUIRE_UFFDIO_COPY, &copy, "UFFDIO_COPY"); /* and wakes who sleeps there */
	pager->queue[(pager->oldest + pager->resident++) % pager->room] = block;
	pager->fetched++;
}

static void serve(struct pager *pager, const struct quire_uffd_msg *message)
{
	const uint64_t write = QUIRE_UFFD_PAGEFAULT_FLAG_WRITE | QUIRE_UFFD_PAGEFAULT_FLAG_WP;
	uint64_t block = (message->arg.pagefault.address - pager->base) / BLOCK;
	bool writes = message->arg.pagefault.flags & write;
	enum block_state *state = &pager->state[block];

	if (*state == ABSENT) {
		fetch(pager, block, writes);
		*state = writes ? DIRTY : CLEAN;
	} else if (*state == CLEAN && writes) {
		protect(pager, block, false);
		*state = DIRTY;
		pager->first_writes++;
	} else {
		wake(pager, block);
		pager->outdated++;
	}
}

/* The handler's thread. */
static void *serve_faults(void *argument)
{
	struct pager *pager = argument;
	struct quire_uffd_msg message;
	struct quire_userfault *child; /* comes with fork events, which nobody has asked for */

	while (!atomic_load(&pager->stop))
		if (quire_userfault_read(pager->context, &message, &child) == 0)
			serve(pager, &message);
		else
			sched_yield();
	return NULL;
}

static void open_pager(struct pager *pager, const struct guest *guest)
{
	uint64_t bytes = guest->records * RECORD, tables = bytes / (512 * PAGE);
	const char *directory = getenv("TMPDIR");
	struct quire_uffdio_api api = {.api = QUIRE_UFFD_API};
	struct quire_uffdio_register range = {
		.range = {guest->base, bytes},
		.mode = QUIRE_UFFDIO_REGISTER_MODE_MISSING | QUIRE_UFFDIO_REGISTER_MODE_WP,
	};
	struct quire_machine_counters now;

	quire_machine_count(soft_machine_core(guest->machine), &now);
	must(now.frames_free >= SPARE_FRAMES + tables + BLOCK / PAGE, "having so little memory");
	*pager = (struct pager){
		.space = guest->space,
		.base = guest->base,
		.room = (now.frames_free - SPARE_FRAMES - tables) / (BLOCK / PAGE),
	};
	pager->state = calloc(bytes / BLOCK, sizeof(*pager->state));
	pager->queue = calloc(pager->room, sizeof(*pager->queue));
	must(pager->state && pager->queue, "calloc");
	pager->file = open(directory ? directory : "/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	must(pager->file >= 0 && ftruncate(pager->file, (off_t)bytes) == 0, "making a file");
	must(!quire_userfault_open(guest->space, &(struct quire_userfault_config){0},
				   &pager->context),
	     "opening a userfaultfd context");
	request(pager, QUIRE_UFFDIO_API, &api, "UFFDIO_API");
	request(pager, QUIRE_UFFDIO_REGISTER, &range, "UFFDIO_REGISTER");
}

static void close_pager(struct pager *pager)
{
	quire_userfault_close(pager->context);
	close(pager->file);
	free(pager->queue);
	free(pager->state);
}

/* --- the program --- */

struct options {
	uint64_t memory, data, threads, seed;
	bool swap;
};

static void print_progress(const char *name, struct guest *guest, struct timespec start)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	printf("%-7s%3" PRIu64 "%%%6.1f s", name, atomic_load(&guest->done) * 100 / guest->records,
	       (double)(now.tv_sec - start.tv_sec) + (double)(now.tv_nsec - start.tv_nsec) / 1e9);
	fflush(stdout);
}

/* A terminal sees how far it is; others see when it is done. */
static void run_phase(const char *name, void *(*phase)(void *), struct guest *guest)
{
	struct timespec start, next;
	pthread_t thread;

	atomic_store(&guest->done, 0);
	clock_gettime(CLOCK_REALTIME, &start);
	must(pthread_create(&thread, NULL, phase, guest) == 0, "pthread_create");
	for (next = start; next.tv_sec++, pthread_timedjoin_np(thread, NULL, &next);)
		if (isatty(STDOUT_FILENO)) {
			print_progress(name, guest, start);
			printf("\r");
		}
	print_progress(name, guest, start);
	printf("\n");
}

/* Whether all went well. */
static bool run_guest(struct guest *guest)
{
	bool same;

	run_phase("fill", guest_fill, guest);
	run_phase("sort", guest_sort, guest);
	run_phase("verify", guest_verify, guest);
	same = guest->sum[0] == guest->sum[1];
	printf("the records are %s, and their sum is %s\n", guest->sorted ? "sorted" : "NOT SORTED",
	       same ? "what it was" : "NOT WHAT IT WAS");
	return guest->sorted && same;
}

static bool run_with_handler(struct guest *guest)
{
	struct pager pager;
	pthread_t thread;
	bool good;

	open_pager(&pager, guest);
	printf("%" PRIu64 " blocks of records, room for %" PRIu64 "\n",
	       guest->records * RECORD / BLOCK, pager.room);
	must(pthread_create(&thread, NULL, serve_faults, &pager) == 0, "pthread_create");
	good = run_guest(guest);
	atomic_store(&pager.stop, true);
	pthread_join(thread, NULL);
	printf("faults: %" PRIu64 " missing, %" PRIu64 " first writes, %" PRIu64 " out of date\n"
	       "evictions: %" PRIu64 " clean, %" PRIu64 " dirty and written back\n",
	       pager.fetched, pager.first_writes, pager.outdated, pager.dropped, pager.written);
	close_pager(&pager);
	return good;
}

static bool run_with_swap(struct guest *guest)
{
	struct quire_machine_counters now;
	bool good;

	quire_machine_count(soft_machine_core(guest->machine), &now);
	printf("%" PRIu64 " pages of records, %" PRIu64 " frames free, swap in a file\n",
	       guest->records * RECORD / PAGE, now.frames_free);
	good = run_guest(guest);
	quire_machine_count(soft_machine_core(guest->machine), &now);
	printf("pages swapped out: %" PRIu64 ", in: %" PRIu64 "\n", now.swap_outs, now.swap_ins);
	return good;
}

static int run(const struct options *options)
{
	struct guest guest = {.records = options->data / RECORD,
			      .seed = options->seed,
			      .threads = (unsigned)options->threads};
	struct soft_config config = {.memory = options->memory, .cpus = guest.threads};
	bool good;

	if (options->swap) {
		config.swap = soft_swap_file(NULL, options->data / PAGE);
		must(config.swap, "making a file");
	}
	must(!soft_machine_open(&config, &guest.machine), "opening a machine");
	must(!quire_space_create(soft_machine_core(guest.machine), &(struct quire_space_config){0},
				 &guest.space),
	     "making a space");
	must(!quire_mmap(guest.space, 0, options->data, QUIRE_PROT_READ | QUIRE_PROT_WRITE,
			 QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS | QUIRE_MAP_NORESERVE,
			 &guest.base),
	     "mmap");
	good = options->swap ? run_with_swap(&guest) : run_with_handler(&guest);
	quire_space_destroy(guest.space);
	must(!soft_machine_close(guest.machine), "closing the machine");
	return good ? 0 : 1;
}

/* The value of an option: a number, and for a size K, M or G behind it. */
static uint64_t parse(const char *option, bool size, uint64_t least, uint64_t most)
{
	static const char suffixes[] = "KMG";
	const char *suffix;
	unsigned shift = 0;
	uint64_t value;
	char *end;

	errno = 0;
	value = strtoull(optarg, &end, 10);
	if (size && *end && (suffix = strchr(suffixes, *end))) {
		shift = 10 * (unsigned)(suffix - suffixes + 1);
		end++;
	}
	if (*optarg >= '0' && *optarg <= '9' && !*end && !errno && value <= most >> shift &&
	    value << shift >= least)
		return value << shift;
	fprintf(stderr, "out-of-core-sort: --%s %s: not from %" PRIu64 " to %" PRIu64 "\n", option,
		optarg, least, most);
	exit(2);
}

int main(int argc, char **argv)
{
	static const struct option names[] = {
		{"memory", required_argument, NULL, 'm'},  {"data", required_argument, NULL, 'd'},
		{"threads", required_argument, NULL, 't'}, {"seed", required_argument, NULL, 's'},
		{"swap", no_argument, NULL, 'w'},	   {0},
	};
	const uint64_t terabyte = (uint64_t)1 << 40;
	struct options options = {.memory = 8 << 20, .data = 64 << 20, .threads = 2, .seed = 1};

	for (int option; (option = getopt_long(argc, argv, "", names, NULL)) != -1;) {
		if (option == 'm')
			options.memory = parse("memory", true, 1 << 20, terabyte) & ~(PAGE - 1);
		else if (option == 'd')
			options.data = parse("data", true, BLOCK, terabyte) & ~(BLOCK - 1);
		else if (option == 't')
			options.threads = parse("threads", false, 1, SOFT_CPUS_MAX);
		else if (option == 's')
			options.seed = parse("seed", false, 0, UINT64_MAX);
		else if (option == 'w')
			options.swap = true;
		else
			return 2; /* getopt has said why */
	}
	if (optind == argc)
		return run(&options);
	fprintf(stderr, "out-of-core-sort: %s: not an option\n", argv[optind]);
	return 2;
}
