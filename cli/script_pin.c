/* SPDX-License-Identifier: MIT */
/*
 * Pages that have to stay where they are, and pages that have to move: long-term pins, migration.
 */
#include "script.h"

#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>

#include "arguments.h"

#define PIN_TYPE "pin"

struct script_pin *to_pin(lua_State *L, int index)
{
	struct script_pin **pin = luaL_testudata(L, index, PIN_TYPE);

	return pin ? *pin : NULL;
}

void script_push_pin(lua_State *L, struct pin *target)
{
	struct script_pin *pin = calloc(1, sizeof(*pin));

	if (!pin)
		target_fail("out of memory");
	pin->pin = target;
	snprintf(pin->name, sizeof(pin->name), "pin%u", ++script_of(L)->pins);
	script_push_object(L, pin, PIN_TYPE);
}

/* p:pin(address, length) */
int script_pin(lua_State *L)
{
	struct script_thread *thread = argument_thread(L, 1);
	struct call call = {.kind = CALL_PIN};

	argument_count(L, 1, 2, 2);
	call.address = argument_address(L, 2, "address");
	call.length = argument_size(L, 3, "length");
	if (!script_of(L)->ops->unpin)
		script_lacks(L);
	script_require(L, "pin");
	return script_call(L, thread, &call);
}

static int pin_release(lua_State *L)
{
	struct script_pin *pin = to_pin(L, 1);
	struct entry *entry;

	if (!pin)
		script_error(L, "is a function of a pin, not of %s (pin:%s(...))",
			     luaL_typename(L, 1), script_function(L));
	argument_count(L, 1, 0, 0);
	if (!pin->pin)
		script_error(L, "%s is released", pin->name);
	entry = record_begin(L, ENTRY_CALL, pin->name, 2, NULL);
	script_of(L)->ops->unpin(pin->pin);
	pin->pin = NULL;
	lua_pushboolean(L, true);
	return record_end(L, entry, 1, NULL);
}

/* p:migrate(address, length): how many pages moved */
int script_migrate(lua_State *L)
{
	struct script_process *process = argument_process(L, 1);
	struct script *script = script_of(L);
	struct entry *entry;
	uint64_t address, length, pages = 0;
	int error, results = 1;

	argument_count(L, 1, 2, 2);
	address = argument_address(L, 2, "address");
	length = argument_size(L, 3, "length");
	if (!script->ops->migrate)
		script_lacks(L);
	entry = record_begin(L, ENTRY_CALL, process->name, 2, process);
	do {
		inject_arm(script);
		error = script->ops->migrate(process->process, address, length, &pages);
	} while (inject_again(script, error));
	if (error)
		results = script_push_error(L, error);
	else
		lua_pushinteger(L, (lua_Integer)pages);
	record_end(L, entry, results, process);
	script_verify(L, process, address, length);
	return results;
}

static const struct binding pin_bindings[] = {
	{"release", pin_release},
	{NULL, NULL},
};

void script_open_pins(lua_State *L)
{
	script_open_type(L, PIN_TYPE, (const struct binding *const[]){pin_bindings, NULL});
}
