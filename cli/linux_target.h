/* SPDX-License-Identifier: MIT */
/*
 * Between the files of the controller's side of the linux target (target_linux.c, linux_process.c,
 * linux_call.c, linux_observe.c, linux_file.c, linux_userfault.c, linux_memfd.c, linux_guardian.c,
 * linux_pin.c).
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
	int lent_file;	       /* the agent's number of one that the pending call uses */
};

struct process {
	struct target *target;
	struct process *next;
	pid_t pid;		/* 0: not started, or ended */
	pid_t group;		/* process group: its oldest ancestor's pid */
	struct thread server;	/* the script does not see it */
	struct thread *threads; /* the script's; the first one last */
	struct pin *pins;
	uint64_t own_start, own_end; /* what the agent has below WINDOW_TOP */
};

struct target {
	int mailbox;
	int lifeline[2];
	int channel[2]; /* sockets: the controller's, the agents' */
	struct agent_slot *slots;
	bool slot_used[AGENT_SLOTS];
	cpu_set_t allowed_cpus; /* the controller's, before it was pinned */
	void *empty;		/* a page that is never touched */
	struct process *processes;
	struct process *spare; /* the next one to hand out, or NULL */
	struct userfault *userfaults;
	struct file *files;
	struct guardian *guardian; /* of what the setup has changed on the machine; NULL: nothing */
	int shared_lock;	   /* open as long as others must not change it either; -1 */
	bool huge_pages;	   /* the setup has a say in transparent ones */
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
/* Waits for killed agents: a pid, or a group as in waitpid(2).  Fails the target if they do not die. */
void process_reap(const struct process *process, pid_t children);
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

/* Waits until every thread that is in a call has finished it or sleeps. */
void target_settle(struct target *target);

/* target_linux.c */

/* Has the kernel do what it has put off in batches of our CPU: what pages are comes of the calls alone. */
void target_drain(struct target *target);

/* linux_file.c */

/* Takes an open file away from the agent.  -1: errno says why. */
int thread_take_file(struct thread *thread, int file);
/* Gives the agent a copy of ours; returns its number there. */
int thread_give_file(struct thread *thread, int file);
void thread_close_file(struct thread *thread, int file);

/* linux_call.c */

void call_run(struct thread *thread, struct call *call);
void call_result(struct thread *thread, struct call *call);
int call_signal(struct thread *thread);
/* Refuses what is called so if the pages hold memory of the agent's own. */
void check_own(const struct process *process, const char *what, uint64_t start, uint64_t length);
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
int observe_scan(struct process *process, struct pm_scan_arg *argument, size_t *regions);

/* linux_userfault.c */

struct userfault *userfault_open(struct process *process, int flags);
int userfault_ioctl(struct userfault *userfault, unsigned long request, void *argument);
int userfault_read(struct userfault *userfault, struct target_message *messages, size_t count,
		   size_t *got);
int userfault_poll(struct userfault *userfault, int *events);
void userfault_close(struct userfault *userfault);
/* When the agents have ended. */
void userfault_close_all(struct target *target);
/* The child of a finished fork: the userfaultfds that its fork messages brought are for it. */
void userfault_adopt(struct process *child, const struct process *parent);
/* CALL_COPY */
void userfault_set_copy(struct thread *thread, const struct call *call);
void userfault_finish_copy(struct thread *thread, struct call *call);

/* linux_memfd.c */

struct file *memfd_open(struct target *target, uint64_t size);
struct file *memfd_open_huge(struct target *target, uint64_t size, enum pool pool);
struct file *device_open(struct target *target, enum device_kind kind, unsigned level,
			 uint64_t size);
void memfd_close(struct file *file);
void memfd_close_all(struct target *target);
int memfd_write(struct file *file, uint64_t offset, const void *bytes, size_t length, size_t *done);
int memfd_read(struct file *file, uint64_t offset, void *bytes, size_t length, size_t *done);
int memfd_truncate(struct file *file, uint64_t size);
int memfd_punch(struct file *file, uint64_t offset, uint64_t length);
int memfd_allocate(struct file *file, uint64_t offset, uint64_t length);
int memfd_resident(struct file *file, uint64_t offset, uint64_t length, uint64_t *pages);
/* Gives the agent a copy of the open file; returns its number there. */
int memfd_lend(const struct file *file, struct thread *server);

/* linux_pin.c */

/* CALL_PIN.  Returns 0, or why it can't even be asked for. */
int pin_set(struct thread *thread, const struct call *call);
void pin_finish(struct thread *thread, struct call *call);
void pin_release(struct pin *pin);
/* The process is about to end, which would unpin some time later. */
void pin_let_go_all(struct process *process);
void pin_free_all(struct process *process);

/* linux_guardian.c */

/* Arranges what the setup says.  Returns why not, or NULL. */
const char *guardian_start(struct target *target, const struct target_setup *setup);
int guardian_swapoff(struct target *target);
/* Everything is back as it was. */
void guardian_end(struct target *target);

/* linux_huge.c */
extern const uint64_t pool_page[POOLS]; /* bytes */

/* Does [start, end) touch what the agent itself needs? */
static inline bool is_own(const struct process *process, uint64_t start, uint64_t end)
{
	return (start < process->own_end && end > process->own_start) ||
	       (start < USER_END && end > OWN_START);
}

#endif
