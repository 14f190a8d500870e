/* SPDX-License-Identifier: MIT */
/*
 * userfaultfd objects: opening, negotiating, messages, closing.  Their requests on ranges of memory
 * are in script_resolve.c.
 *
 * A read never sleeps.  On a userfaultfd without O_NONBLOCK, one that would is "blocked", and not
 * "EAGAIN".
 */
#define _GNU_SOURCE 1
#include "script.h"

#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <poll.h>
#include <stdlib.h>

#include "arguments.h"

#define USERFAULT_TYPE "userfaultfd"

/* Of the userfaultfd itself, not of a range. */
static const struct bit_name ioctl_names[] = {
	{"register", (uint64_t)1 << _UFFDIO_REGISTER},
	{"unregister", (uint64_t)1 << _UFFDIO_UNREGISTER},
	{"api", (uint64_t)1 << _UFFDIO_API},
	{NULL, 0},
};

struct script_userfault *to_userfault(lua_State *L, int index)
{
	struct script_userfault **userfault = luaL_testudata(L, index, USERFAULT_TYPE);

	return userfault ? *userfault : NULL;
}

struct script_userfault *argument_userfault(lua_State *L, int index)
{
	struct script_userfault *userfault = to_userfault(L, index);

	if (!userfault)
		script_error(L, "is a function of a userfaultfd, not of %s (u:%s(...))",
			     luaL_typename(L, index), script_function(L));
	if (!userfault->userfault)
		script_error(L, "%s is closed", userfault->name);
	return userfault;
}

/* Pushes a new one. */
static struct script_userfault *push_userfault(lua_State *L, struct script_process *process,
					       struct userfault *target, bool nonblock)
{
	struct script_userfault *userfault = calloc(1, sizeof(*userfault));

	if (!userfault)
		target_fail("out of memory");
	userfault->userfault = target;
	userfault->process = process;
	userfault->nonblock = nonblock;
	snprintf(userfault->name, sizeof(userfault->name), "u%u", ++script_of(L)->userfaults);
	script_push_object(L, userfault, USERFAULT_TYPE);
	return userfault;
}

/* nonblock is true unless it is given. */
static int open_flags(lua_State *L, int table)
{
	int flags = O_CLOEXEC | O_NONBLOCK;

	if (field_given(L, table, "nonblock")) {
		if (!argument_boolean(L, -1, "nonblock"))
			flags &= ~O_NONBLOCK;
		lua_pop(L, 1);
	}
	if (field_boolean(L, table, "user_mode_only"))
		flags |= UFFD_USER_MODE_ONLY;
	return flags;
}

static int negotiate(struct script *script, struct userfault *userfault, struct uffdio_api *api)
{
	return inject_userfault_ioctl(script, userfault, UFFDIO_API, api, sizeof(*api));
}

static void set_answer(struct script_userfault *userfault, const struct uffdio_api *api)
{
	userfault->negotiated = true;
	userfault->features = api->features;
	userfault->ioctls = api->ioctls;
}

static void check_built(lua_State *L)
{
	if (!script_of(L)->ops->userfaultfd)
		script_not_built_here(L);
}

/* Opens and negotiates; NULL: errno says why. */
static struct userfault *open_negotiated(struct script *script, struct script_process *process,
					 int flags, struct uffdio_api *api)
{
	struct userfault *userfault = inject_userfaultfd(script, process, flags);
	int error;

	if (!userfault)
		return NULL;
	error = negotiate(script, userfault, api);
	if (!error)
		return userfault;
	script->ops->userfault_close(userfault);
	errno = error;
	return NULL;
}

/*
 * What the target refuses because it lacks the right or the feature says nothing about the script,
 * which is skipped.  A script that wants to see the refusal makes the bare calls: userfaultfd_raw(),
 * u:api{}.
 */
static int push_refusal(lua_State *L, int flags, uint64_t features)
{
	struct script *script = script_of(L);
	struct profile profile = script->ops->profile(&script->setup);
	int error = errno;
	const char *why = profile_refuses(&profile, flags, features);

	if (why)
		script_finish(script, STATUS_SKIPPED, why);
	return script_push_error(L, error);
}

int script_userfaultfd(lua_State *L)
{
	static const char *const names[] = {"features", "nonblock", "user_mode_only", NULL};
	struct script_process *process = argument_process(L, 1);
	struct uffdio_api api = {.api = UFFD_API};
	struct userfault *userfault;
	struct entry *entry;
	int flags, results = 1;
	uint64_t asked;

	check_built(L);
	argument_count(L, 1, 1, 1);
	argument_table(L, 2, "the argument");
	fields_known(L, 2, names);
	api.features = asked = field_bits(L, 2, "features", userfault_feature_names);
	flags = open_flags(L, 2);
	entry = record_begin(L, ENTRY_CALL, process->name, 2, process);
	userfault = open_negotiated(script_of(L), process, flags, &api);
	if (userfault)
		set_answer(push_userfault(L, process, userfault, flags & O_NONBLOCK), &api);
	else
		results = push_refusal(L, flags, asked);
	return record_end(L, entry, results, process);
}

/* quire.userfaultfd_raw(p, { flags = }): the bare system call. */
int script_userfaultfd_raw(lua_State *L)
{
	static const char *const names[] = {"nonblock", "user_mode_only", "flags", NULL};
	int flags = O_CLOEXEC | O_NONBLOCK, results = 1;
	struct script_process *process;
	struct userfault *userfault;
	struct entry *entry;

	check_built(L);
	argument_count(L, 0, 1, 2);
	process = argument_process(L, 1);
	if (lua_gettop(L) == 2) {
		argument_table(L, 2, "the last argument");
		fields_known(L, 2, names);
		flags = open_flags(L, 2);
		if (field_given(L, 2, "flags")) {
			flags = argument_int(L, -1, "flags");
			lua_pop(L, 1);
		}
	}
	entry = record_begin(L, ENTRY_CALL, "quire", 1, NULL);
	userfault = inject_userfaultfd(script_of(L), process, flags);
	if (userfault)
		push_userfault(L, process, userfault, flags & O_NONBLOCK);
	else
		results = script_push_error(L, errno);
	return record_end(L, entry, results, NULL);
}

static void push_answer(lua_State *L, const struct uffdio_api *api)
{
	lua_createtable(L, 0, 3);
	lua_pushinteger(L, (lua_Integer)api->api);
	lua_setfield(L, -2, "api");
	push_bits(L, api->features, userfault_feature_names);
	lua_setfield(L, -2, "features");
	push_bits(L, api->ioctls, ioctl_names);
	lua_setfield(L, -2, "ioctls");
}

static int userfault_api(lua_State *L)
{
	static const char *const names[] = {"api", "features", NULL};
	struct script_userfault *userfault = argument_userfault(L, 1);
	struct uffdio_api api = {.api = UFFD_API};
	struct entry *entry;
	int error, results = 1;

	argument_count(L, 1, 1, 1);
	argument_table(L, 2, "the argument");
	fields_known(L, 2, names);
	if (field_given(L, 2, "api")) {
		api.api = argument_address(L, -1, "api");
		lua_pop(L, 1);
	}
	api.features = field_bits(L, 2, "features", userfault_feature_names);
	entry = record_begin(L, ENTRY_CALL, userfault->name, 2, NULL);
	error = negotiate(script_of(L), userfault->userfault, &api);
	if (error) {
		results = script_push_error(L, error);
	} else {
		set_answer(userfault, &api);
		push_answer(L, &api);
	}
	return record_end(L, entry, results, NULL);
}

static int answered(lua_State *L, bool features)
{
	struct script_userfault *userfault = argument_userfault(L, 1);
	struct entry *entry;

	argument_count(L, 1, 0, 0);
	if (!userfault->negotiated)
		script_error(L, "%s has not been negotiated", userfault->name);
	entry = record_begin(L, ENTRY_CALL, userfault->name, 2, NULL);
	if (features)
		push_bits(L, userfault->features, userfault_feature_names);
	else
		push_bits(L, userfault->ioctls, ioctl_names);
	return record_end(L, entry, 1, NULL);
}

static int userfault_features(lua_State *L)
{
	return answered(L, true);
}

static int userfault_ioctls(lua_State *L)
{
	return answered(L, false);
}

/* --- messages --- */

static void set_address(lua_State *L, const char *name, uint64_t address)
{
	lua_pushinteger(L, (lua_Integer)address);
	lua_setfield(L, -2, name);
}

static void set_flag(lua_State *L, const char *name, uint64_t flag)
{
	lua_pushboolean(L, flag != 0);
	lua_setfield(L, -2, name);
}

static void push_pagefault(lua_State *L, const struct target_message *message)
{
	uint64_t flags = message->message.arg.pagefault.flags;
	const struct script_thread *thread = script_of(L)->threads;

	set_address(L, "address", message->message.arg.pagefault.address);
	set_flag(L, "write", flags & UFFD_PAGEFAULT_FLAG_WRITE);
	set_flag(L, "wp", flags & UFFD_PAGEFAULT_FLAG_WP);
	set_flag(L, "minor", flags & UFFD_PAGEFAULT_FLAG_MINOR);
	if (!message->thread)
		return;
	while (thread && thread->thread != message->thread)
		thread = thread->next;
	if (thread)
		set_address(L, "thread", thread->number);
}

static void push_child(lua_State *L, const struct script_userfault *parent,
		       const struct target_message *message)
{
	struct script_userfault *child =
		push_userfault(L, parent->process, message->child, parent->nonblock);

	child->negotiated = parent->negotiated;
	child->features = parent->features;
	child->ioctls = parent->ioctls;
	lua_setfield(L, -2, "child");
}

static void push_message(lua_State *L, const struct script_userfault *userfault,
			 const struct target_message *message)
{
	const struct uffd_msg *raw = &message->message;
	const char *event = "unknown";

	lua_createtable(L, 0, 6);
	switch (raw->event) {
	case UFFD_EVENT_PAGEFAULT:
		event = "pagefault";
		push_pagefault(L, message);
		break;
	case UFFD_EVENT_FORK:
		event = "fork";
		push_child(L, userfault, message);
		break;
	case UFFD_EVENT_REMAP:
		event = "remap";
		set_address(L, "from", raw->arg.remap.from);
		set_address(L, "to", raw->arg.remap.to);
		set_address(L, "length", raw->arg.remap.len);
		break;
	case UFFD_EVENT_REMOVE:
	case UFFD_EVENT_UNMAP:
		event = raw->event == UFFD_EVENT_REMOVE ? "remove" : "unmap";
		set_address(L, "start", raw->arg.remove.start);
		set_address(L, "finish", raw->arg.remove.end);
		break;
	default:
		break;
	}
	lua_pushstring(L, event);
	lua_setfield(L, -2, "event");
}

static int read_one(lua_State *L, struct script_userfault *userfault,
		    struct target_message *message)
{
	size_t got = 0;
	int error = script_of(L)->ops->userfault_read(userfault->userfault, message, 1, &got);

	return !error && !got ? EAGAIN : error;
}

static int userfault_read(lua_State *L)
{
	struct script_userfault *userfault = argument_userfault(L, 1);
	struct target_message message;
	struct entry *entry;
	int error, results = 1;

	argument_count(L, 1, 0, 0);
	entry = record_begin(L, ENTRY_CALL, userfault->name, 2, userfault->process);
	error = read_one(L, userfault, &message);
	if (!error) {
		push_message(L, userfault, &message);
	} else if (error == EAGAIN && !userfault->nonblock) {
		lua_pushnil(L);
		lua_pushliteral(L, "blocked");
		results = 2;
	} else {
		results = script_push_error(L, error);
	}
	return record_end(L, entry, results, userfault->process);
}

/* All messages that there are, those included that come of reading the ones before. */
static int userfault_read_all(lua_State *L)
{
	struct script_userfault *userfault = argument_userfault(L, 1);
	struct target_message message;
	struct entry *entry;
	int error, results = 1;

	argument_count(L, 1, 0, 0);
	entry = record_begin(L, ENTRY_CALL, userfault->name, 2, userfault->process);
	lua_newtable(L);
	for (lua_Integer i = 1; !(error = read_one(L, userfault, &message)); i++) {
		push_message(L, userfault, &message);
		lua_rawseti(L, -2, i);
	}
	if (error != EAGAIN)
		results = script_push_error(L, error);
	return record_end(L, entry, results, userfault->process);
}

static int userfault_poll(lua_State *L)
{
	struct script_userfault *userfault = argument_userfault(L, 1);
	int events = 0, error, results = 1;
	struct entry *entry;

	argument_count(L, 1, 0, 0);
	entry = record_begin(L, ENTRY_CALL, userfault->name, 2, NULL);
	error = script_of(L)->ops->userfault_poll(userfault->userfault, &events);
	if (error) {
		results = script_push_error(L, error);
	} else {
		lua_createtable(L, 0, 3);
		set_flag(L, "readable", (uint64_t)(events & POLLIN));
		set_flag(L, "error", (uint64_t)(events & POLLERR));
		set_flag(L, "hangup", (uint64_t)(events & POLLHUP));
	}
	return record_end(L, entry, results, NULL);
}

/* Ends what is protected and registered: everything is verified. */
static int userfault_close(lua_State *L)
{
	struct script_userfault *userfault = argument_userfault(L, 1);
	struct entry *entry;

	argument_count(L, 1, 0, 0);
	if (userfault->copier && userfault->copier->asleep)
		script_error(L, "%s is asleep in a copy (see result())", userfault->name);
	entry = record_begin(L, ENTRY_CALL, userfault->name, 2, NULL);
	script_of(L)->ops->userfault_close(userfault->userfault);
	userfault->userfault = NULL;
	lua_pushboolean(L, true);
	record_end(L, entry, 1, NULL);
	script_verify(L, userfault->process, 0, UINT64_MAX);
	return 1;
}

static int userfault_name(lua_State *L)
{
	lua_pushstring(L, to_userfault(L, 1)->name);
	return 1;
}

static const struct binding userfault_bindings[] = {
	{"api", userfault_api},		  {"features", userfault_features},
	{"ioctls", userfault_ioctls},	  {"read", userfault_read},
	{"read_all", userfault_read_all}, {"poll", userfault_poll},
	{"close", userfault_close},	  {NULL, NULL},
};

void script_open_userfaults(lua_State *L)
{
	script_open_type(
		L, USERFAULT_TYPE,
		(const struct binding *const[]){userfault_bindings, resolve_bindings, NULL});
	luaL_getmetatable(L, USERFAULT_TYPE);
	lua_pushcfunction(L, userfault_name);
	lua_setfield(L, -2, "__tostring");
	lua_pop(L, 1);
}
