/* SPDX-License-Identifier: MIT */
/*
 * What the target has: quire.has(), quire.needs().
 */
#include "script.h"

#include "arguments.h"

/* As setup has arranged it so far; the target need not be open. */
static bool has(lua_State *L, const struct target_ops *ops, int index)
{
	const char *name = argument_string(L, index, "the name", NULL);
	struct profile profile = ops->profile(&script_of(L)->setup);
	bool known, there = profile_has(&profile, name, &known);

	if (!known)
		script_error(L, "there is nothing that is called '%s'", name);
	return there;
}

/* In a comparison: whether both have it, so that a script does the same on both. */
int script_has(lua_State *L)
{
	const struct script *script = script_of(L);
	const struct target_ops *other = script->options->other_ops;
	bool there;

	argument_count(L, 0, 1, 1);
	there = has(L, script->ops, 1) && (!other || has(L, other, 1));
	lua_pushboolean(L, there);
	return record_end(L, record_begin(L, ENTRY_LOCAL, "quire", 2, NULL), 1, NULL);
}

static _Noreturn void lacks(lua_State *L, const char *name)
{
	struct script *script = script_of(L);
	struct profile profile = script->ops->profile(&script->setup);
	const char *why = profile_explains(&profile, name);

	if (why)
		script_finish(script, STATUS_SKIPPED, why);
	script_lacks_what(L, name);
}

void script_require(lua_State *L, const char *name)
{
	struct script *script = script_of(L);
	struct profile profile = script->ops->profile(&script->setup);
	bool known;

	if (!profile_has(&profile, name, &known))
		lacks(L, name);
}

int script_needs(lua_State *L)
{
	struct script *script = script_of(L);

	argument_count(L, 0, 1, 250);
	for (int i = 1; i <= lua_gettop(L); i++)
		if (!has(L, script->ops, i))
			lacks(L, lua_tostring(L, i));
	return 0;
}
