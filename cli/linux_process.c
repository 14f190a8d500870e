/* SPDX-License-Identifier: MIT */
/*
 * The controller's processes and threads: starting agents, waiting for them, ending them.
 *
 * All agents, forked ones too, are children of the controller, which therefore can wait for each.
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "linux_target.h"

#define FIRST_NAP   50000 /* ns, then doubled */
#define LONGEST_NAP 2000000

#define KILLED_WITHIN 60 /* seconds, on a machine under load; else it is not to be killed */

static struct agent_slot *new_slot(struct target *target)
{
	for (unsigned i = 0; i < AGENT_SLOTS; i++) {
		if (target->slot_used[i])
			continue;
		target->slot_used[i] = true;
		target->slots[i].busy = 1;
		return &target->slots[i];
	}
	return NULL;
}

static void free_slot(struct thread *thread)
{
	struct target *target = thread->process->target;

	if (!thread->slot)
		return;
	madvise(thread->slot, sizeof(*thread->slot), MADV_REMOVE);
	target->slot_used[thread->slot - target->slots] = false;
	thread->slot = NULL;
}

static void free_slots(struct process *process)
{
	free_slot(&process->server);
	for (struct thread *thread = process->threads; thread; thread = thread->next)
		free_slot(thread);
}

static struct thread *new_thread(struct process *process)
{
	struct thread *thread = calloc(1, sizeof(*thread));

	if (!thread)
		target_fail("out of memory");
	thread->process = process;
	thread->slot = new_slot(process->target);
	if (!thread->slot) {
		free(thread);
		return NULL;
	}
	thread->next = process->threads;
	process->threads = thread;
	return thread;
}

struct process *process_new(struct target *target)
{
	struct process *process = calloc(1, sizeof(*process));

	if (!process)
		target_fail("out of memory");
	process->target = target;
	process->server.process = process;
	process->server.slot = new_slot(target);
	process->next = target->processes;
	target->processes = process;
	if (process->server.slot && new_thread(process))
		return process;
	process_free(process);
	return NULL;
}

void process_free(struct process *process)
{
	struct process **link = &process->target->processes;

	free_slots(process);
	pin_free_all(process);
	while (*link != process)
		link = &(*link)->next;
	*link = process->next;
	while (process->threads) {
		struct thread *thread = process->threads;

		process->threads = thread->next;
		free(thread);
	}
	free(process);
}

static void set_limits(void)
{
	struct rlimit limit = {0, 0};

	setrlimit(RLIMIT_CORE, &limit);
	/* The mmap base depends on the stack's limit. */
	getrlimit(RLIMIT_STACK, &limit);
	limit.rlim_cur = limit.rlim_max < (8u << 20) ? limit.rlim_max : 8u << 20;
	setrlimit(RLIMIT_STACK, &limit);
	limit = (struct rlimit){RLIM_INFINITY, RLIM_INFINITY};
	if (setrlimit(RLIMIT_MEMLOCK, &limit)) {
		getrlimit(RLIMIT_MEMLOCK, &limit);
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_MEMLOCK, &limit);
	}
}

/* Leaves it nothing of the controller's but what every agent has. */
static void set_files(const struct target *target)
{
	int null = open("/dev/null", O_RDWR);
	/* Out of the way of the numbers that they are to get. */
	int mailbox = fcntl(target->mailbox, F_DUPFD, AGENT_FILES);
	int lifeline = fcntl(target->lifeline[0], F_DUPFD, AGENT_FILES);
	int channel = fcntl(target->channel[1], F_DUPFD, AGENT_FILES);

	dup2(null, STDIN_FILENO);
	dup2(null, STDOUT_FILENO);
	dup2(null, STDERR_FILENO);
	dup2(mailbox, AGENT_MAILBOX);
	dup2(lifeline, AGENT_LIFELINE);
	dup2(channel, AGENT_CHANNEL);
	close_range(AGENT_FILES, ~0u, CLOSE_RANGE_CLOEXEC);
}

/* In the child of vfork: becomes the agent, or says why not and ends. */
static _Noreturn void become_agent(const struct target *target, char **arguments, char *failure)
{
	setsid(); /* out of reach of the terminal's signals */
	set_limits();
	set_files(target);
	if (personality(PER_LINUX | ADDR_NO_RANDOMIZE) < 0) {
		strcpy(failure, "may not turn address randomisation off");
	} else {
		execv("/proc/self/exe", arguments);
		strcpy(failure, "can't execute its own program");
	}
	_exit(1);
}

const char *process_start(struct process *process)
{
	struct target *target = process->target;
	struct agent_slot *first = process->threads->slot;
	static char failure[sizeof(first->failure)];
	char number[2][16];
	char *arguments[] = {AGENT_NAME, number[0], number[1], target->huge_pages ? "1" : "0",
			     NULL};

	/* An agent that went on to main() would start agents of its own, and they more. */
	if (!strcmp(program_invocation_name, AGENT_NAME))
		return "its program does not begin with linux_agent_main_if_asked()";
	snprintf(number[0], sizeof(number[0]), "%td", process->server.slot - target->slots);
	snprintf(number[1], sizeof(number[1]), "%td", first - target->slots);
	process->pid = vfork();
	if (process->pid == 0)
		become_agent(target, arguments, first->failure);
	if (process->pid < 0) {
		process->pid = 0;
		return strerror(errno);
	}
	process->group = process->pid;
	if (!process_await(process)) {
		snprintf(failure, sizeof(failure), "%s", *first->failure ? first->failure : "died");
		return failure;
	}
	observe_own(process);
	return NULL;
}

/* The call that a thread is in, for messages. */
static const char *pending_text(const struct process *process)
{
	for (const struct thread *thread = process->threads; thread; thread = thread->next)
		if (thread->pending)
			return call_text(thread->pending);
	return "no call";
}

void process_reap(const struct process *process, pid_t children)
{
	struct timespec nap = {.tv_nsec = FIRST_NAP};
	time_t deadline = time(NULL) + KILLED_WITHIN;
	pid_t ended;

	while ((ended = waitpid(children, NULL, WNOHANG)) >= 0 || errno == EINTR) {
		if (ended > 0 && ended == children)
			return;
		if (ended > 0)
			continue;
		if (time(NULL) > deadline)
			target_fail("linux: process %d can't be killed, in %s, and is left behind",
				    children < 0 ? -children : children, pending_text(process));
		nanosleep(&nap, NULL);
		if (nap.tv_nsec < LONGEST_NAP)
			nap.tv_nsec *= 2;
	}
}

void process_end(struct process *process)
{
	if (!process->pid)
		return;
	kill(process->pid, SIGKILL);
	process_reap(process, process->pid);
	process->pid = 0;
	free_slots(process);
}

struct thread *process_first_thread(struct process *process)
{
	struct thread *thread = process->threads;

	while (thread->next)
		thread = thread->next;
	return thread;
}

struct thread *process_add_thread(struct process *process)
{
	struct thread *thread = new_thread(process);
	struct thread *server = &process->server;

	if (!thread) {
		errno = EAGAIN;
		return NULL;
	}
	server->slot->request = AGENT_THREAD;
	server->slot->argument[0] = (uint64_t)(thread->slot - process->target->slots);
	thread_go(server);
	thread_await(server);
	if (server->slot->result) {
		errno = (int)-server->slot->result;
		process->threads = thread->next;
		free_slot(thread);
		free(thread);
		return NULL;
	}
	thread_await(thread);
	return thread;
}

static void futex(_Atomic uint32_t *word, int operation, uint32_t value,
		  const struct timespec *timeout)
{
	syscall(SYS_futex, word, operation, value, timeout);
}

/* Has the process ended?  It can still be waited for. */
static bool has_died(const struct process *process, siginfo_t *how)
{
	*how = (siginfo_t){0};
	return waitid(P_PID, (id_t)process->pid, how, WEXITED | WNOHANG | WNOWAIT) < 0 ||
	       how->si_pid;
}

/* The kernel names the function in which a task sleeps, and none for one that does not. */
static bool sleeps_in_userfault(const struct thread *thread)
{
	char path[64], function[128];
	size_t length;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/wchan", thread->process->pid,
		 thread->slot->tid);
	file = fopen(path, "re");
	if (!file)
		return false;
	length = fread(function, 1, sizeof(function) - 1, file);
	fclose(file);
	function[length] = 0;
	return strstr(function, "userfault");
}

enum wait_result { WAIT_IDLE, WAIT_ASLEEP, WAIT_DEAD };

static enum wait_result await(struct thread *thread, siginfo_t *how)
{
	struct timespec nap = {.tv_nsec = FIRST_NAP};

	while (atomic_load(&thread->slot->busy)) {
		futex(&thread->slot->busy, FUTEX_WAIT, 1, &nap);
		if (!atomic_load(&thread->slot->busy))
			break;
		if (has_died(thread->process, how))
			return WAIT_DEAD;
		if (sleeps_in_userfault(thread))
			return WAIT_ASLEEP;
		if (nap.tv_nsec < LONGEST_NAP)
			nap.tv_nsec *= 2;
	}
	return WAIT_IDLE;
}

bool process_await(struct process *process)
{
	siginfo_t how;

	return await(&process->server, &how) == WAIT_IDLE &&
	       await(process->threads, &how) == WAIT_IDLE;
}

void thread_go(struct thread *thread)
{
	if (!thread->slot)
		target_fail("linux: the process has ended");
	atomic_store(&thread->slot->busy, 1);
	futex(&thread->slot->busy, FUTEX_WAKE, 1, NULL);
}

bool thread_await(struct thread *thread)
{
	siginfo_t how;
	enum wait_result result = await(thread, &how);

	if (result == WAIT_DEAD)
		target_fail("linux: the agent died (%s %d) in %s",
			    how.si_code == CLD_EXITED ? "status" : "signal", how.si_status,
			    thread->pending ? call_text(thread->pending) : "its server");
	return result == WAIT_IDLE;
}

/* A thread that was woken does not look asleep to the kernel from then on. */
void target_settle(struct target *target)
{
	for (struct process *process = target->processes; process; process = process->next)
		for (struct thread *thread = process->threads; thread; thread = thread->next)
			if (thread->pending && thread->slot)
				thread_await(thread);
}

void slot_set_system_call(struct agent_slot *slot, uint64_t number, const uint64_t argument[6])
{
	slot->request = AGENT_SYSTEM_CALL;
	slot->number = number;
	memcpy(slot->argument, argument, sizeof(slot->argument));
}

int64_t thread_system_call(struct thread *thread, uint64_t number, const uint64_t argument[6])
{
	slot_set_system_call(thread->slot, number, argument);
	thread_go(thread);
	thread_await(thread);
	return thread->slot->result;
}

uint64_t thread_address(const struct thread *thread, const void *in_slot)
{
	const char *mailbox = (const char *)thread->process->target->slots;

	return MAILBOX_BASE + (uint64_t)((const char *)in_slot - mailbox);
}
