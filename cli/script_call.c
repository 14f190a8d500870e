/* SPDX-License-Identifier: MIT */
/*
 * One call on one thread: asking the target, recording it, checking what it touched, and turning
 * the outcome into Lua values.
 */
#define _GNU_SOURCE 1
#include "script.h"

#include <errno.h>
#include <lauxlib.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>

void script_check_idle(lua_State *L, const struct script_thread *thread)
{
	if (thread->asleep)
		script_error(L, "%s is asleep in a call (see result())", thread->name);
}

/* Checks the invariants of a range; tells what is broken. */
static bool verify_range(lua_State *L, struct script_process *process, uint64_t start,
			 uint64_t length)
{
	struct script *script = script_of(L);
	uint64_t mask = ~(uint64_t)(PAGE_SIZE - 1);
	uint64_t last = length ? start + length - 1 : start;
	char *violation;

	/* Past the end of the address space: up to the end. */
	if (last < start || last >= mask)
		last = mask - 1;
	violation = script->ops->verify_range(process->process, start & mask,
					      (last & mask) + PAGE_SIZE);
	if (!violation)
		return true;
	check_failed(script, script_line(L), "after %s: %s", script_function(L), violation);
	free(violation);
	return false;
}

/* The same for all that a finished call touched. */
static bool verify_call(lua_State *L, struct script_process *process, const struct call *call,
			struct script_process *child)
{
	bool done = call->status == CALL_DONE;

	switch (call->kind) {
	case CALL_FORK:
		return verify_range(L, process, 0, UINT64_MAX) &&
		       (!child || verify_range(L, child, 0, UINT64_MAX));
	case CALL_MMAP:
		return verify_range(L, process, done ? call->value : call->address, call->length);
	case CALL_MREMAP:
		return verify_range(L, process, call->address, call->length) &&
		       (!done || verify_range(L, process, call->value, call->new_length));
	default:
		return verify_range(L, process, call->address, call->length);
	}
}

static int push_fault(lua_State *L, const char *signal, const char *const codes[], int count,
		      int code)
{
	lua_pushnil(L);
	lua_pushstring(L, signal);
	if (code > 0 && code < count)
		lua_pushstring(L, codes[code]);
	else if (code == SI_KERNEL)
		lua_pushliteral(L, "KERNEL");
	else
		lua_pushfstring(L, "%d", code);
	return 3;
}

static int push_segv(lua_State *L, int code)
{
	static const char *const codes[] = {"", "MAPERR", "ACCERR", "BNDERR", "PKUERR"};

	return push_fault(L, "SEGV", codes, sizeof(codes) / sizeof(codes[0]), code);
}

static int push_bus(lua_State *L, int code)
{
	static const char *const codes[] = {"",	      "ADRALN",	   "ADRERR",
					    "OBJERR", "MCEERR_AR", "MCEERR_AO"};

	return push_fault(L, "BUS", codes, sizeof(codes) / sizeof(codes[0]), code);
}

void script_verify(lua_State *L, struct script_process *process, uint64_t start, uint64_t length)
{
	struct script *script = script_of(L);

	/* What is broken stays broken: it is told once. */
	if (script->verify && script->ops->verify_range && !process->ended)
		script->verify = verify_range(L, process, start, length);
}

static int push_call_error(lua_State *L, const struct call *call)
{
	/* It is the user who may lock nothing. */
	if (call->kind == CALL_MLOCK && call->error == EPERM)
		script_require(L, "mlock");
	int results = script_push_error(L, call->error);

	if (call->kind == CALL_COPY) {
		lua_pushinteger(L, call->copy.copy);
		return results + 1;
	}
	if (call->kind != CALL_SYSCALL_READ && call->kind != CALL_SYSCALL_WRITE)
		return results;
	lua_pushinteger(L, (lua_Integer)call->done);
	return results + 1;
}

/* What mmap and mremap return gets a name. */
static int push_mapping(lua_State *L, struct script_process *process, const struct call *call)
{
	uint64_t length = call->kind == CALL_MREMAP ? call->new_length : call->length;

	record_mapping(script_of(L), process, call->value, length);
	lua_pushinteger(L, (lua_Integer)call->value);
	return 1;
}

/* A child has its parent's mappings, under their names. */
static struct script_process *push_child(lua_State *L, const struct script_process *parent,
					 const struct call *call)
{
	struct script_process *child = script_push_process(L, call->child);

	child->mappings = parent->mappings;
	return child;
}

static int push_done(lua_State *L, struct script_process *process, const struct call *call,
		     struct script_process **child)
{
	switch (call->kind) {
	case CALL_READ:
	case CALL_SYSCALL_READ:
		lua_pushlstring(L, (const char *)call->data, (size_t)call->done);
		return 1;
	case CALL_MMAP:
	case CALL_MREMAP:
		return push_mapping(L, process, call);
	case CALL_COPY:
		lua_pushinteger(L, call->copy.copy);
		return 1;
	case CALL_FORK:
		*child = push_child(L, process, call);
		return 1;
	case CALL_PIN:
		script_push_pin(L, call->pin);
		return 1;
	default:
		lua_pushboolean(L, true);
		return 1;
	}
}

static int push_outcome(lua_State *L, struct script_process *process, const struct call *call,
			struct script_process **child)
{
	switch (call->status) {
	case CALL_DONE:
		return push_done(L, process, call, child);
	case CALL_ERROR:
		return push_call_error(L, call);
	case CALL_SEGV:
		return push_segv(L, call->code);
	case CALL_BUS:
		return push_bus(L, call->code);
	case CALL_BLOCKED:
		break;
	}
	lua_pushnil(L);
	lua_pushliteral(L, "blocked");
	return 2;
}

/* The call of the thread has finished or sleeps. */
static int finish(lua_State *L, struct script_thread *thread, struct entry *entry)
{
	struct script *script = script_of(L);
	struct script_process *child = NULL;
	int results = push_outcome(L, thread->process, &thread->call, &child);

	record_end(L, entry, results, thread->process);
	thread->asleep = thread->call.status == CALL_BLOCKED;
	if (!thread->asleep) {
		free(thread->data);
		thread->data = NULL;
		/* What is broken stays broken: it is told once. */
		if (script->verify && script->ops->verify_range)
			script->verify = verify_call(L, thread->process, &thread->call, child);
	}
	return results;
}

/* How many pages a kernel accesses itself for the call, at most. */
static uint64_t kernel_pages(const struct call *call)
{
	switch (call->kind) {
	case CALL_SYSCALL_READ:
	case CALL_SYSCALL_WRITE:
	case CALL_MLOCK:
	case CALL_PIN:
		return pages_touched(call->address, call->length);
	case CALL_MMAP: /* which may populate, as an mremap of locked memory does */
		return call->flags & MAP_POPULATE ? pages_touched(0, call->length) : 0;
	case CALL_MREMAP:
		return pages_touched(0, call->new_length);
	case CALL_MADVISE:
		return call->advice == MADV_POPULATE_READ || call->advice == MADV_POPULATE_WRITE
			       ? pages_touched(call->address, call->length)
			       : 0;
	default:
		return 0;
	}
}

int script_call(lua_State *L, struct script_thread *thread, const struct call *call)
{
	struct entry *entry;

	script_check_idle(L, thread);
	entry = record_begin(L, ENTRY_CALL, script_subject(L), 2, thread->process);
	entry->kernel_pages = kernel_pages(call);
	thread->call = *call;
	inject_call(L, thread);
	return finish(L, thread, entry);
}

int script_result(lua_State *L, struct script_thread *thread)
{
	struct entry *entry;

	if (!thread->asleep)
		script_error(L, "%s has no call to wait for", thread->name);
	entry = record_begin(L, ENTRY_CALL, script_subject(L), 2, thread->process);
	inject_result(script_of(L), thread);
	return finish(L, thread, entry);
}
