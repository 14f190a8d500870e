/* SPDX-License-Identifier: MIT */
/*
 * A script while it runs, in a worker process of its own: shared by the script_*.c files.
 *
 * Every function that a script can call is a binding: a C closure whose first upvalue is its name,
 * for the transcript and for error messages.  A binding
 *  1. reads its arguments (arguments.h), which raises an error for what no target could be asked,
 *  2. begins a record,
 *  3. asks the target,
 *  4. pushes the results and ends the record.
 * Nothing raises between 2 and 4.
 *
 * Coverage: quire.cells{ "name", ... } declares the cells of it, and quire.reached("name") counts
 * one of them.  Both are for `quire check`, which adds them up; nothing is compared.
 */
#ifndef QUIRE_CLI_SCRIPT_H
#define QUIRE_CLI_SCRIPT_H

#include <lua.h>

#include "target.h"
#include "trace.h"
#include "transcript.h"

#define PAGE_SIZE 4096u

/* What a script, a file or a whole run ends with: the exit statuses of `quire run`. */
enum status {
	STATUS_PASSED = 0,
	STATUS_FAILED = 1, /* a check */
	STATUS_ERROR = 2,  /* usage, the script, or its time */
	STATUS_DIFFER = 3,
	STATUS_SKIPPED = 77,
};

/* A script in memory; a list of them ends with one without a name. */
struct script_text {
	const char *name;
	const char *bytes;
	size_t length;
};

/* How to run one script on one target. */
struct script_options {
	const char *file;		   /* or, with `text`, what it is called in messages */
	const struct script_text *text;	   /* the script itself; NULL: it is in the file */
	const struct script_text *modules; /* what it can require; NULL: files only */
	char *const *arguments;		   /* of the script, NULL at the end */
	const struct target_ops *ops;
	const struct target_ops *other_ops; /* of the target that it is compared with; NULL: none */
	const char *label; /* of the target, in what is printed about failed checks */
	double timeout;	   /* seconds */
	double grace; /* seconds to end in when it is asked to stop; 0: as many as may be needed */
	bool trace;
	const struct transcript *other; /* traced beside this one */
	bool print;			/* let the script's print() print */
	bool print_failures;		/* print failed checks as they happen */
	bool verify;			/* after each call and at the end */
	bool count_allocations;
	uint64_t fail; /* the allocation that fails once, from 1; 0: none */
};

struct script {
	const struct script_options *options;
	const struct target_ops *ops;
	struct target *target; /* NULL until it is needed */
	struct target_setup setup;
	struct transcript *transcript;
	struct trace trace;
	bool verify;
	uint64_t fail_in; /* the allocation from now on that is to fail; 0: none */
	unsigned processes, mappings, userfaults, files, pins,
		notifiers;	       /* made so far: their numbers */
	struct script_thread *threads; /* the newest first */
};

/* What mmap or mremap returned.  A transcript writes addresses relative to these. */
struct script_mapping {
	uint64_t start, end;
	unsigned number;
	struct script_mapping *next; /* the one made before */
};

struct script_thread {
	struct script_process *process;
	struct thread *thread;
	char name[24];
	unsigned number;	    /* in its process, from 0 */
	struct script_thread *next; /* the one made before */
	bool asleep;		    /* in `call` */
	struct call call;	    /* the last one */
	unsigned char *data;
};

/* Processes and threads live as long as the script: an ended one can still be named. */
struct script_process {
	struct process *process;
	struct script_thread *first_thread;
	unsigned threads;
	bool ended;
	char name[16];
	struct script_mapping *mappings; /* the newest first */
};

/* A userfaultfd, open or not. */
struct script_userfault {
	struct userfault *userfault;	/* NULL: closed */
	struct script_process *process; /* that opened it or, for the one of a forked child, the
					   parent: its addresses are named, its memory copied */
	struct script_thread *copier;	/* a thread of the process, for copies from its memory; NULL
					   until the first */
	bool nonblock;
	bool negotiated;
	uint64_t features, ioctls; /* what the target answered then */
	char name[16];
};

struct script_file {
	struct file *file; /* NULL: closed */
	char name[16];
};

struct script_pin {
	struct pin *pin; /* NULL: released */
	char name[16];
};

struct script_notifier {
	struct notifier *notifier; /* NULL: closed */
	struct script_process *process;
	char name[16];
};

/* Runs the script in this process, to its end. */
_Noreturn void script_run(const struct script_options *options, struct transcript *transcript);
/* Ends it early, or on time.  The reason may be NULL. */
_Noreturn void script_finish(struct script *script, enum status status, const char *reason);

struct script *script_of(lua_State *L);
/* The target, opened if this is the first use. */
struct target *script_target(lua_State *L);
/* Skips the script: the target does not have what the binding that runs asks for. */
_Noreturn void script_lacks(lua_State *L);
/* The same for a part of it. */
_Noreturn void script_lacks_what(lua_State *L, const char *what);

struct binding {
	const char *name;	/* "eq", or "check.eq" to be called so in messages */
	lua_CFunction function;
};
/* Adds the bindings, up to one without a name, to the table on the top. */
void script_bind(lua_State *L, const struct binding *bindings);
/* Makes the table on the top raise an error for names that it does not hold. */
void script_seal(lua_State *L, const char *what);
/* The name of the binding that runs. */
const char *script_function(lua_State *L);
int script_line(lua_State *L);
/* Raises "FILE:LINE: FUNCTION: text"; the format is that of lua_pushfstring. */
_Noreturn void script_error(lua_State *L, const char *format, ...);
/* Raises "not built yet" for the binding that runs, which the target does not have yet. */
_Noreturn void script_not_built_here(lua_State *L);
/* Pushes nil and the name of the error, and returns 2. */
int script_push_error(lua_State *L, int error);

/* script_record.c */
/* Begins the record of the binding that runs, with what is on the stack from `first` on. */
struct entry *record_begin(lua_State *L, enum entry_kind kind, const char *subject, int first,
			   const struct script_process *process);
/* Ends it with the topmost `count` values, and returns `count`. */
int record_end(lua_State *L, struct entry *entry, int count, const struct script_process *process);
/* What is on the stack at `index`; addresses of the process, if there is one, by name. */
struct value *record_value(lua_State *L, int index, const struct script_process *process);
void record_mapping(struct script *script, struct script_process *process, uint64_t start,
		    uint64_t length);

/* script_process.c */
void script_open_processes(lua_State *L);
int script_new_process(lua_State *L);
struct script_process *script_push_process(lua_State *L, struct process *process);
/* Adds a type of objects, which have a pointer inside, and functions; the last list is NULL. */
void script_open_type(lua_State *L, const char *type, const struct binding *const bindings[]);
void script_push_object(lua_State *L, void *object, const char *type);
/* One that scripts do not see; NULL: errno says why. */
struct script_thread *script_hidden_thread(lua_State *L, struct script_process *process,
					   const char *name);
/* The process or thread at `index`, which must not have ended. */
struct script_process *argument_process(lua_State *L, int index);
struct script_thread *argument_thread(lua_State *L, int index);
/* The name of the object that the binding that runs was called on. */
const char *script_subject(lua_State *L);

/* script_call.c */
/* Raises an error if the thread sleeps in a call. */
void script_check_idle(lua_State *L, const struct script_thread *thread);
/* Runs the call on the thread, recorded as the binding that runs; pushes its results. */
int script_call(lua_State *L, struct script_thread *thread, const struct call *call);
/* Waits for the call that the thread sleeps in; pushes its results. */
int script_result(lua_State *L, struct script_thread *thread);

/* How many pages [start, start + length) touches. */
static inline uint64_t pages_touched(uint64_t start, uint64_t length)
{
	return length / PAGE_SIZE +
	       (length % PAGE_SIZE + start % PAGE_SIZE + PAGE_SIZE - 1) / PAGE_SIZE;
}

/* Checks the invariants of what the binding that runs touched, if that is asked for. */
void script_verify(lua_State *L, struct script_process *process, uint64_t start, uint64_t length);

/* script_inject.c: the target's functions that allocate, with --fail and --fail-count. */
void inject_call(lua_State *L, struct script_thread *thread);
void inject_result(struct script *script, struct script_thread *thread);
/* NULL: errno says why. */
struct process *script_make_process(struct script *script);
struct thread *script_make_thread(struct script *script, struct script_process *process);

struct userfault *inject_userfaultfd(struct script *script, struct script_process *process,
				     int flags);
int inject_userfault_ioctl(struct script *script, struct userfault *userfault,
			   unsigned long request, void *argument, size_t size);
int inject_scan(struct script *script, struct script_process *process, struct pm_scan_arg *argument,
		size_t *regions);
/* Around one that is done over when it fails, and changes nothing but what it will do then. */
void inject_arm(struct script *script);
bool inject_again(struct script *script, int error);

/* script_userfault.c */
void script_open_userfaults(lua_State *L);
int script_userfaultfd(lua_State *L);
int script_userfaultfd_raw(lua_State *L);
/* NULL: something else. */
struct script_userfault *to_userfault(lua_State *L, int index);
/* The one at `index`, which must be open. */
struct script_userfault *argument_userfault(lua_State *L, int index);

/* script_file.c */
void script_open_files(lua_State *L);
int script_shmem(lua_State *L);
/* NULL: something else. */
struct script_file *to_file(lua_State *L, int index);
/* The one that `what` at `index` is to be, which must be open. */
void script_push_file(lua_State *L, struct file *target);
struct script_file *argument_file(lua_State *L, int index, const char *what);

/* script_setup.c */
int script_setup(lua_State *L);

/* script_huge.c */
void setup_huge_pages(lua_State *L); /* of the table at 1 */
void push_pools(lua_State *L);	     /* into the table on the top */
/* As `levels`, by the level of the leaf, from 0 on. */
void push_leaf_counts(lua_State *L);
int script_hugetlb(lua_State *L);
int script_hugetlb_pool(lua_State *L);
int script_device(lua_State *L);
/* MAP_* of mmap's field `hugetlb` in the table at `index`. */
int field_huge_flags(lua_State *L, int index);

/* script_profile.c */
int script_kernel_bug(lua_State *L);
/* Does the reason of a skip begin with the name of what the target lacks, or "a bug of Linux 6.18" for its series,
 * and a colon? */
bool script_explains(const struct script *script, const char *why);
/* Does the target lack what the setup asks for, or can't it be had at all? */
bool script_setup_explains(const struct script *script);
int script_has(lua_State *L);
int script_needs(lua_State *L);
/* Skips the script if the target has no such thing. */
void script_require(lua_State *L, const char *name);

/* script_pin.c */
void script_open_pins(lua_State *L);
int script_pin(lua_State *L);
int script_migrate(lua_State *L);
/* NULL: something else. */
struct script_pin *to_pin(lua_State *L, int index);
/* Pushes a new one. */
void script_push_pin(lua_State *L, struct pin *pin);

/* script_notifier.c */
void script_open_notifiers(lua_State *L);
int script_notifier(lua_State *L);
/* NULL: something else. */
struct script_notifier *to_notifier(lua_State *L, int index);

/* script_resolve.c: the requests on ranges of memory */
extern const struct binding resolve_bindings[];

/* script_scan.c */
int script_scan(lua_State *L);

/* script_observe.c */
extern const struct binding observation_bindings[];
/* Whether p:pagemap() has a field of this name. */
bool pagemap_has_field(const char *name);

/* script_check.c */
void script_open_checks(lua_State *L);
/* A check that the runner made; the text is what failed. */
void check_failed(struct script *script, int line, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#endif
