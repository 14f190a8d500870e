/* SPDX-License-Identifier: MIT */
/*
 * The linux target: scenarios on the running kernel, in real processes.
 *
 *	linux_agent.h	what controller and agents share, and how they talk
 *	linux_process.c	starts, waits for and ends agents
 *	linux_call.c	the calls
 *	linux_observe.c	pagemap, mincore, smaps and what is made of it
 *	linux_userfault.c	userfaultfd
 *	linux_file.c	passes files between controller and agents
 *	linux_memfd.c, linux_hugetlb.c	file memory, pools of huge pages
 *	linux_pin.c	long-term pins
 *	linux_guardian.c	what a run changes on the machine, and how it is changed back
 *	linux_swap.c, linux_huge.c	that is: swap, huge pages
 *	linux_agent.c, linux_arena.c, linux_access.c	the agent: threads, address space, accesses
 *
 * The agents end with the target's close(), and with the controller however it ends: see
 * linux_agent.c.
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "linux_hugetlb.h"

#define MAILBOX_SIZE (AGENT_SLOTS * sizeof(struct agent_slot))

#ifdef __SANITIZE_THREAD__
#define THREAD_SANITIZER 1
#elif defined(__has_feature)
#define THREAD_SANITIZER __has_feature(thread_sanitizer)
#else
#define THREAD_SANITIZER 0
#endif

/*
 * Stays on the CPU that we run on now, and agents with us.  What the kernel batches for each CPU
 * then shows the same on every run, and a call is a switch of tasks and wakes no other CPU.
 */
static void pin(struct target *target)
{
	const int number = sched_getcpu();
	cpu_set_t cpu;

	CPU_ZERO(&cpu);
	CPU_SET(number < 0 ? 0 : (unsigned)number, &cpu);
	sched_getaffinity(0, sizeof(target->allowed_cpus), &target->allowed_cpus);
	sched_setaffinity(0, sizeof(cpu), &cpu);
}

/*
 * A page that is mlocked, lazily freed or new goes through a batch of its CPU, which holds on to it,
 * and only then counts as what it is.  MADV_COLD empties the batches first, whatever it is asked for.
 */
void target_drain(struct target *target)
{
	madvise(target->empty, PAGE_SIZE, MADV_COLD);
}

static void unpin(const struct target *target)
{
	sched_setaffinity(0, sizeof(target->allowed_cpus), &target->allowed_cpus);
}

static bool map_mailbox(struct target *target)
{
	void *mailbox;

	target->mailbox = memfd_create("quire-mailbox", MFD_CLOEXEC);
	if (target->mailbox < 0 || ftruncate(target->mailbox, MAILBOX_SIZE))
		return false;
	mailbox = mmap(NULL, MAILBOX_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE,
		       target->mailbox, 0);
	if (mailbox == MAP_FAILED)
		return false;
	target->slots = mailbox;
	return true;
}

/*
 * Ends every agent, also a forked one that we never heard of because its parent was ended before it
 * could tell: such a one ends with the lifeline, and is waited for by its group.
 */
static void end_agents(struct target *target)
{
	for (struct process *process = target->processes; process; process = process->next)
		process_end(process);
	close(target->lifeline[1]);
	for (struct process *process = target->processes; process; process = process->next)
		if (process->group)
			process_reap(process, -process->group);
	while (target->processes)
		process_free(target->processes);
}

static void process_exit(struct process *process)
{
	pin_let_go_all(process);
	process_end(process);
}

static void linux_close(struct target *target)
{
	end_agents(target);
	userfault_close_all(target);
	memfd_close_all(target);
	if (target->slots)
		munmap(target->slots, MAILBOX_SIZE);
	munmap(target->empty, PAGE_SIZE);
	close(target->mailbox);
	close(target->lifeline[0]);
	close(target->channel[0]);
	close(target->channel[1]);
	guardian_end(target);
	unpin(target);
	free(target);
}

/*
 * Returns why not, or NULL.  Starts the first agent at once, to find out whether this machine can
 * have one.
 */
static const char *set_up(struct target *target, const struct target_setup *setup)
{
	const char *why;

	if (THREAD_SANITIZER)
		return "ThreadSanitizer maps memory of its own in the script's window";
	if (pipe2(target->lifeline, O_CLOEXEC) ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, target->channel) ||
	    !map_mailbox(target))
		return strerror(errno);
	target->empty = mmap(NULL, PAGE_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (target->empty == MAP_FAILED)
		return strerror(errno);
	why = guardian_start(target, setup);
	if (why)
		return why;
	target->spare = process_new(target);
	return process_start(target->spare);
}

static struct target *linux_open(const struct target_setup *setup, const char **why)
{
	struct target *target = calloc(1, sizeof(*target));

	if (!target) {
		*why = "out of memory";
		return NULL;
	}
	pin(target);
	target->huge_pages = setup->thp || setup->shmem_thp;
	target->shared_lock = -1;
	target->mailbox = target->lifeline[0] = target->lifeline[1] = -1;
	target->channel[0] = target->channel[1] = -1;
	*why = set_up(target, setup); /* memory and cpus are the machine's */
	if (*why) {
		linux_close(target);
		return NULL;
	}
	return target;
}

static struct profile linux_profile(const struct target_setup *setup)
{
	struct profile profile = *profile_host();

	if (setup->has_swap && setup->swap)
		profile.has |= HAS_SWAP;
	return profile;
}

static struct process *linux_process(struct target *target)
{
	struct process *process = target->spare;
	const char *why;

	target->spare = NULL;
	if (process)
		return process;
	process = process_new(target);
	if (!process) {
		errno = EAGAIN;
		return NULL;
	}
	why = process_start(process);
	if (why)
		target_fail("linux: can't start an agent: %s", why);
	return process;
}

const struct target_ops target_linux = {
	.name = "linux",
	.profile = linux_profile,
	.open = linux_open,
	.close = linux_close,
	.process = linux_process,
	.first_thread = process_first_thread,
	.thread = process_add_thread,
	.exit = process_exit,
	.call = call_run,
	.result = call_result,
	.signal = call_signal,
	.userfaultfd = userfault_open,
	.userfault_ioctl = userfault_ioctl,
	.userfault_read = userfault_read,
	.userfault_poll = userfault_poll,
	.userfault_close = userfault_close,
	.file_shmem = memfd_open,
	.file_hugetlb = memfd_open_huge,
	.file_device = device_open,
	.file_close = memfd_close,
	.file_write = memfd_write,
	.file_read = memfd_read,
	.file_truncate = memfd_truncate,
	.file_punch = memfd_punch,
	.file_allocate = memfd_allocate,
	.file_resident = memfd_resident,
	.swapoff = guardian_swapoff,
	.pool_count = hugetlb_count,
	.pool_resize = hugetlb_resize,
	.unpin = pin_release,
	.pagemap = observe_pagemap,
	.mincore = observe_mincore,
	.smaps = observe_smaps,
	.maps = observe_maps,
	.rss = observe_rss,
	.scan = observe_scan,
};
