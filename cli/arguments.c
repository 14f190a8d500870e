/* SPDX-License-Identifier: MIT */
/*
 * Reading what a script passes to a function.
 */
#include "arguments.h"

#include <ctype.h>
#include <errno.h>
#include <lauxlib.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "script.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static _Noreturn void wrong_type(lua_State *L, int index, const char *what, const char *expected)
{
	script_error(L, "%s must be %s, not %s", what, expected, luaL_typename(L, index));
}

void argument_count(lua_State *L, int self, int least, int most)
{
	int given = lua_gettop(L) - self;

	if (given >= least && given <= most)
		return;
	if (least == most)
		script_error(L, "takes %d argument%s, not %d", least, least == 1 ? "" : "s", given);
	if (most == INT_MAX)
		script_error(L, "takes at least %d arguments, not %d", least, given);
	script_error(L, "takes %d to %d arguments, not %d", least, most, given);
}

uint64_t argument_address(lua_State *L, int index, const char *what)
{
	int integral;
	lua_Integer integer;

	if (lua_type(L, index) != LUA_TNUMBER)
		wrong_type(L, index, what, "an integer");
	integer = lua_tointegerx(L, index, &integral);
	if (!integral)
		script_error(L, "%s must be an integer, not %f", what, lua_tonumber(L, index));
	return (uint64_t)integer;
}

/* Whether the text is a number and perhaps a unit, and fits. */
static bool parse_size(const char *text, uint64_t *size)
{
	static const char units[] = "KMGT";
	const char *unit;
	char *end;
	unsigned shift = 0;

	if (!isdigit((unsigned char)*text))
		return false;
	errno = 0;
	*size = strtoull(text, &end, strncmp(text, "0x", 2) == 0 ? 16 : 10);
	if (errno)
		return false;
	if (*end) {
		unit = strchr(units, toupper((unsigned char)*end));
		if (!unit || end[1])
			return false;
		shift = 10 * (unsigned)(unit - units + 1);
	}
	if (*size > UINT64_MAX >> shift)
		return false;
	*size <<= shift;
	return true;
}

uint64_t argument_size(lua_State *L, int index, const char *what)
{
	uint64_t size;

	if (lua_type(L, index) == LUA_TNUMBER)
		return argument_address(L, index, what);
	if (lua_type(L, index) != LUA_TSTRING)
		wrong_type(L, index, what, "a size");
	if (!parse_size(lua_tostring(L, index), &size))
		script_error(L, "%s is not a size: '%s' (bytes, or \"4K\", \"2M\", \"1G\", \"1T\")",
			     what, lua_tostring(L, index));
	return size;
}

bool argument_boolean(lua_State *L, int index, const char *what)
{
	if (!lua_isboolean(L, index))
		wrong_type(L, index, what, "a boolean");
	return lua_toboolean(L, index);
}

const char *argument_string(lua_State *L, int index, const char *what, size_t *length)
{
	if (lua_type(L, index) != LUA_TSTRING)
		wrong_type(L, index, what, "a string");
	return lua_tolstring(L, index, length);
}

void argument_table(lua_State *L, int index, const char *what)
{
	if (!lua_istable(L, index))
		wrong_type(L, index, what, "a table");
}

int argument_int(lua_State *L, int index, const char *what)
{
	int64_t integer = (int64_t)argument_address(L, index, what);

	if (integer < INT_MIN || integer > INT_MAX)
		script_error(L, "%s does not fit an int", what);
	return (int)integer;
}

int argument_protection(lua_State *L, int index, const char *what)
{
	const char *text;
	int protection = PROT_NONE;

	if (lua_type(L, index) == LUA_TNUMBER)
		return argument_int(L, index, what);
	text = argument_string(L, index, what, NULL);
	if (strcmp(text, "none") == 0)
		return PROT_NONE;
	if (!*text || text[strspn(text, "rwx-")])
		script_error(L, "%s is not a protection: '%s' (letters of \"rwx-\", or \"none\")",
			     what, text);
	if (strchr(text, 'r'))
		protection |= PROT_READ;
	if (strchr(text, 'w'))
		protection |= PROT_WRITE;
	if (strchr(text, 'x'))
		protection |= PROT_EXEC;
	return protection;
}

/* The numbers are Linux's, spelled out because C libraries know only some of them. */
static const struct {
	const char *name;
	int number;
} advices[] = {
	{"normal", 0},		{"random", 1},		 {"sequential", 2},
	{"willneed", 3},	{"dontneed", 4},	 {"free", 8},
	{"remove", 9},		{"dontfork", 10},	 {"dofork", 11},
	{"mergeable", 12},	{"unmergeable", 13},	 {"hugepage", 14},
	{"collapse", 25},	{"nohugepage", 15},	 {"dontdump", 16},
	{"dodump", 17},		{"wipeonfork", 18},	 {"keeponfork", 19},
	{"cold", 20},		{"pageout", 21},	 {"populate_read", 22},
	{"populate_write", 23}, {"dontneed_locked", 24}, {"collapse", 25},
	{"hwpoison", 100},	{"soft_offline", 101},	 {"guard_install", 102},
	{"guard_remove", 103},
};

int argument_advice(lua_State *L, int index, const char *what)
{
	const char *name;

	if (lua_type(L, index) == LUA_TNUMBER)
		return argument_int(L, index, what);
	name = argument_string(L, index, what, NULL);
	if (strcmp(name, "collapse") == 0)
		script_require(L, "thp");
	for (size_t i = 0; i < COUNT(advices); i++)
		if (strcmp(advices[i].name, name) == 0)
			return advices[i].number;
	script_error(L, "%s is unknown: '%s'", what, name);
}

static uint64_t bit_called(lua_State *L, const char *what, const char *name,
			   const struct bit_name names[])
{
	for (; names->name; names++)
		if (strcmp(names->name, name) == 0)
			return names->bit;
	script_error(L, "%s: unknown name '%s'", what, name);
}

uint64_t argument_bits(lua_State *L, int index, const char *what, const struct bit_name names[])
{
	uint64_t bits = 0;

	if (lua_type(L, index) == LUA_TNUMBER)
		return argument_address(L, index, what);
	argument_table(L, index, what);
	lua_pushnil(L);
	while (lua_next(L, index)) {
		if (lua_type(L, -2) != LUA_TNUMBER)
			script_error(L, "%s is an array of names", what);
		bits |= bit_called(L, what, argument_string(L, -1, what, NULL), names);
		lua_pop(L, 1);
	}
	return bits;
}

void push_bits(lua_State *L, uint64_t bits, const struct bit_name names[])
{
	lua_newtable(L);
	for (; names->name; names++) {
		if (!(bits & names->bit))
			continue;
		lua_pushboolean(L, true);
		lua_setfield(L, -2, names->name);
		bits &= ~names->bit;
	}
	for (int bit = 0; bit < 64; bit++) {
		if (!(bits >> bit & 1))
			continue;
		lua_pushfstring(L, "bit%d", bit);
		lua_pushboolean(L, true);
		lua_rawset(L, -3);
	}
}

void push_bit_names(lua_State *L, uint64_t bits, const struct bit_name names[])
{
	lua_newtable(L);
	for (; names->name; names++) {
		if (!(bits & names->bit))
			continue;
		lua_pushstring(L, names->name);
		lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
	}
}

void fields_known(lua_State *L, int table, const char *const names[])
{
	lua_pushnil(L);
	while (lua_next(L, table)) {
		const char *const *name = names;
		const char *field;

		lua_pop(L, 1);
		if (lua_type(L, -1) != LUA_TSTRING)
			script_error(L, "unknown field [%s]", luaL_tolstring(L, -1, NULL));
		field = lua_tostring(L, -1);
		while (*name && strcmp(*name, field) != 0)
			name++;
		if (!*name)
			script_error(L, "unknown field '%s'", field);
	}
}

bool field_given(lua_State *L, int table, const char *name)
{
	if (lua_getfield(L, table, name) != LUA_TNIL)
		return true;
	lua_pop(L, 1);
	return false;
}

void field_needed(lua_State *L, int table, const char *name)
{
	if (!field_given(L, table, name))
		script_error(L, "the field '%s' is missing", name);
}

uint64_t field_address(lua_State *L, int table, const char *name)
{
	uint64_t address = 0;

	if (field_given(L, table, name)) {
		address = argument_address(L, -1, name);
		lua_pop(L, 1);
	}
	return address;
}

uint64_t field_size(lua_State *L, int table, const char *name)
{
	uint64_t size = 0;

	if (field_given(L, table, name)) {
		size = argument_size(L, -1, name);
		lua_pop(L, 1);
	}
	return size;
}

bool field_boolean(lua_State *L, int table, const char *name)
{
	bool boolean = false;

	if (field_given(L, table, name)) {
		boolean = argument_boolean(L, -1, name);
		lua_pop(L, 1);
	}
	return boolean;
}

uint64_t field_bits(lua_State *L, int table, const char *name, const struct bit_name names[])
{
	uint64_t bits = 0;

	if (field_given(L, table, name)) {
		bits = argument_bits(L, lua_gettop(L), name, names);
		lua_pop(L, 1);
	}
	return bits;
}

#define MODES_MAX 4

uint64_t argument_mode(lua_State *L, int index, const struct bit_name names[])
{
	const char *known[MODES_MAX + 2] = {"mode"};
	uint64_t mode = 0;

	for (size_t i = 0; names[i].name && i < MODES_MAX; i++)
		known[i + 1] = names[i].name;
	if (lua_isnoneornil(L, index))
		return 0;
	argument_table(L, index, "the last argument");
	fields_known(L, index, known);
	for (; names->name; names++)
		if (field_boolean(L, index, names->name))
			mode |= names->bit;
	if (field_given(L, index, "mode")) {
		mode = argument_address(L, -1, "mode");
		lua_pop(L, 1);
	}
	return mode;
}
