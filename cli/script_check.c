/* SPDX-License-Identifier: MIT */
/*
 * check, check.eq, check.fails, check.pagemap, check.page.
 *
 * A check that does not hold is counted and told, and the script goes on.  Each returns whether it
 * held.
 */
#define _GNU_SOURCE 1
#include "script.h"

#include <lauxlib.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arguments.h"

/* Tables nested deeper than this are not compared: they may hold themselves. */
#define DEPTH_MAX 32
/* Errno numbers are below this. */
#define ERRNO_MAX 4096

static void record_failure(struct script *script, int line, const char *text)
{
	const struct script_options *options = script->options;
	struct transcript *transcript = script->transcript;
	struct entry *entry = transcript_entry(transcript, ENTRY_CHECK, line);
	char at[16] = "";

	if (line)
		snprintf(at, sizeof(at), ":%d", line);
	entry->text = transcript_printf(transcript, "%s%s: [%s] %s", options->file, at,
					options->label, text);
	transcript_append(transcript, entry);
	transcript->failed++;
	if (options->print_failures) {
		puts(entry->text);
		fflush(stdout);
	}
}

void check_failed(struct script *script, int line, const char *format, ...)
{
	va_list arguments;
	char *text;

	va_start(arguments, format);
	if (vasprintf(&text, format, arguments) < 0)
		target_fail("out of memory");
	va_end(arguments);
	record_failure(script, line, text);
	free(text);
}

/* Collects the text of a failure: message, got, want. */
struct failure {
	FILE *out;
	char *text;
	size_t length;
};

static void failure_begin(lua_State *L, struct failure *failure, int message)
{
	failure->out = open_memstream(&failure->text, &failure->length);
	if (!failure->out)
		target_fail("out of memory");
	if (message && !lua_isnoneornil(L, message))
		fprintf(failure->out, "%s: ", lua_tostring(L, message));
}

static void failure_value(lua_State *L, struct failure *failure, int index)
{
	struct transcript *transcript = script_of(L)->transcript;
	size_t mark = transcript->used;

	value_print(failure->out, record_value(L, index, NULL), VALUE_EXACT);
	transcript_rewind(transcript, mark);
}

static void failure_end(lua_State *L, struct failure *failure)
{
	fclose(failure->out);
	record_failure(script_of(L), script_line(L), failure->text);
	free(failure->text);
}

/* The message, what was got and what was wanted, by their places on the stack. */
static void fail_got_want(lua_State *L, int message, int got, int want)
{
	struct failure failure;

	failure_begin(L, &failure, message);
	fputs("got ", failure.out);
	failure_value(L, &failure, got);
	fputs(", want ", failure.out);
	failure_value(L, &failure, want);
	failure_end(L, &failure);
}

static int held(lua_State *L, bool result)
{
	script_of(L)->transcript->checks++;
	lua_pushboolean(L, result);
	return 1;
}

/* The message at `index`, if there is one, is a string. */
static void argument_message(lua_State *L, int index)
{
	if (!lua_isnoneornil(L, index))
		argument_string(L, index, "the message", NULL);
}

/*
 * check(condition, message): the first value on the stack is the table `check`.  The message may be
 * the error of a call whose results are the condition.
 */
static int check_condition(lua_State *L)
{
	struct failure failure;
	bool holds;

	argument_count(L, 1, 1, INT_MAX);
	argument_message(L, 3);
	holds = lua_toboolean(L, 2);
	if (!holds) {
		failure_begin(L, &failure, 3);
		fputs("got ", failure.out);
		failure_value(L, &failure, 2);
		fputs(", want a true value", failure.out);
		failure_end(L, &failure);
	}
	return held(L, holds);
}

static bool deep_equal(lua_State *L, int a, int b, int depth);

/* Every field of `a` is in `b`, and equal. */
static bool fields_equal(lua_State *L, int a, int b, int depth)
{
	lua_pushnil(L);
	while (lua_next(L, a)) {
		bool equal;

		lua_pushvalue(L, -2);
		lua_rawget(L, b);
		equal = deep_equal(L, lua_gettop(L) - 1, lua_gettop(L), depth);
		lua_pop(L, 2);
		if (!equal) {
			lua_pop(L, 1);
			return false;
		}
	}
	return true;
}

static bool deep_equal(lua_State *L, int a, int b, int depth)
{
	if (lua_rawequal(L, a, b))
		return true;
	if (!lua_istable(L, a) || !lua_istable(L, b))
		return false;
	if (depth == 0)
		script_error(L, "the tables are nested too deep");
	luaL_checkstack(L, 8, NULL);
	return fields_equal(L, a, b, depth - 1) && fields_equal(L, b, a, depth - 1);
}

static int check_eq(lua_State *L)
{
	bool equal;

	argument_count(L, 0, 2, INT_MAX);
	argument_message(L, 3);
	equal = deep_equal(L, 1, 2, DEPTH_MAX);
	if (!equal)
		fail_got_want(L, 3, 1, 2);
	return held(L, equal);
}

static bool error_exists(const char *name)
{
	static const char *const outcomes[] = {"SEGV", "BUS", "blocked"};

	for (size_t i = 0; i < sizeof(outcomes) / sizeof(outcomes[0]); i++)
		if (strcmp(outcomes[i], name) == 0)
			return true;
	for (int error = 1; error < ERRNO_MAX; error++)
		if (strerrorname_np(error) && strcmp(strerrorname_np(error), name) == 0)
			return true;
	return false;
}

/* check.fails(errno, result, error, ...): the results of a call that has to fail. */
static int check_fails(lua_State *L)
{
	struct failure failure;
	const char *want;
	bool fails;

	if (lua_gettop(L) < 2)
		script_error(L, "needs an error and the results of a call");
	want = argument_string(L, 1, "the error", NULL);
	if (!error_exists(want))
		script_error(L, "there is no error '%s'", want);
	fails = !lua_toboolean(L, 2) && lua_rawequal(L, 1, 3);
	if (!fails) {
		failure_begin(L, &failure, 0);
		fputs("got ", failure.out);
		for (int i = 2; i <= lua_gettop(L); i++) {
			if (i > 2)
				fputs(", ", failure.out);
			failure_value(L, &failure, i);
		}
		fprintf(failure.out, ", want nil, \"%s\"", want);
		failure_end(L, &failure);
	}
	return held(L, fails);
}

/* Calls a method of the process that is the first argument, and leaves two results. */
static void call_method(lua_State *L, const char *name, int arguments)
{
	lua_getfield(L, 1, name);
	lua_insert(L, -arguments - 1);
	lua_pushvalue(L, 1);
	lua_insert(L, -arguments - 1);
	lua_call(L, arguments + 1, 2);
}

/* The observation failed: its two results are on the top. */
static int fail_unseen(lua_State *L, int message)
{
	struct failure failure;

	failure_begin(L, &failure, message);
	fputs("got ", failure.out);
	failure_value(L, &failure, -2);
	fputs(", ", failure.out);
	failure_value(L, &failure, -1);
	failure_end(L, &failure);
	return held(L, false);
}

static void check_page_fields(lua_State *L, int table)
{
	argument_table(L, table, "the third argument");
	lua_pushnil(L);
	while (lua_next(L, table)) {
		if (lua_type(L, -2) != LUA_TSTRING || !pagemap_has_field(lua_tostring(L, -2)))
			script_error(L, "pagemap has no field '%s'", luaL_tolstring(L, -2, NULL));
		argument_boolean(L, -1, lua_tostring(L, -2));
		lua_pop(L, 1);
	}
}

/* check.pagemap(p, address, fields): the named fields only. */
static int check_pagemap(lua_State *L)
{
	int page;
	bool equal;

	argument_process(L, 1);
	argument_count(L, 0, 3, 4);
	argument_message(L, 4);
	check_page_fields(L, 3);
	lua_settop(L, 4);
	lua_pushvalue(L, 2);
	call_method(L, "pagemap", 1);
	page = lua_gettop(L) - 1;
	if (lua_isnil(L, page))
		return fail_unseen(L, 4);
	equal = fields_equal(L, 3, page, DEPTH_MAX);
	if (!equal)
		fail_got_want(L, 4, page, 3);
	return held(L, equal);
}

/* The first byte that differs. */
static size_t first_different(const char *a, const char *b, size_t length)
{
	size_t i = 0;

	while (i < length && a[i] == b[i])
		i++;
	return i;
}

static void fail_memory(lua_State *L, int message, int got, int want, size_t at)
{
	struct failure failure;

	failure_begin(L, &failure, message);
	fputs("got ", failure.out);
	failure_value(L, &failure, got);
	fputs(", want ", failure.out);
	failure_value(L, &failure, want);
	fprintf(failure.out, " (byte %zu: got 0x%02x, want 0x%02x)", at,
		(unsigned char)lua_tostring(L, got)[at], (unsigned char)lua_tostring(L, want)[at]);
	failure_end(L, &failure);
}

/* check.page(p, address, bytes): the memory from address on. */
static int check_page(lua_State *L)
{
	const char *want;
	size_t length, different;
	int got;

	argument_process(L, 1);
	argument_count(L, 0, 3, 4);
	want = argument_string(L, 3, "bytes", &length);
	argument_message(L, 4);
	lua_settop(L, 4);
	lua_pushvalue(L, 2);
	lua_pushinteger(L, (lua_Integer)length);
	call_method(L, "read", 2);
	got = lua_gettop(L) - 1;
	if (lua_isnil(L, got))
		return fail_unseen(L, 4);
	different = first_different(lua_tostring(L, got), want, length);
	if (different < length)
		fail_memory(L, 4, got, 3, different);
	return held(L, different == length);
}

static const struct binding check_bindings[] = {
	{"check.eq", check_eq},
	{"check.fails", check_fails},
	{"check.pagemap", check_pagemap},
	{"check.page", check_page},
	{NULL, NULL},
};

void script_open_checks(lua_State *L)
{
	lua_newtable(L);
	script_bind(L, check_bindings);
	lua_newtable(L);
	lua_pushstring(L, "check");
	lua_pushcclosure(L, check_condition, 1);
	lua_setfield(L, -2, "__call");
	lua_setmetatable(L, -2);
	script_seal(L, "check");
	lua_setglobal(L, "check");
}
