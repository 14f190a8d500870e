/* SPDX-License-Identifier: MIT */
/*
 * Between the files of the agent (linux_agent.c, linux_access.c, linux_arena.c).
 *
 * After its set-up an agent uses no part of libc that keeps state, because its threads share one
 * thread control block and because the address space is the script's: no malloc, no stdio, no
 * errno.
 */
#ifndef QUIRE_CLI_LINUX_AGENT_INTERNAL_H
#define QUIRE_CLI_LINUX_AGENT_INTERNAL_H

#include <stdbool.h>

#include "linux_agent.h"

/*
 * A thread and its two stacks, aligned to its size, so that the thread is found from any address
 * on them.
 */
#define THREAD_SIZE	  (64u << 10)
#define SIGNAL_STACK_SIZE (32u << 10)

struct agent_thread {
	struct agent_slot *slot;

	/* The access under way, for the signal handler. */
	uint64_t target; /* of AGENT_EXECUTE */
	uint64_t resume; /* stack pointer to return to from there; 0: not there */
	int signal, code;
	uint64_t scratch[64]; /* where the instruction that is executed may read and write */

	_Alignas(1024) unsigned char signal_stack[SIGNAL_STACK_SIZE];
	unsigned char stack[THREAD_SIZE - SIGNAL_STACK_SIZE - 1024];
};

_Static_assert(sizeof(struct agent_thread) == THREAD_SIZE, "thread layout");

static inline struct agent_slot *agent_slot(uint64_t number)
{
	return (struct agent_slot *)MAILBOX_BASE + number;
}

static inline struct agent_thread *agent_thread(unsigned number)
{
	return (struct agent_thread *)THREADS_BASE + number;
}

/* The kernel's answer as it is: a negative errno for an error. */
static inline int64_t system_call(uint64_t number, const uint64_t argument[6])
{
	/* All are read first: a sanitizer's call in between would change the registers. */
	const uint64_t a = argument[0], b = argument[1], c = argument[2];
	const uint64_t d = argument[3], e = argument[4], f = argument[5];
	register uint64_t r10 __asm__("r10") = d;
	register uint64_t r8 __asm__("r8") = e;
	register uint64_t r9 __asm__("r9") = f;
	int64_t result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return result;
}

/* Lays out the address space.  Returns what went wrong, or NULL. */
const char *arena_set_up(int mailbox);

/* Lets signals in and handles those of the accesses, on a stack of the calling thread's own. */
void access_set_up(void);
void access_set_up_thread(struct agent_thread *self);

/* The accesses.  On return self->signal and self->code say how it went; 0: well. */
uint64_t access_load(struct agent_thread *self, void *to, uint64_t address, uint64_t length);
uint64_t access_store(struct agent_thread *self, uint64_t address, const void *from,
		      uint64_t length);
void access_touch(struct agent_thread *self, uint64_t address);
void access_execute(struct agent_thread *self, uint64_t address);

#endif
