/* SPDX-License-Identifier: MIT */
/*
 * The guardian: what a run changes on the machine goes again however the controller ends.
 *
 * Swap, the pools of huge pages and the switches of transparent ones are the machine's, and what one
 * run arranges, others would meet.  So a process of its own, the guardian, arranges them, tells the
 * controller, and takes them down when the socket between them hangs up.  It is in a session of its
 * own, out of reach of ^C.  From before it looks at the machine until the end it holds locks, on the
 * files that say how the machine has it: of all runs that say what swap they want, either one has
 * some, or several have none; one at a time has a say in huge pages, and while one has in those of
 * shared memory no other runs at all.  Locks are taken in one order, by the next in line alone, which
 * another lock says.  A run that does not say what it wants takes what it finds.
 */
#define _GNU_SOURCE 1
#include "linux_guardian.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/swap.h>
#include <sys/wait.h>
#include <unistd.h>

#define LOCK_NAP 10 /* ms */

struct guardian {
	pid_t pid;
	int socket;
	struct swap_area area;
};

/* Has the controller closed its end?  Waits for it. */
static bool hung_up(int socket, int milliseconds)
{
	struct pollfd end = {.fd = socket};

	return poll(&end, 1, milliseconds) > 0;
}

/* Ends with the controller.  -1: there is no such file. */
static int lock(const char *path, int kind, int socket)
{
	int file = open(path, O_RDONLY | O_CLOEXEC);

	while (file >= 0 && flock(file, kind | LOCK_NB) && errno == EWOULDBLOCK)
		if (hung_up(socket, LOCK_NAP))
			_exit(0);
	return file;
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

static bool says_huge(const struct target_setup *setup)
{
	return setup->thp || setup->shmem_thp || setup->has_pool[POOL_2M] ||
	       setup->has_pool[POOL_1G];
}

static _Noreturn void guard(const struct target_setup *setup, int socket)
{
	struct answer answer = {.why = "", .area.cluster = -1};
	struct saved_settings saved = {0};
	int next, swaps = -1;

	setsid();
	signal(SIGTERM, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	keep_only(&socket);
	next = lock(SETTING_PAGE_CLUSTER, LOCK_EX, socket);
	if (setup->has_swap)
		swaps = lock("/proc/swaps", setup->swap ? LOCK_EX : LOCK_SH, socket);
	if (says_huge(setup))
		lock(SETTING_THP, LOCK_EX, socket);
	lock(SETTING_SHMEM_THP, setup->shmem_thp ? LOCK_EX : LOCK_SH, socket);
	close(next);
	swap_arrange(setup, swaps, &answer);
	if (!*answer.why)
		huge_arrange(setup, &saved, &answer);
	if (send(socket, &answer, sizeof(answer), 0) == sizeof(answer))
		hung_up(socket, -1);
	huge_take_down(&saved);
	swap_take_down(&answer.area);
	_exit(0);
}

/* Who changes nothing only keeps others from it, as long as the file is open. */
static void share_locks(struct target *target)
{
	int next = open(SETTING_PAGE_CLUSTER, O_RDONLY | O_CLOEXEC);

	target->shared_lock = open(SETTING_SHMEM_THP, O_RDONLY | O_CLOEXEC);
	if (target->shared_lock >= 0 && flock(target->shared_lock, LOCK_SH | LOCK_NB)) {
		flock(next, LOCK_EX);
		flock(target->shared_lock, LOCK_SH);
	}
	close(next);
}

const char *guardian_start(struct target *target, const struct target_setup *setup)
{
	static struct answer answer;
	struct guardian *guardian;
	int sockets[2];

	target->shared_lock = -1;
	if (!setup->has_swap && !says_huge(setup)) {
		share_locks(target);
		return NULL;
	}
	guardian = calloc(1, sizeof(*guardian));
	if (!guardian || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets))
		target_fail("linux: no guardian for the machine: %s", strerror(errno));
	guardian->pid = fork();
	if (guardian->pid == 0)
		guard(setup, sockets[1]);
	if (guardian->pid < 0)
		target_fail("linux: no guardian for the machine: %s", strerror(errno));
	close(sockets[1]);
	guardian->socket = sockets[0];
	target->guardian = guardian;
	if (recv(guardian->socket, &answer, sizeof(answer), 0) != sizeof(answer))
		return "the guardian of the machine died";
	guardian->area = answer.area;
	return *answer.why ? answer.why : NULL;
}

int guardian_swapoff(struct target *target)
{
	if (!target->guardian || !*target->guardian->area.path)
		return EINVAL;
	return swapoff(target->guardian->area.path) ? errno : 0;
}

void guardian_end(struct target *target)
{
	struct guardian *guardian = target->guardian;

	if (target->shared_lock >= 0)
		close(target->shared_lock);
	target->shared_lock = -1;
	if (!guardian)
		return;
	close(guardian->socket);
	while (waitpid(guardian->pid, NULL, 0) < 0 && errno == EINTR)
		;
	free(guardian);
	target->guardian = NULL;
}
