/* SPDX-License-Identifier: MIT */
/*
 * Between the files of the quire target (target_quire.c, library_call.c, library_observe.c).
 *
 * The target is a machine of the software MMU.  A process is an address space; each of its threads
 * has a CPU, which it may share with others: whoever makes an access has its CPU enter its space
 * first.  The controller has one thread, which plays all of them.
 */
#ifndef QUIRE_CLI_LIBRARY_TARGET_H
#define QUIRE_CLI_LIBRARY_TARGET_H

#include <quire/quire.h>

#include "soft/soft.h"
#include "target.h"

#define LIBRARY_STATS_MAX 32

struct thread {
	struct process *process;
	struct soft_cpu *cpu;
	struct quire_thread guest; /* who it is to the library */
	struct call *pending;	   /* blocked in it, or NULL */
	struct thread *next;
};

struct process {
	struct target *target;
	struct quire_space *space;  /* NULL: it has ended */
	struct thread *threads;	    /* the first one last */
	struct pin *pins;	    /* those under way among them */
	struct notifier *notifiers; /* open ones */
	struct process *next;
};

struct target {
	struct soft_machine *machine;
	struct process *processes;
	struct userfault *userfaults;	  /* open ones */
	struct file *files;		  /* open ones */
	struct device *devices;		  /* all there ever were */
	unsigned threads;		  /* made so far: the next one's CPU */
	bool execute_only;		  /* as in struct target_setup */
	struct quire_space_config config; /* of spaces that are not forked */
	uint64_t stats[LIBRARY_STATS_MAX];
};

/* target_quire.c */

/* A process that owns `space`, with one thread. */
struct process *library_process(struct target *target, struct quire_space *space);
void library_process_exit(struct process *process);

/* library_call.c */

/* Makes a call, or goes on with the thread's pending one. */
void library_call(struct thread *thread, struct call *call);

/* library_userfault.c: as in struct target_ops */

struct userfault *library_userfaultfd(struct process *process, int flags);
int library_userfault_ioctl(struct userfault *userfault, unsigned long request, void *argument);
int library_userfault_read(struct userfault *userfault, struct target_message *messages,
			   size_t count, size_t *got);
int library_userfault_poll(struct userfault *userfault, int *events);
void library_userfault_close(struct userfault *userfault);
int library_signal(struct thread *thread);
int library_userfault_copy(struct thread *thread, struct call *call);
/* Goes on with the calls of all threads that have woken, until each has finished or sleeps. */
void library_run_woken(struct target *target);
/* Nobody knows the thread any more. */
void library_thread_end(struct thread *thread);

/* library_file.c: as in struct target_ops */

struct file *library_file_shmem(struct target *target, uint64_t size);
void library_file_close(struct file *file);
int library_file_write(struct file *file, uint64_t offset, const void *bytes, size_t length,
		       size_t *done);
int library_file_read(struct file *file, uint64_t offset, void *bytes, size_t length, size_t *done);
int library_file_truncate(struct file *file, uint64_t size);
int library_file_punch(struct file *file, uint64_t offset, uint64_t length);
int library_file_allocate(struct file *file, uint64_t offset, uint64_t length);
int library_file_resident(struct file *file, uint64_t offset, uint64_t length, uint64_t *pages);
struct quire_object *library_file_object(struct file *file);
/* One that is a user of the object; `device`: what reads and writes it, NULL: the library. */
struct file *library_file(struct target *target, struct quire_object *object,
			  struct device *device);

/* library_device.c */

/* As in struct target_ops. */
struct file *library_file_device(struct target *target, enum device_kind kind, unsigned level,
				 uint64_t size);
/* As in struct target_ops, of a device that the library does not read or write. */
int library_device_write(struct device *device, uint64_t offset, const void *bytes, size_t length,
			 size_t *done);
int library_device_read(struct device *device, uint64_t offset, void *bytes, size_t length,
			size_t *done);
/* Nothing maps them any more. */
void library_device_free_all(struct target *target);

struct pin {
	struct process *process;
	struct quire_pin pin;
	struct pin *next;
};

/* library_pin.c */

/* CALL_PIN.  Returns 0 or a negative errno. */
int library_pin(struct process *process, struct call *call, bool resumes);
void library_unpin(struct pin *pin); /* as in struct target_ops */
/* The process ends: so do its pins, and with the target the handles. */
void library_unpin_all(struct process *process);
void library_pin_free_all(struct process *process);
int library_migrate(struct process *process, uint64_t address, uint64_t length, uint64_t *pages);

/* library_notifier.c: as in struct target_ops */

int library_notifier(struct process *process, struct notifier **notifier);
void library_notifier_read(struct notifier *notifier, struct target_notification **heard,
			   size_t *count);
void library_notifier_close(struct notifier *notifier);

/* library_scan.c: as in struct target_ops */

int library_scan(struct process *process, struct pm_scan_arg *argument, size_t *regions);

/* library_observe.c: as in struct target_ops */

int library_pagemap(struct process *process, uint64_t address, uint64_t pages, uint64_t *bits);
int library_mincore(struct process *process, uint64_t address, uint64_t length,
		    unsigned char *pages);
int library_smaps(struct process *process, uint64_t address, struct target_smaps *smaps);
int library_maps(struct process *process, struct target_vma **vmas, size_t *count);
int library_rss(struct process *process, struct target_rss *rss);
int library_entry(struct process *process, uint64_t address, struct target_entry *entry);
int library_tables(struct process *process, struct target_tables *tables);
char *library_dump(struct process *process);
char *library_draw(struct process *process);
char *library_dump_machine(struct target *target);
char *library_verify(struct target *target);
char *library_verify_range(struct process *process, uint64_t start, uint64_t end);
void library_leaf_counts(struct target *target,
			 struct target_leaf_counts counts[TARGET_LEAF_LEVELS]);
unsigned library_stats(struct target *target, const char *const **names, const uint64_t **values);

#endif
