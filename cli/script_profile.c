/* SPDX-License-Identifier: MIT */
/*
 * What the target has: quire.has(), quire.needs().
 */
#include "script.h"

#include "arguments.h"

/* As setup has arranged it so far; the target need not be open. */
static bool has(lua_State *L, int index)
{
	struct script *script = script_of(L);
	const char *name = argument_string(L, index, "the name", NULL);
	struct profile profile = script->ops->profile(&script->setup);
	bool known, there = profile_has(&profile, name, &known);

	if (!known)
		script_error(L, "there is nothing that is called '%s'", name);
	return there;
}

/* The answers may differ from target to target: that is what they are for. */
int script_has(lua_State *L)
{
	argument_count(L, 0, 1, 1);
	lua_pushboolean(L, has(L, 1));
	return record_end(L, record_begin(L, ENTRY_LOCAL, "quire", 2, NULL), 1, NULL);
}

int script_needs(lua_State *L)
{
	argument_count(L, 0, 1, 250);
	for (int i = 1; i <= lua_gettop(L); i++)
		if (!has(L, i))
			script_lacks_what(L, lua_tostring(L, i));
	return 0;
}
