/* SPDX-License-Identifier: MIT */
/*
 * MMU notifiers: what becomes of a process's leaves, as who mirrors them hears of it.
 */
#include "script.h"

#include <errno.h>
#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>

#include "arguments.h"

#define NOTIFIER_TYPE "notifier"

struct script_notifier *to_notifier(lua_State *L, int index)
{
	struct script_notifier **notifier = luaL_testudata(L, index, NOTIFIER_TYPE);

	return notifier ? *notifier : NULL;
}

/* The one at 1, which must be open. */
static struct script_notifier *argument_notifier(lua_State *L)
{
	struct script_notifier *notifier = to_notifier(L, 1);

	if (!notifier)
		script_error(L, "is a function of a notifier, not of %s (n:%s(...))",
			     luaL_typename(L, 1), script_function(L));
	if (!notifier->notifier)
		script_error(L, "%s is closed", notifier->name);
	return notifier;
}

/* p:notifier() */
int script_notifier(lua_State *L)
{
	struct script_process *process = argument_process(L, 1);
	struct script *script = script_of(L);
	struct script_notifier *notifier;
	struct entry *entry;
	int error, results = 1;

	argument_count(L, 1, 0, 0);
	if (!script->ops->notifier)
		script_finish(script, STATUS_SKIPPED, "library: only it tells notifiers");
	notifier = calloc(1, sizeof(*notifier));
	if (!notifier)
		target_fail("out of memory");
	notifier->process = process;
	snprintf(notifier->name, sizeof(notifier->name), "n%u", ++script->notifiers);
	entry = record_begin(L, ENTRY_CALL, process->name, 2, process);
	do {
		inject_arm(script);
		error = script->ops->notifier(process->process, &notifier->notifier);
	} while (inject_again(script, error));
	if (error)
		results = script_push_error(L, error);
	else
		script_push_object(L, notifier, NOTIFIER_TYPE);
	return record_end(L, entry, results, process);
}

static void push_notification(lua_State *L, const struct target_notification *heard)
{
	lua_createtable(L, 0, 4);
	lua_pushboolean(L, heard->begin);
	lua_setfield(L, -2, "begin");
	lua_pushinteger(L, (lua_Integer)heard->start);
	lua_setfield(L, -2, "start");
	lua_pushinteger(L, (lua_Integer)heard->end);
	lua_setfield(L, -2, "finish");
	lua_pushstring(L, heard->why);
	lua_setfield(L, -2, "why");
}

/* n:read_all(): what it has heard of since the last time. */
static int notifier_read_all(lua_State *L)
{
	struct script_notifier *notifier = argument_notifier(L);
	struct target_notification *heard;
	struct entry *entry;
	size_t count;

	argument_count(L, 1, 0, 0);
	entry = record_begin(L, ENTRY_CALL, notifier->name, 2, notifier->process);
	script_of(L)->ops->notifier_read(notifier->notifier, &heard, &count);
	lua_createtable(L, (int)count, 0);
	for (size_t i = 0; i < count; i++) {
		push_notification(L, &heard[i]);
		lua_rawseti(L, -2, (lua_Integer)i + 1);
	}
	free(heard);
	return record_end(L, entry, 1, notifier->process);
}

static int notifier_close(lua_State *L)
{
	struct script_notifier *notifier = argument_notifier(L);
	struct entry *entry;

	argument_count(L, 1, 0, 0);
	entry = record_begin(L, ENTRY_CALL, notifier->name, 2, NULL);
	script_of(L)->ops->notifier_close(notifier->notifier);
	notifier->notifier = NULL;
	lua_pushboolean(L, true);
	return record_end(L, entry, 1, NULL);
}

static const struct binding notifier_bindings[] = {
	{"read_all", notifier_read_all},
	{"close", notifier_close},
	{NULL, NULL},
};

void script_open_notifiers(lua_State *L)
{
	script_open_type(L, NOTIFIER_TYPE,
			 (const struct binding *const[]){notifier_bindings, NULL});
}
