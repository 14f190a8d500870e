/* SPDX-License-Identifier: MIT */
/*
 * Between the files of the controller's side of the linux target (target_linux.c, linux_process.c,
 * linux_call.c, linux_observe.c).
 *
 * The controller has one thread.
 */
#ifndef QUIRE_CLI_LINUX_TARGET_H
#define QUIRE_CLI_LINUX_TARGET_H

#include <sched.h>
#include <sys/types.h>

#include "linux_agent.h"

struct thread {
	struct process *process;
	struct agent_slot *slot; /* NULL: its process has ended */
	struct thread *next;
	struct call *pending;
	struct process *child; /* of the pending fork */
};

struct process {
	struct target *target;
	struct process *next;
	pid_t pid;		     /* 0: not started, or ended */
	pid_t group;		     /* process group: its oldest ancestor's pid */
	struct thread server;	     /* the script does not see it */
	struct thread *threads;	     /* the script's; the first one last */
	uint64_t own_start, own_end; /* what the agent needs below WINDOW_TOP */
};

struct target {
	int mailbox;
	int lifeline[2];
	struct agent_slot *slots;
	bool slot_used[AGENT_SLOTS];
	cpu_set_t allowed_cpus; /* the controller's, before it was pinned */
	struct process *processes;
	struct process *spare; /* the next one to hand out, or NULL */
};

/* linux_process.c */

/* A process without a pid, whose server and first thread have slots; NULL: there are none. */
struct process *process_new(struct target *target);
void process_free(struct process *process);
/* Starts an agent for it.  Returns why not, or NULL. */
const char *process_start(struct process *process);
/* Waits until the agent is ready; false: it died. */
bool process_await(struct process *process);
/* Ends the agent, if there is one. */
void process_end(struct process *process);
struct thread *process_first_thread(struct process *process);
struct thread *process_add_thread(struct process *process);

/* Makes a system call the slot's request. */
void slot_set_system_call(struct agent_slot *slot, uint64_t number, const uint64_t argument[6]);
/* Lets the thread perform the request in its slot. */
void thread_go(struct thread *thread);
/* Waits until it has; false: it sleeps in a userfault. */
bool thread_await(struct thread *thread);
/* All three, for one that does not sleep.  Returns what the kernel did. */
int64_t thread_system_call(struct thread *thread, uint64_t number, const uint64_t argument[6]);
/* The address in its agent of something in its slot. */
uint64_t thread_address(const struct thread *thread, const void *in_slot);

/* linux_call.c */

void call_run(struct thread *thread, struct call *call);
void call_result(struct thread *thread, struct call *call);
/* For messages: the call with its arguments; overwritten by the next. */
const char *call_text(const struct call *call);

/* linux_observe.c */

/* Finds own_start and own_end, while the script has mapped nothing. */
void observe_own(struct process *process);
int observe_pagemap(struct process *process, uint64_t address, uint64_t pages, uint64_t *bits);
int observe_mincore(struct process *process, uint64_t address, uint64_t length,
		    unsigned char *pages);
int observe_smaps(struct process *process, uint64_t address, struct target_smaps *smaps);
int observe_maps(struct process *process, struct target_vma **vmas, size_t *count);
int observe_rss(struct process *process, struct target_rss *rss);

/* Does [start, end) touch what the agent itself needs? */
static inline bool is_own(const struct process *process, uint64_t start, uint64_t end)
{
	return (start < process->own_end && end > process->own_start) ||
	       (start < USER_END && end > OWN_START);
}

#endif
