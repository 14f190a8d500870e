/* SPDX-License-Identifier: MIT */
/*
 * Swap for the linux target.
 *
 * Swap is the machine's: it has to go again however the controller ends, and what one run swaps out
 * may land in the area of another.  So a process of its own, the guardian, sets the area up, tells
 * the controller, and takes it down when the socket between them hangs up.  It is in a session of
 * its own, out of reach of ^C.  From before it looks at the machine's swap until the end it holds a
 * lock, on /proc/swaps, so that of all runs that say what swap they want either one has some, or
 * several have none.  The others wait, in turn: the next in line holds another lock.  A run that does
 * not say takes what it finds.
 *
 * The area is a zram device or, where there is no such thing, a file.  It has the highest priority.
 * A zram device takes a page at once; on the way to a file it stays in memory for a while, which
 * mincore shows, and can't be paged out again until it is written.  Pages come back one by one:
 * nothing is read ahead.
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/swap.h>
#include <sys/wait.h>
#include <unistd.h>

#include "linux_target.h"

#define LOCK_NAP   10	/* ms */
#define REMOVE_NAP 1000 /* us */
#define REMOVES	   1000

#define ZRAM_CONTROL "/sys/class/zram-control/"
#define FILE_PATTERN "/var/tmp/quire-swap-XXXXXX"

/* How many pages are read at once, as a power of two.  The lock of the next in line is on it, too. */
#define PAGE_CLUSTER "/proc/sys/vm/page-cluster"

struct area {
	char path[64]; /* "": none */
	int zram;      /* number of the device; -1: a file */
	int cluster;   /* what PAGE_CLUSTER was; -1: it is as it was */
};

/* What the guardian tells. */
struct answer {
	char why[128]; /* "": all is as the setup says */
	struct area area;
};

struct swap {
	pid_t guardian;
	int socket;
	struct area area;
};

static bool write_number(const char *path, uint64_t number)
{
	char text[24];
	int length = snprintf(text, sizeof(text), "%ju", (uintmax_t)number);
	int file = open(path, O_WRONLY | O_CLOEXEC);
	bool done = file >= 0 && write(file, text, (size_t)length) == length;

	close(file);
	return done;
}

static int read_number(const char *path)
{
	int file = open(path, O_RDONLY | O_CLOEXEC);
	char text[16] = "";
	bool done = file >= 0 && read(file, text, sizeof(text) - 1) > 0;

	close(file);
	return done ? atoi(text) : -1;
}

/* A device that nobody else has; -1: there is none to be had. */
static int add_zram(uint64_t size)
{
	int number = read_number(ZRAM_CONTROL "hot_add");
	char path[64];

	if (number < 0)
		return -1;
	snprintf(path, sizeof(path), "/sys/block/zram%d/disksize", number);
	if (write_number(path, size))
		return number;
	write_number(ZRAM_CONTROL "hot_remove", (uint64_t)number);
	return -1;
}

/* Somebody who looks at every new device may still have it open. */
static void remove_zram(int number)
{
	for (unsigned i = 0; i < REMOVES; i++) {
		if (write_number(ZRAM_CONTROL "hot_remove", (uint64_t)number) || errno != EBUSY)
			return;
		usleep(REMOVE_NAP);
	}
}

/* Swap may not lie in holes. */
static bool fill(int file, uint64_t size)
{
	static const char zeros[1u << 16];
	ssize_t n = 1;

	for (uint64_t done = 0; done < size && n > 0; done += (uint64_t)n)
		n = write(file, zeros, size - done < sizeof(zeros) ? size - done : sizeof(zeros));
	return n > 0;
}

/* What mkswap(8) writes: version 1, the number of the last page, and the signature. */
static bool write_header(int file, uint64_t pages)
{
	static char page[PAGE_SIZE];
	const uint32_t info[] = {1, (uint32_t)(pages - 1)};

	memcpy(page + 1024, info, sizeof(info));
	memcpy(page + PAGE_SIZE - 10, "SWAPSPACE2", 10);
	return pwrite(file, page, sizeof(page), 0) == sizeof(page) && fsync(file) == 0;
}

/* Returns the open file of a new area; -1: errno says why. */
static int make_area(uint64_t size, struct area *area)
{
	int file;

	area->zram = add_zram(size);
	if (area->zram >= 0) {
		snprintf(area->path, sizeof(area->path), "/dev/zram%d", area->zram);
		return open(area->path, O_RDWR | O_CLOEXEC);
	}
	strcpy(area->path, FILE_PATTERN);
	file = mkostemp(area->path, O_CLOEXEC);
	if (file < 0)
		*area->path = 0;
	else if (!fill(file, size))
		close(file), file = -1;
	return file;
}

/* Returns whether there is swap of that many bytes now; if not, errno says why. */
static bool swap_on(uint64_t size, struct area *area)
{
	uint64_t pages = (size + PAGE_SIZE - 1) / PAGE_SIZE + 1; /* and the header */
	bool done = false;
	int file;

	if (pages > UINT32_MAX) {
		errno = EFBIG;
		return false;
	}
	if (swapoff("") && errno == EPERM)
		return false;
	file = make_area(pages * PAGE_SIZE, area);
	if (file < 0)
		return false;
	done = write_header(file, pages);
	close(file);
	if (!done || swapon(area->path, SWAP_FLAG_PREFER | SWAP_FLAG_PRIO_MASK))
		return false;
	area->cluster = read_number(PAGE_CLUSTER);
	write_number(PAGE_CLUSTER, 0);
	return true;
}

static void take_down(const struct area *area)
{
	if (!*area->path)
		return;
	if (area->cluster >= 0)
		write_number(PAGE_CLUSTER, (uint64_t)area->cluster);
	swapoff(area->path);
	if (area->zram >= 0)
		remove_zram(area->zram);
	else
		unlink(area->path);
}

/* /proc/swaps is one line of titles, and one for each area. */
static bool machine_has_swap(int swaps)
{
	char text[4096];
	ssize_t length = pread(swaps, text, sizeof(text), 0);
	const char *line = length > 0 ? memchr(text, '\n', (size_t)length) : NULL;

	return line && line + 1 < text + length;
}

/* Has the controller closed its end?  Waits for it. */
static bool hung_up(int socket, int milliseconds)
{
	struct pollfd end = {.fd = socket};

	return poll(&end, 1, milliseconds) > 0;
}

/* Ends with the controller. */
static int lock(const char *path, int kind, int socket)
{
	int file = open(path, O_RDONLY | O_CLOEXEC);

	while (flock(file, kind | LOCK_NB) && errno == EWOULDBLOCK)
		if (hung_up(socket, LOCK_NAP))
			_exit(0);
	return file;
}

static void arrange(const struct target_setup *setup, int swaps, struct answer *answer)
{
	if (setup->swap && !swap_on(setup->swap, &answer->area))
		snprintf(answer->why, sizeof(answer->why), "can't have swap: %s", strerror(errno));
	else if (!setup->swap && machine_has_swap(swaps))
		strcpy(answer->why, "the machine has swap");
}

static void keep_only(int *socket)
{
	int null = open("/dev/null", O_RDWR);

	dup2(null, STDIN_FILENO);
	dup2(null, STDOUT_FILENO);
	dup2(null, STDERR_FILENO);
	*socket = dup2(*socket, STDERR_FILENO + 1);
	close_range((unsigned)*socket + 1, ~0u, 0);
}

static _Noreturn void guard(const struct target_setup *setup, int socket)
{
	struct answer answer = {.why = "", .area.cluster = -1};
	int next, swaps;

	setsid();
	signal(SIGTERM, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	keep_only(&socket);
	next = lock(PAGE_CLUSTER, LOCK_EX, socket);
	swaps = lock("/proc/swaps", setup->swap ? LOCK_EX : LOCK_SH, socket);
	close(next);
	arrange(setup, swaps, &answer);
	if (send(socket, &answer, sizeof(answer), 0) == sizeof(answer))
		hung_up(socket, -1);
	take_down(&answer.area);
	_exit(0);
}

const char *swap_set_up(struct target *target, const struct target_setup *setup)
{
	static struct answer answer;
	struct swap *swap;
	int sockets[2];

	if (!setup->has_swap)
		return NULL;
	swap = calloc(1, sizeof(*swap));
	if (!swap || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets))
		target_fail("linux: no guardian for the swap: %s", strerror(errno));
	swap->guardian = fork();
	if (swap->guardian == 0)
		guard(setup, sockets[1]);
	if (swap->guardian < 0)
		target_fail("linux: no guardian for the swap: %s", strerror(errno));
	close(sockets[1]);
	swap->socket = sockets[0];
	target->swap = swap;
	if (recv(swap->socket, &answer, sizeof(answer), 0) != sizeof(answer))
		return "the guardian of the swap died";
	swap->area = answer.area;
	return *answer.why ? answer.why : NULL;
}

int swap_off(struct target *target)
{
	if (!target->swap || !*target->swap->area.path)
		return EINVAL;
	return swapoff(target->swap->area.path) ? errno : 0;
}

void swap_close(struct target *target)
{
	struct swap *swap = target->swap;

	if (!swap)
		return;
	close(swap->socket);
	while (waitpid(swap->guardian, NULL, 0) < 0 && errno == EINTR)
		;
	free(swap);
	target->swap = NULL;
}
