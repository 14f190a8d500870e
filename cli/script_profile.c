/* SPDX-License-Identifier: MIT */
/*
 * What the target has: quire.has(), quire.needs(); and which skips that explains.
 */
#include "script.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

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

/* Whether the target lacks what is called so; "library" stands for the library's own view and options. */
static bool lacks_name(const struct script *script, const char *name)
{
	const struct target_ops *ops[] = {script->ops, script->options->other_ops};
	bool known;

	if (strcmp(name, "library") == 0)
		return !script->ops->entry;
	for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
		struct profile profile;

		if (!ops[i])
			continue;
		profile = ops[i]->profile(&script->setup);
		if (!profile_has(&profile, name, &known) && known)
			return true;
	}
	return false;
}

#define BUG "a bug of Linux "

/* Is the target a kernel of the series ("6.18") that the text of that length names? */
static bool is_series(const struct script *script, const char *series, size_t length)
{
	struct utsname kernel;

	uname(&kernel);
	return script->ops == &target_linux && strncmp(kernel.release, series, length) == 0 &&
	       !isdigit((unsigned char)kernel.release[length]);
}

bool script_explains(const struct script *script, const char *why)
{
	const size_t bug = strlen(BUG);
	size_t length = strcspn(why, ":");
	char name[32];

	if (why[length] != ':')
		return false;
	if (strncmp(why, BUG, bug) == 0)
		return is_series(script, why + bug, length - bug);
	if (length >= sizeof(name))
		return false;
	snprintf(name, sizeof(name), "%.*s", (int)length, why);
	return lacks_name(script, name);
}

/* Whoever may not change the machine's settings is not root; the rest of a setup any machine can have. */
bool script_setup_explains(const struct script *script)
{
	const struct target_setup bare = {0};
	const char *why;
	struct target *target = script->ops->open(&bare, &why);

	if (!target)
		return true;
	script->ops->close(target);
	return lacks_name(script, "root");
}

/* quire.kernel_bug("6.18", why): skips the script on Linux of this series, where it would hang. */
int script_kernel_bug(lua_State *L)
{
	struct script *script = script_of(L);
	const char *series, *why;
	size_t length;

	argument_count(L, 0, 2, 2);
	series = argument_string(L, 1, "the series", &length);
	why = argument_string(L, 2, "the bug", NULL);
	if (is_series(script, series, length))
		script_finish(script, STATUS_SKIPPED,
			      transcript_printf(script->transcript, BUG "%s: %s", series, why));
	return 0;
}
