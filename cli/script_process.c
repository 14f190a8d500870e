/* SPDX-License-Identifier: MIT */
/*
 * Processes and threads, and what they do: everything that a thread calls or accesses.
 *
 * What works on a thread works on its process too, and then runs on the first thread.
 */
#define _GNU_SOURCE 1
#include "script.h"

#include <errno.h>
#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "arguments.h"

#define PROCESS_TYPE "process"
#define THREAD_TYPE  "thread"

static struct script_process *to_process(lua_State *L, int index)
{
	struct script_process **process = luaL_testudata(L, index, PROCESS_TYPE);

	return process ? *process : NULL;
}

static struct script_thread *to_thread(lua_State *L, int index)
{
	struct script_thread **thread = luaL_testudata(L, index, THREAD_TYPE);

	if (thread)
		return *thread;
	return to_process(L, index) ? to_process(L, index)->first_thread : NULL;
}

struct script_process *argument_process(lua_State *L, int index)
{
	struct script_process *process = to_process(L, index);

	if (!process)
		script_error(L, "is a function of a process, not of %s (p:%s(...))",
			     luaL_typename(L, index), script_function(L));
	if (process->ended)
		script_error(L, "%s has ended", process->name);
	return process;
}

struct script_thread *argument_thread(lua_State *L, int index)
{
	struct script_thread *thread = to_thread(L, index);

	if (!thread)
		script_error(L, "is a function of a process or thread, not of %s (p:%s(...))",
			     luaL_typename(L, index), script_function(L));
	if (thread->process->ended)
		script_error(L, "%s has ended", thread->process->name);
	return thread;
}

const char *script_subject(lua_State *L)
{
	if (to_userfault(L, 1))
		return to_userfault(L, 1)->name;
	if (to_file(L, 1))
		return to_file(L, 1)->name;
	if (to_pin(L, 1))
		return to_pin(L, 1)->name;
	if (to_notifier(L, 1))
		return to_notifier(L, 1)->name;
	return to_process(L, 1) ? to_process(L, 1)->name : to_thread(L, 1)->name;
}

static void *allocate(size_t size)
{
	void *memory = calloc(1, size);

	if (!memory)
		target_fail("out of memory");
	return memory;
}

void script_push_object(lua_State *L, void *object, const char *type)
{
	*(void **)lua_newuserdatauv(L, sizeof(void *), 0) = object;
	luaL_setmetatable(L, type);
}

static struct script_thread *new_thread(struct script *script, struct script_process *process,
					struct thread *target)
{
	struct script_thread *thread = allocate(sizeof(*thread));

	thread->process = process;
	thread->thread = target;
	thread->number = process->threads++;
	snprintf(thread->name, sizeof(thread->name), "%s.t%u", process->name, thread->number);
	thread->next = script->threads;
	script->threads = thread;
	return thread;
}

struct script_thread *script_hidden_thread(lua_State *L, struct script_process *process,
					   const char *name)
{
	struct thread *target = script_make_thread(script_of(L), process);
	struct script_thread *thread;

	if (!target)
		return NULL;
	thread = allocate(sizeof(*thread));
	thread->process = process;
	thread->thread = target;
	snprintf(thread->name, sizeof(thread->name), "%s", name);
	return thread;
}

struct script_process *script_push_process(lua_State *L, struct process *target)
{
	struct script *script = script_of(L);
	struct script_process *process = allocate(sizeof(*process));

	process->process = target;
	snprintf(process->name, sizeof(process->name), "p%u", ++script->processes);
	process->first_thread = new_thread(script, process, script->ops->first_thread(target));
	script_push_object(L, process, PROCESS_TYPE);
	return process;
}

int script_new_process(lua_State *L)
{
	struct script *script = script_of(L);
	struct process *process;
	struct entry *entry;
	int results = 1;

	argument_count(L, 0, 0, 0);
	script_target(L);
	entry = record_begin(L, ENTRY_CALL, "quire", 1, NULL);
	process = script_make_process(script);
	if (process)
		script_push_process(L, process);
	else
		results = script_push_error(L, errno);
	return record_end(L, entry, results, NULL);
}

static int process_thread(lua_State *L)
{
	struct script_process *process = argument_process(L, 1);
	struct thread *thread;
	struct entry *entry;
	int results = 1;

	argument_count(L, 1, 0, 0);
	entry = record_begin(L, ENTRY_CALL, process->name, 2, process);
	thread = script_make_thread(script_of(L), process);
	if (thread)
		script_push_object(L, new_thread(script_of(L), process, thread), THREAD_TYPE);
	else
		results = script_push_error(L, errno);
	return record_end(L, entry, results, process);
}

static int process_exit(lua_State *L)
{
	struct script_process *process = argument_process(L, 1);
	struct entry *entry;

	argument_count(L, 1, 0, 0);
	entry = record_begin(L, ENTRY_CALL, process->name, 2, process);
	script_of(L)->ops->exit(process->process);
	process->ended = true;
	lua_pushboolean(L, true);
	return record_end(L, entry, 1, process);
}

static int object_name(lua_State *L)
{
	lua_pushstring(L, script_subject(L));
	return 1;
}

/* A buffer for the thread's transfer.  It must not be asleep in another one. */
static unsigned char *transfer_buffer(lua_State *L, struct script_thread *thread, uint64_t length)
{
	if (length > TARGET_TRANSFER_MAX)
		script_error(L, "moves at most %d bytes at once", (int)TARGET_TRANSFER_MAX);
	script_check_idle(L, thread);
	thread->data = allocate((size_t)length + 1);
	return thread->data;
}

static int transfer_out(lua_State *L, enum call_kind kind)
{
	struct script_thread *thread = argument_thread(L, 1);
	struct call call = {.kind = kind};

	argument_count(L, 1, 2, 2);
	call.address = argument_address(L, 2, "address");
	call.length = argument_size(L, 3, "length");
	call.data = transfer_buffer(L, thread, call.length);
	return script_call(L, thread, &call);
}

static int transfer_in(lua_State *L, enum call_kind kind)
{
	struct script_thread *thread = argument_thread(L, 1);
	struct call call = {.kind = kind};
	const char *bytes;
	size_t length;

	argument_count(L, 1, 2, 2);
	call.address = argument_address(L, 2, "address");
	bytes = argument_string(L, 3, "bytes", &length);
	call.length = length;
	call.data = transfer_buffer(L, thread, length);
	memcpy(call.data, bytes, length);
	return script_call(L, thread, &call);
}

static int thread_read(lua_State *L)
{
	return transfer_out(L, CALL_READ);
}

static int thread_write(lua_State *L)
{
	return transfer_in(L, CALL_WRITE);
}

static int thread_syscall_read(lua_State *L)
{
	return transfer_out(L, CALL_SYSCALL_READ);
}

static int thread_syscall_write(lua_State *L)
{
	return transfer_in(L, CALL_SYSCALL_WRITE);
}

static enum call_kind touch_kind(lua_State *L, int index)
{
	const char *how = argument_string(L, index, "access", NULL);

	if (strcmp(how, "r") == 0)
		return CALL_TOUCH_READ;
	if (strcmp(how, "w") == 0)
		return CALL_TOUCH_WRITE;
	if (strcmp(how, "x") == 0)
		return CALL_TOUCH_EXECUTE;
	script_error(L, "access must be \"r\", \"w\" or \"x\", not '%s'", how);
}

static int thread_touch(lua_State *L)
{
	struct script_thread *thread = argument_thread(L, 1);
	struct call call = {.length = 1};

	argument_count(L, 1, 2, 2);
	call.address = argument_address(L, 2, "address");
	call.kind = touch_kind(L, 3);
	return script_call(L, thread, &call);
}

/* fixed = false | true | "noreplace" */
static int fixed_flag(lua_State *L, int table)
{
	int flag;

	if (!field_given(L, table, "fixed"))
		return 0;
	if (lua_type(L, -1) == LUA_TSTRING && strcmp(lua_tostring(L, -1), "noreplace") == 0)
		flag = MAP_FIXED_NOREPLACE;
	else if (lua_isboolean(L, -1))
		flag = lua_toboolean(L, -1) ? MAP_FIXED : 0;
	else
		script_error(L, "fixed must be true, false or \"noreplace\"");
	lua_pop(L, 1);
	return flag;
}

/* What is mapped: file and offset, shared or private. */
static void set_object(lua_State *L, int table, struct call *call)
{
	bool shared = field_boolean(L, table, "shared");
	bool has_file = field_given(L, table, "file");

	call->flags |= shared ? MAP_SHARED : MAP_PRIVATE;
	call->offset = field_size(L, table, "offset");
	if (has_file) {
		call->file = argument_file(L, -1, "file")->file;
		lua_pop(L, 1);
	} else {
		call->flags |= MAP_ANONYMOUS;
	}
	if ((shared || has_file) && !script_of(L)->ops->file_shmem)
		script_lacks_what(L, "shared memory");
}

static void field_required(lua_State *L, int table, const char *name)
{
	field_needed(L, table, name);
	lua_pop(L, 1);
}

static int thread_mmap(lua_State *L)
{
	static const char *const names[] = {"length",	 "prot",     "shared", "file",
					    "offset",	 "address",  "fixed",  "hugetlb",
					    "noreserve", "populate", NULL};
	struct script_thread *thread = argument_thread(L, 1);
	struct call call = {.kind = CALL_MMAP};

	argument_count(L, 1, 1, 1);
	argument_table(L, 2, "the argument");
	fields_known(L, 2, names);
	call.flags |= field_huge_flags(L, 2);
	set_object(L, 2, &call);
	field_required(L, 2, "length");
	field_required(L, 2, "prot");
	call.address = field_address(L, 2, "address");
	call.length = field_size(L, 2, "length");
	lua_getfield(L, 2, "prot");
	call.prot = argument_protection(L, -1, "prot");
	lua_pop(L, 1);
	call.flags |= fixed_flag(L, 2);
	if (field_boolean(L, 2, "noreserve"))
		call.flags |= MAP_NORESERVE;
	if (field_boolean(L, 2, "populate"))
		call.flags |= MAP_POPULATE;
	return script_call(L, thread, &call);
}

/* Calls that take an address, a length and nothing else. */
static int call_on_range(lua_State *L, enum call_kind kind)
{
	struct script_thread *thread = argument_thread(L, 1);
	struct call call = {.kind = kind};

	argument_count(L, 1, 2, 2);
	call.address = argument_address(L, 2, "address");
	call.length = argument_size(L, 3, "length");
	return script_call(L, thread, &call);
}

static int thread_munmap(lua_State *L)
{
	return call_on_range(L, CALL_MUNMAP);
}

static int thread_mlock(lua_State *L)
{
	return call_on_range(L, CALL_MLOCK);
}

static int thread_munlock(lua_State *L)
{
	return call_on_range(L, CALL_MUNLOCK);
}

static int thread_mprotect(lua_State *L)
{
	struct script_thread *thread = argument_thread(L, 1);
	struct call call = {.kind = CALL_MPROTECT};

	argument_count(L, 1, 3, 3);
	call.address = argument_address(L, 2, "address");
	call.length = argument_size(L, 3, "length");
	call.prot = argument_protection(L, 4, "prot");
	return script_call(L, thread, &call);
}

static int thread_madvise(lua_State *L)
{
	struct script_thread *thread = argument_thread(L, 1);
	struct call call = {.kind = CALL_MADVISE};

	argument_count(L, 1, 3, 3);
	call.address = argument_address(L, 2, "address");
	call.length = argument_size(L, 3, "length");
	call.advice = argument_advice(L, 4, "advice");
	return script_call(L, thread, &call);
}

static int thread_mremap(lua_State *L)
{
	static const char *const names[] = {"maymove", "fixed", "dontunmap", NULL};
	struct script_thread *thread = argument_thread(L, 1);
	struct call call = {.kind = CALL_MREMAP};

	argument_count(L, 1, 3, 4);
	call.address = argument_address(L, 2, "address");
	call.length = argument_size(L, 3, "old length");
	call.new_length = argument_size(L, 4, "new length");
	if (lua_gettop(L) == 5) {
		argument_table(L, 5, "the last argument");
		fields_known(L, 5, names);
		if (field_boolean(L, 5, "maymove"))
			call.flags |= MREMAP_MAYMOVE;
		if (field_boolean(L, 5, "dontunmap"))
			call.flags |= MREMAP_DONTUNMAP;
		if (field_given(L, 5, "fixed")) {
			call.flags |= MREMAP_FIXED;
			call.new_address = argument_address(L, -1, "fixed");
			lua_pop(L, 1);
		}
	}
	return script_call(L, thread, &call);
}

static int thread_fork(lua_State *L)
{
	struct script_thread *thread = argument_thread(L, 1);
	struct call call = {.kind = CALL_FORK};

	argument_count(L, 1, 0, 0);
	return script_call(L, thread, &call);
}

static int thread_result(lua_State *L)
{
	struct script_thread *thread = argument_thread(L, 1);

	argument_count(L, 1, 0, 0);
	return script_result(L, thread);
}

static int thread_signal(lua_State *L)
{
	const struct target_ops *ops = script_of(L)->ops;
	struct script_thread *thread = argument_thread(L, 1);
	struct entry *entry;
	int error, results = 1;

	if (!ops->signal)
		script_not_built_here(L);
	argument_count(L, 1, 0, 0);
	if (!thread->asleep)
		script_error(L, "%s is not asleep", thread->name);
	entry = record_begin(L, ENTRY_CALL, script_subject(L), 2, thread->process);
	error = ops->signal(thread->thread);
	if (error)
		results = script_push_error(L, error);
	else
		lua_pushboolean(L, true);
	return record_end(L, entry, results, thread->process);
}

static const struct binding thread_bindings[] = {
	{"read", thread_read},
	{"write", thread_write},
	{"touch", thread_touch},
	{"syscall_read", thread_syscall_read},
	{"syscall_write", thread_syscall_write},
	{"mmap", thread_mmap},
	{"munmap", thread_munmap},
	{"mprotect", thread_mprotect},
	{"mremap", thread_mremap},
	{"madvise", thread_madvise},
	{"mlock", thread_mlock},
	{"munlock", thread_munlock},
	{"fork", thread_fork},
	{"pin", script_pin},
	{"result", thread_result},
	{"signal", thread_signal},
	{NULL, NULL},
};

static const struct binding process_bindings[] = {
	{"thread", process_thread},
	{"exit", process_exit},
	{"thread_result", thread_result},
	{"userfaultfd", script_userfaultfd},
	{"scan", script_scan},
	{"migrate", script_migrate},
	{"notifier", script_notifier},
	{NULL, NULL},
};

void script_open_type(lua_State *L, const char *type, const struct binding *const bindings[])
{
	luaL_newmetatable(L, type);
	lua_pushcfunction(L, object_name);
	lua_setfield(L, -2, "__tostring");
	lua_newtable(L);
	for (; *bindings; bindings++)
		script_bind(L, *bindings);
	script_seal(L, type);
	lua_setfield(L, -2, "__index");
	lua_pop(L, 1);
}

void script_open_processes(lua_State *L)
{
	script_open_type(L, PROCESS_TYPE,
			 (const struct binding *const[]){thread_bindings, process_bindings,
							 observation_bindings, NULL});
	script_open_type(L, THREAD_TYPE, (const struct binding *const[]){thread_bindings, NULL});
}
