/* SPDX-License-Identifier: MIT */
/*
 * What a userfaultfd asks for ranges of memory: registering, protecting, resolving faults.
 *
 * A request that tells how far it came returns the bytes, or nil, the error and what it told:
 * bytes, or a negative errno; 0 where it was refused before it had begun.
 */
#define _GNU_SOURCE 1
#include "script.h"

#include <errno.h>
#include <lauxlib.h>

#include "arguments.h"

static const struct bit_name range_ioctl_names[] = {
	{"wake", (uint64_t)1 << _UFFDIO_WAKE},
	{"copy", (uint64_t)1 << _UFFDIO_COPY},
	{"zeropage", (uint64_t)1 << _UFFDIO_ZEROPAGE},
	{"move", (uint64_t)1 << _UFFDIO_MOVE},
	{"writeprotect", (uint64_t)1 << _UFFDIO_WRITEPROTECT},
	{"continue", (uint64_t)1 << _UFFDIO_CONTINUE},
	{"poison", (uint64_t)1 << _UFFDIO_POISON},
	{NULL, 0},
};

/* One request of the binding that runs. */
struct request {
	struct script_userfault *userfault;
	unsigned long number;
	void *argument;
	size_t size;
	const __s64 *done; /* in the argument; NULL: it does not tell */
	uint64_t start, length;
};

static int begin_request(lua_State *L, const struct request *request, struct entry **entry)
{
	struct script_userfault *userfault = request->userfault;

	*entry = record_begin(L, ENTRY_CALL, userfault->name, 2, userfault->process);
	return inject_userfault_ioctl(script_of(L), userfault->userfault, request->number,
				      request->argument, request->size);
}

/* With `count` results on the stack. */
static int end_request(lua_State *L, const struct request *request, struct entry *entry, int count)
{
	record_end(L, entry, count, request->userfault->process);
	script_verify(L, request->userfault->process, request->start, request->length);
	return count;
}

static int make_request(lua_State *L, const struct request *request)
{
	struct entry *entry;
	int error = begin_request(L, request, &entry), results = 1;

	if (error) {
		results = script_push_error(L, error);
		if (request->done)
			lua_pushinteger(L, *request->done), results++;
	} else if (request->done) {
		lua_pushinteger(L, *request->done);
	} else {
		lua_pushboolean(L, true);
	}
	return end_request(L, request, entry, results);
}

/* The address and length that come first. */
static struct uffdio_range argument_range(lua_State *L)
{
	struct uffdio_range range;

	range.start = argument_address(L, 2, "address");
	range.len = argument_size(L, 3, "length");
	return range;
}

static int userfault_register(lua_State *L)
{
	static const struct bit_name modes[] = {
		{"missing", UFFDIO_REGISTER_MODE_MISSING},
		{"wp", UFFDIO_REGISTER_MODE_WP},
		{"minor", UFFDIO_REGISTER_MODE_MINOR},
		{NULL, 0},
	};
	struct script_userfault *userfault = argument_userfault(L, 1);
	struct uffdio_register argument = {.ioctls = 0};
	struct request request = {.userfault = userfault,
				  .number = UFFDIO_REGISTER,
				  .argument = &argument,
				  .size = sizeof(argument)};
	struct entry *entry;
	int error, results = 1;

	argument_count(L, 1, 3, 3);
	argument.range = argument_range(L);
	argument.mode = argument_bits(L, 4, "the modes", modes);
	request.start = argument.range.start;
	request.length = argument.range.len;
	error = begin_request(L, &request, &entry);
	if (error)
		results = script_push_error(L, error);
	else
		push_bits(L, argument.ioctls, range_ioctl_names);
	return end_request(L, &request, entry, results);
}

/* A request whose argument is a range and nothing else. */
static int request_on_range(lua_State *L, unsigned long number)
{
	struct script_userfault *userfault = argument_userfault(L, 1);
	struct uffdio_range range;

	argument_count(L, 1, 2, 2);
	range = argument_range(L);
	return make_request(L, &(struct request){.userfault = userfault,
						 .number = number,
						 .argument = &range,
						 .size = sizeof(range),
						 .start = range.start,
						 .length = range.len});
}

static int userfault_unregister(lua_State *L)
{
	return request_on_range(L, UFFDIO_UNREGISTER);
}

static int userfault_wake(lua_State *L)
{
	return request_on_range(L, UFFDIO_WAKE);
}

static int userfault_writeprotect(lua_State *L)
{
	static const struct bit_name modes[] = {{"dontwake", UFFDIO_WRITEPROTECT_MODE_DONTWAKE},
						{NULL, 0}};
	struct script_userfault *userfault = argument_userfault(L, 1);
	struct uffdio_writeprotect argument = {.mode = 0};

	argument_count(L, 1, 3, 4);
	argument.range = argument_range(L);
	argument.mode = argument_mode(L, 5, modes);
	if (argument_boolean(L, 4, "the third argument"))
		argument.mode |= UFFDIO_WRITEPROTECT_MODE_WP;
	return make_request(L, &(struct request){.userfault = userfault,
						 .number = UFFDIO_WRITEPROTECT,
						 .argument = &argument,
						 .size = sizeof(argument),
						 .start = argument.range.start,
						 .length = argument.range.len});
}

static int userfault_zeropage(lua_State *L)
{
	static const struct bit_name modes[] = {{"dontwake", UFFDIO_ZEROPAGE_MODE_DONTWAKE},
						{NULL, 0}};
	struct script_userfault *userfault = argument_userfault(L, 1);
	struct uffdio_zeropage argument = {.zeropage = 0};

	argument_count(L, 1, 2, 3);
	argument.range = argument_range(L);
	argument.mode = argument_mode(L, 4, modes);
	return make_request(L, &(struct request){.userfault = userfault,
						 .number = UFFDIO_ZEROPAGE,
						 .argument = &argument,
						 .size = sizeof(argument),
						 .done = &argument.zeropage,
						 .start = argument.range.start,
						 .length = argument.range.len});
}

static int userfault_continue(lua_State *L)
{
	static const struct bit_name modes[] = {{"dontwake", UFFDIO_CONTINUE_MODE_DONTWAKE},
						{"wp", UFFDIO_CONTINUE_MODE_WP},
						{NULL, 0}};
	struct script_userfault *userfault = argument_userfault(L, 1);
	struct uffdio_continue argument = {.mapped = 0};

	argument_count(L, 1, 2, 3);
	argument.range = argument_range(L);
	argument.mode = argument_mode(L, 4, modes);
	return make_request(L, &(struct request){.userfault = userfault,
						 .number = UFFDIO_CONTINUE,
						 .argument = &argument,
						 .size = sizeof(argument),
						 .done = &argument.mapped,
						 .start = argument.range.start,
						 .length = argument.range.len});
}

static int userfault_poison(lua_State *L)
{
	static const struct bit_name modes[] = {{"dontwake", UFFDIO_POISON_MODE_DONTWAKE},
						{NULL, 0}};
	struct script_userfault *userfault = argument_userfault(L, 1);
	struct uffdio_poison argument = {.updated = 0};

	argument_count(L, 1, 2, 3);
	argument.range = argument_range(L);
	argument.mode = argument_mode(L, 4, modes);
	return make_request(L, &(struct request){.userfault = userfault,
						 .number = UFFDIO_POISON,
						 .argument = &argument,
						 .size = sizeof(argument),
						 .done = &argument.updated,
						 .start = argument.range.start,
						 .length = argument.range.len});
}

static int userfault_move(lua_State *L)
{
	static const struct bit_name modes[] = {
		{"dontwake", UFFDIO_MOVE_MODE_DONTWAKE},
		{"allow_src_holes", UFFDIO_MOVE_MODE_ALLOW_SRC_HOLES},
		{NULL, 0},
	};
	struct script_userfault *userfault = argument_userfault(L, 1);
	struct uffdio_move argument = {.move = 0};
	int results;

	argument_count(L, 1, 3, 4);
	argument.dst = argument_address(L, 2, "destination");
	argument.src = argument_address(L, 3, "source");
	argument.len = argument_size(L, 4, "length");
	argument.mode = argument_mode(L, 5, modes);
	results = make_request(L, &(struct request){.userfault = userfault,
						    .number = UFFDIO_MOVE,
						    .argument = &argument,
						    .size = sizeof(argument),
						    .done = &argument.move,
						    .start = argument.dst,
						    .length = argument.len});
	script_verify(L, userfault->process, argument.src, argument.len);
	return results;
}

static const struct bit_name copy_modes[] = {
	{"dontwake", UFFDIO_COPY_MODE_DONTWAKE}, {"wp", UFFDIO_COPY_MODE_WP}, {NULL, 0}};

/* u:copy(dst, bytes, options) */
static int copy_bytes(lua_State *L, struct script_userfault *userfault)
{
	struct uffdio_copy argument = {.copy = 0};
	size_t length;

	argument_count(L, 1, 2, 3);
	argument.dst = argument_address(L, 2, "destination");
	argument.src = (uint64_t)argument_string(L, 3, "bytes", &length);
	argument.len = length;
	argument.mode = argument_mode(L, 4, copy_modes);
	return make_request(L, &(struct request){.userfault = userfault,
						 .number = UFFDIO_COPY,
						 .argument = &argument,
						 .size = sizeof(argument),
						 .done = &argument.copy,
						 .start = argument.dst,
						 .length = argument.len});
}

static struct script_thread *copier(lua_State *L, struct script_userfault *userfault)
{
	if (userfault->process->ended)
		script_error(L, "%s has ended", userfault->process->name);
	if (!userfault->copier)
		userfault->copier = script_hidden_thread(L, userfault->process, userfault->name);
	if (!userfault->copier)
		target_fail("no thread for a copy");
	return userfault->copier;
}

/*
 * u:copy(dst, source, n, options): a thread of the process makes it, because that can sleep in a
 * fault on the source.
 */
static int copy_memory(lua_State *L, struct script_userfault *userfault)
{
	struct call call = {.kind = CALL_COPY, .userfault = userfault->userfault};

	argument_count(L, 1, 3, 4);
	call.copy.dst = argument_address(L, 2, "destination");
	call.copy.src = argument_address(L, 3, "source");
	call.copy.len = argument_size(L, 4, "length");
	call.copy.mode = argument_mode(L, 5, copy_modes);
	call.address = call.copy.dst;
	call.length = call.copy.len;
	return script_call(L, copier(L, userfault), &call);
}

static int userfault_copy(lua_State *L)
{
	struct script_userfault *userfault = argument_userfault(L, 1);

	if (lua_type(L, 3) == LUA_TSTRING)
		return copy_bytes(L, userfault);
	return copy_memory(L, userfault);
}

/* Of a copy that sleeps. */
static int userfault_result(lua_State *L)
{
	struct script_userfault *userfault = argument_userfault(L, 1);

	argument_count(L, 1, 0, 0);
	if (!userfault->copier)
		script_error(L, "%s has no copy to wait for", userfault->name);
	return script_result(L, copier(L, userfault));
}

const struct binding resolve_bindings[] = {
	{"register", userfault_register},
	{"unregister", userfault_unregister},
	{"wake", userfault_wake},
	{"writeprotect", userfault_writeprotect},
	{"copy", userfault_copy},
	{"zeropage", userfault_zeropage},
	{"continue", userfault_continue},
	{"poison", userfault_poison},
	{"move", userfault_move},
	{"result", userfault_result},
	{NULL, NULL},
};
