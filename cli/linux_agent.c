/* SPDX-License-Identifier: MIT */
/*
 * The agent process: set-up, threads, fork.  See linux_agent.h.
 *
 * Threads are bare clones on stacks that exist beforehand: nothing is mapped when one starts, and a
 * forked child, which has only the forking thread, starts its helpers the same way.
 *
 * No agent outlives the controller: in each, a thread waits for the lifeline, a pipe whose other
 * end only the controller has, to hang up.  A child that was just forked starts that thread before
 * anything else, and the hang-up stays, so no moment is left uncovered.
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "linux_agent_internal.h"

static bool thread_used[AGENT_THREADS];

/*
 * clone(), for a thread: it calls function(argument) on the stack.  The one of libc would set
 * errno, and sanitizers replace it.
 */
int64_t clone_thread(uint64_t flags, void *stack, void (*function)(void *), void *argument);

__asm__(".text\n"
	"clone_thread:\n"
	"	mov	%rdx, %r8\n"
	"	mov	%rcx, %r9\n"
	"	mov	$56, %eax\n" /* SYS_clone */
	"	syscall\n"
	"	test	%eax, %eax\n"
	"	jnz	1f\n"
	"	xor	%ebp, %ebp\n"
	"	mov	%r9, %rdi\n"
	"	call	*%r8\n"
	"1:	ret\n");

static _Noreturn void end_agent(void)
{
	for (;;)
		system_call(SYS_exit_group, (uint64_t[6]){1});
}

static _Noreturn void watch_lifeline(void *unused)
{
	char byte;

	(void)unused;
	while (system_call(SYS_read, (uint64_t[6]){AGENT_LIFELINE, (uint64_t)&byte, 1}) == -EINTR)
		;
	end_agent();
}

/*
 * No two threads do this at the same time: once the controller may ask, only the server does.  The
 * last one to start may ask before clone_thread() has returned here.
 */
static int64_t start_thread(void (*function)(void *), struct agent_slot *slot)
{
	const uint64_t flags =
		CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM;
	struct agent_thread *thread;
	unsigned number = 0;
	int64_t tid;

	while (number < AGENT_THREADS && thread_used[number])
		number++;
	if (number == AGENT_THREADS)
		return -EAGAIN;
	thread = agent_thread(number);
	thread->slot = slot;
	/* A thread that did not come along into a forked child may have been in the middle of one. */
	thread->resume = 0;
	thread_used[number] = true;
	tid = clone_thread(flags, thread + 1, function, thread);
	if (tid < 0)
		thread_used[number] = false;
	return tid < 0 ? tid : 0;
}

static _Noreturn void run_thread(void *argument);

static int64_t start_helpers(struct agent_slot *server)
{
	int64_t error = start_thread(watch_lifeline, NULL);

	return error ? error : start_thread(run_thread, server);
}

/* A fork leaves the child with the calling thread only. */
static void forget_other_threads(const struct agent_thread *self)
{
	memset(thread_used, 0, sizeof(thread_used));
	thread_used[self - agent_thread(0)] = true;
}

/* Forks; the child goes on as the thread of another slot.  Its parent is the controller. */
static void fork_agent(struct agent_thread *self)
{
	struct agent_slot *slot = self->slot;
	int64_t pid = system_call(SYS_clone, (uint64_t[6]){CLONE_PARENT | SIGCHLD});

	if (pid == 0) {
		/* What its parent was lent is not for it. */
		system_call(SYS_close_range, (uint64_t[6]){AGENT_FILES, ~0u});
		self->slot = agent_slot(slot->argument[1]);
		forget_other_threads(self);
		if (start_helpers(agent_slot(slot->argument[0])))
			end_agent();
	}
	self->slot->result = pid;
}

static void perform(struct agent_thread *self)
{
	struct agent_slot *slot = self->slot;
	const uint64_t *argument = slot->argument;

	switch (slot->request) {
	case AGENT_SYSTEM_CALL:
		slot->result = system_call(slot->number, argument);
		return;
	case AGENT_FORK:
		fork_agent(self);
		return;
	case AGENT_THREAD:
		slot->result = start_thread(run_thread, agent_slot(argument[0]));
		return;
	case AGENT_LOAD:
		slot->done = access_load(self, slot->data, argument[0], argument[1]);
		break;
	case AGENT_STORE:
		slot->done = access_store(self, argument[0], slot->data, argument[1]);
		break;
	case AGENT_TOUCH:
		access_touch(self, argument[0]);
		break;
	case AGENT_EXECUTE:
		access_execute(self, argument[0]);
		break;
	}
	slot->signal = self->signal;
	slot->code = self->code;
}

static void futex(_Atomic uint32_t *word, uint64_t operation, uint64_t value)
{
	system_call(SYS_futex, (uint64_t[6]){(uint64_t)word, operation, value});
}

static void hand_over(struct agent_slot *slot)
{
	atomic_store(&slot->busy, 0);
	futex(&slot->busy, FUTEX_WAKE, 1);
}

static void await_request(struct agent_slot *slot)
{
	while (!atomic_load(&slot->busy))
		futex(&slot->busy, FUTEX_WAIT, 0);
}

static _Noreturn void run_thread(void *argument)
{
	struct agent_thread *self = argument;

	access_set_up_thread(self);
	for (;;) {
		self->slot->tid = (int32_t)system_call(SYS_gettid, (uint64_t[6]){0});
		hand_over(self->slot);
		await_request(self->slot);
		perform(self);
	}
}

/* Before the mailbox is mapped, one writes to it. */
static _Noreturn void fail(uint64_t slot, const char *failure)
{
	uint64_t offset = slot * sizeof(struct agent_slot) + offsetof(struct agent_slot, failure);

	_exit(pwrite(AGENT_MAILBOX, failure, strlen(failure) + 1, (off_t)offset) < 0 ? 2 : 1);
}

void linux_agent_main_if_asked(int argc, char **argv)
{
	uint64_t server, first;
	const char *failure;

	if (argc != AGENT_ARGUMENTS || strcmp(argv[0], AGENT_NAME) != 0)
		return;
	server = strtoul(argv[1], NULL, 10);
	first = strtoul(argv[2], NULL, 10);

	if (!atoi(argv[3]))
		prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
	access_set_up();
	failure = arena_set_up(AGENT_MAILBOX);
	if (failure)
		fail(first, failure);
	if (start_thread(run_thread, agent_slot(server)) ||
	    start_thread(run_thread, agent_slot(first)))
		fail(first, "can't start its threads");
	watch_lifeline(NULL);
}
