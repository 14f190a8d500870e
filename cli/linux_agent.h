/* SPDX-License-Identifier: MIT */
/*
 * The agent: a process that does what a scenario asks, for the linux target.
 *
 * The controller (target_linux.c, linux_process.c) and its agents share a memfd, the mailbox.  It
 * is an array of slots; each thread of each agent has one, and so has each agent's server, a
 * thread that serves the controller also while the script's threads sleep.  `busy` says whose turn
 * it is:
 *
 *	controller			thread
 *	writes the request
 *	busy = 1, wake  ------------->	performs it, writes the answer
 *	reads the answer  <-----------	busy = 0, wake
 *
 * A thread that starts is busy until it is ready for its first request.  The controller hands out
 * the slots, those of a forked child included, so nothing here needs a lock.
 */
#ifndef QUIRE_CLI_LINUX_AGENT_H
#define QUIRE_CLI_LINUX_AGENT_H

#include <stdatomic.h>
#include <stdint.h>
#include <sys/uio.h>

#include "target.h"
#include "window.h"

#define PAGE_SIZE 4096u

/*
 * The address space of an agent.  Scripts have what lies below WINDOW_TOP, but for the executable
 * and its heap; all else that the agent needs lies in [OWN_START, USER_END), without a hole
 * (linux_arena.c).
 */
#define OWN_START    (WINDOW_TOP + (UINT64_C(1) << 20))
#define MAILBOX_BASE (WINDOW_TOP + (UINT64_C(1) << 30))
#define THREADS_BASE (WINDOW_TOP + (UINT64_C(48) << 30))

#define AGENT_SLOTS   2048u
#define AGENT_THREADS 256u /* of one agent, its helpers included */

enum agent_request {
	AGENT_SYSTEM_CALL, /* number, argument[] → result: what the kernel returned, -errno too */
	AGENT_LOAD,	   /* argument: address, length → data, done, signal */
	AGENT_STORE,	   /* argument: address, length; data → done, signal */
	AGENT_TOUCH,	   /* argument: address → signal; a write that keeps the content */
	AGENT_EXECUTE,	   /* argument: address → signal */
	AGENT_FORK,	   /* argument: slot of the child's server, of its thread → result: pid */
	AGENT_THREAD,	   /* argument: slot of the new thread → result: 0 or -errno */
};

struct agent_slot {
	_Atomic uint32_t busy; /* a futex */
	int32_t tid;	       /* of the thread */

	enum agent_request request;
	uint64_t number;
	uint64_t argument[6];
	struct iovec vector[2]; /* room for what arguments point to */

	int64_t result;
	int32_t signal, code; /* SIGSEGV or SIGBUS and its si_code; 0: the access was done */
	uint64_t done;
	char failure[128]; /* why the agent could not start */

	/* Up to the next 2M, so that the first 2M of data share a page table with the request. */
	_Alignas(PAGE_SIZE) unsigned char data[TARGET_TRANSFER_MAX + (2u << 20) - PAGE_SIZE];
};

_Static_assert(sizeof(struct agent_slot) == TARGET_TRANSFER_MAX + (2u << 20), "slot layout");
_Static_assert(MAILBOX_BASE + AGENT_SLOTS * sizeof(struct agent_slot) <= THREADS_BASE, "arena");

/* What an agent is started with: AGENT_NAME, slots of the server and thread, whether it may have
 * transparent huge pages. */
#define AGENT_NAME	"quire-agent"
#define AGENT_ARGUMENTS 4

/* The files that every agent has, besides the three standard ones, which lead nowhere. */
#define AGENT_MAILBOX  3
#define AGENT_LIFELINE 4
#define AGENT_CHANNEL  5
#define AGENT_FILES    6

/* Handled, and does nothing but interrupt. */
#define AGENT_SIGNAL SIGUSR1

/*
 * Must be the first statement of main(): the linux target starts its agents from the program that
 * it is part of.  Does not return in an agent.
 */
void linux_agent_main_if_asked(int argc, char **argv);

#endif
