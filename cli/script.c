/* SPDX-License-Identifier: MIT */
/*
 * The life of a script in its worker: the Lua state, the quire table, and the end.
 */
#define _GNU_SOURCE 1
#include "script.h"

#include <lauxlib.h>
#include <lualib.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "arguments.h"
#include "window.h"
#include "worker.h"

/* How many Lua instructions pass until a script notices that it is to stop. */
#define STOP_CHECK_INSTRUCTIONS 1000

struct script *script_of(lua_State *L)
{
	return *(struct script **)lua_getextraspace(L);
}

/* The innermost Lua code; false where there is none. */
static bool calling_code(lua_State *L, lua_Debug *code)
{
	for (int level = 0; lua_getstack(L, level, code); level++) {
		lua_getinfo(L, "Sl", code);
		if (code->currentline > 0)
			return true;
	}
	return false;
}

int script_line(lua_State *L)
{
	lua_Debug code;

	return calling_code(L, &code) ? code.currentline : 0;
}

const char *script_function(lua_State *L)
{
	return lua_tostring(L, lua_upvalueindex(1));
}

static _Noreturn void raise_at(lua_State *L, const char *prefix, const char *format,
			       va_list arguments)
{
	lua_Debug code;

	if (calling_code(L, &code))
		lua_pushfstring(L, "%s:%d: %s", code.short_src, code.currentline, prefix);
	else
		lua_pushstring(L, prefix);
	lua_pushvfstring(L, format, arguments);
	lua_concat(L, 2);
	lua_error(L);
	abort(); /* lua_error does not return */
}

void script_error(lua_State *L, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	raise_at(L, lua_pushfstring(L, "%s: ", script_function(L)), format, arguments);
}

/* Without the name of a function. */
static _Noreturn void script_error_plain(lua_State *L, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	raise_at(L, "", format, arguments);
}

int script_push_error(lua_State *L, int error)
{
	const char *name = strerrorname_np(error);

	lua_pushnil(L);
	if (name)
		lua_pushstring(L, name);
	else
		lua_pushfstring(L, "%d", error);
	return 2;
}

void script_not_built_here(lua_State *L)
{
	script_error_plain(L, "not built yet: %s", script_function(L));
}

void script_bind(lua_State *L, const struct binding *bindings)
{
	for (; bindings->name; bindings++) {
		const char *dot = strrchr(bindings->name, '.');

		lua_pushstring(L, bindings->name);
		lua_pushcclosure(L, bindings->function, 1);
		lua_setfield(L, -2, dot ? dot + 1 : bindings->name);
	}
}

static int unknown_name(lua_State *L)
{
	script_error_plain(L, "%s has no '%s'", script_function(L), luaL_tolstring(L, 2, NULL));
}

void script_seal(lua_State *L, const char *what)
{
	if (!lua_getmetatable(L, -1))
		lua_newtable(L);
	lua_pushstring(L, what);
	lua_pushcclosure(L, unknown_name, 1);
	lua_setfield(L, -2, "__index");
	lua_setmetatable(L, -2);
}

void script_lacks_what(lua_State *L, const char *what)
{
	struct script *script = script_of(L);

	script_finish(script, STATUS_SKIPPED,
		      transcript_printf(script->transcript, "the %s target has no %s",
					script->ops->name, what));
}

void script_lacks(lua_State *L)
{
	script_lacks_what(L, lua_pushfstring(L, "%s()", script_function(L)));
}

struct target *script_target(lua_State *L)
{
	struct script *script = script_of(L);
	struct transcript *transcript = script->transcript;
	const char *why = "it can't be had";

	if (!script->target) {
		transcript->opening = seconds_now();
		script->target = script->ops->open(&script->setup, &why);
		transcript->opened += seconds_now() - transcript->opening;
		transcript->opening = 0;
	}
	if (!script->target) {
		transcript->unexplained = !script_setup_explains(script);
		script_finish(script, STATUS_SKIPPED, why);
	}
	return script->target;
}

static int quire_skip(lua_State *L)
{
	struct script *script = script_of(L);
	const char *why;

	argument_count(L, 0, 1, 1);
	why = argument_string(L, 1, "the reason", NULL);
	script->transcript->unexplained = !script_explains(script, why);
	script_finish(script, STATUS_SKIPPED, why);
}

static int quire_sleep(lua_State *L)
{
	struct timespec left;
	struct entry *entry;
	lua_Number seconds;

	argument_count(L, 0, 1, 1);
	if (lua_type(L, 1) != LUA_TNUMBER)
		script_error(L, "seconds must be a number, not %s", luaL_typename(L, 1));
	seconds = lua_tonumber(L, 1);
	if (!(seconds >= 0 && seconds < 1e6))
		script_error(L, "seconds is out of range");
	left.tv_sec = (time_t)seconds;
	left.tv_nsec = (long)((seconds - (double)left.tv_sec) * 1e9);
	entry = record_begin(L, ENTRY_CALL, "quire", 1, NULL);
	nanosleep(&left, NULL);
	return record_end(L, entry, 0, NULL);
}

static int quire_stats(lua_State *L)
{
	struct script *script = script_of(L);
	struct entry *entry;
	const char *const *names;
	const uint64_t *values;
	unsigned count = 0;

	argument_count(L, 0, 0, 0);
	if (!script->ops->stats && !script->ops->pool_count)
		script_lacks(L);
	script_target(L);
	entry = record_begin(L, ENTRY_LOCAL, "quire", 1, NULL);
	if (script->ops->stats)
		count = script->ops->stats(script->target, &names, &values);
	lua_createtable(L, 0, (int)count);
	for (unsigned i = 0; i < count; i++) {
		lua_pushinteger(L, (lua_Integer)values[i]);
		lua_setfield(L, -2, names[i]);
	}
	if (script->ops->leaf_counts)
		push_leaf_counts(L);
	if (script->ops->pool_count)
		push_pools(L);
	return record_end(L, entry, 1, NULL);
}

static int quire_swapoff(lua_State *L)
{
	struct script *script = script_of(L);
	struct entry *entry;
	int error, results = 1;

	argument_count(L, 0, 0, 0);
	if (!script->ops->swapoff)
		script_lacks(L);
	script_target(L);
	entry = record_begin(L, ENTRY_CALL, "quire", 1, NULL);
	do {
		inject_arm(script);
		error = script->ops->swapoff(script->target);
	} while (inject_again(script, error));
	if (error)
		results = script_push_error(L, error);
	else
		lua_pushboolean(L, true);
	return record_end(L, entry, results, NULL);
}

static int quire_verify(lua_State *L)
{
	struct script *script = script_of(L);
	struct target *target;
	char *violation = NULL;

	argument_count(L, 0, 0, 0);
	target = script_target(L);
	if (script->ops->verify)
		violation = script->ops->verify(target);
	if (violation) {
		lua_pushstring(L, violation);
		free(violation);
		script_error(L, "%s", lua_tostring(L, -1));
	}
	lua_pushboolean(L, true);
	return record_end(L, record_begin(L, ENTRY_LOCAL, "quire", 2, NULL), 1, NULL);
}

static void append_text(struct script *script, enum entry_kind kind, int line, const char *text)
{
	struct entry *entry = transcript_entry(script->transcript, kind, line);

	entry->text = transcript_printf(script->transcript, "%s", text);
	transcript_append(script->transcript, entry);
}

static int quire_say(lua_State *L)
{
	struct script *script = script_of(L);
	const char *text;

	argument_count(L, 0, 1, 1);
	text = argument_string(L, 1, "the text", NULL);
	append_text(script, ENTRY_SAY, script_line(L), text);
	trace_say(&script->trace, text);
	return 0;
}

/* --- coverage: the cells are the keys of a table in the registry --- */

#define CELLS "quire.cells"

static int quire_cells(lua_State *L)
{
	argument_count(L, 0, 1, 1);
	argument_table(L, 1, "the argument");
	luaL_getsubtable(L, LUA_REGISTRYINDEX, CELLS);
	for (lua_Integer i = 1; lua_rawgeti(L, 1, i) != LUA_TNIL; i++) {
		const char *name = argument_string(L, 3, "a cell", NULL);

		append_text(script_of(L), ENTRY_CELL, script_line(L), name);
		lua_pushboolean(L, true);
		lua_setfield(L, 2, name);
		lua_pop(L, 1);
	}
	return 0;
}

static int quire_reached(lua_State *L)
{
	const char *name;

	argument_count(L, 0, 1, 1);
	name = argument_string(L, 1, "the cell", NULL);
	luaL_getsubtable(L, LUA_REGISTRYINDEX, CELLS);
	if (lua_getfield(L, -1, name) == LUA_TNIL)
		script_error(L, "there is no cell '%s'", name);
	append_text(script_of(L), ENTRY_REACHED, script_line(L), name);
	return 0;
}

static const struct binding quire_bindings[] = {
	{"setup", script_setup},
	{"has", script_has},
	{"needs", script_needs},
	{"skip", quire_skip},
	{"kernel_bug", script_kernel_bug},
	{"sleep", quire_sleep},
	{"stats", quire_stats},
	{"verify", quire_verify},
	{"say", quire_say},
	{"cells", quire_cells},
	{"reached", quire_reached},
	{"process", script_new_process},
	{"shmem", script_shmem},
	{"hugetlb", script_hugetlb},
	{"hugetlb_pool", script_hugetlb_pool},
	{"device", script_device},
	{"userfaultfd_raw", script_userfaultfd_raw},
	{"swapoff", quire_swapoff},
	{NULL, NULL},
};

static void open_quire(lua_State *L)
{
	lua_newtable(L);
	script_bind(L, quire_bindings);
	lua_pushstring(L, script_of(L)->ops->name);
	lua_setfield(L, -2, "target");
	lua_pushinteger(L, (lua_Integer)TABLE_BYTES);
	lua_setfield(L, -2, "table_bytes");
	script_seal(L, "quire");
	lua_setglobal(L, "quire");
}

static int print_nothing(lua_State *L)
{
	(void)L;
	return 0;
}

/* The script's arguments: pushes them, and sets the global `arg`. */
static int push_arguments(lua_State *L)
{
	const struct script_options *options = script_of(L)->options;
	int count = 0;

	lua_newtable(L);
	lua_pushstring(L, options->file);
	lua_rawseti(L, -2, 0);
	for (; options->arguments[count]; count++) {
		lua_pushstring(L, options->arguments[count]);
		lua_rawseti(L, -2, count + 1);
	}
	lua_setglobal(L, "arg");
	luaL_checkstack(L, count, "too many arguments");
	for (int i = 0; i < count; i++)
		lua_pushstring(L, options->arguments[i]);
	return count;
}

/* Pushes the script, or what is wrong with it. */
static int load_text(lua_State *L, const struct script_text *text, const char *file)
{
	const char *name = lua_pushfstring(L, "@%s", file);
	int error = luaL_loadbufferx(L, text->bytes, text->length, name, "t");

	lua_remove(L, -2);
	return error;
}

static int load(lua_State *L, const struct script_options *options)
{
	if (options->text)
		return load_text(L, options->text, options->file);
	return luaL_loadfilex(L, options->file, "t");
}

/* Puts the modules where require() finds them before it looks for files. */
static void preload(lua_State *L, const struct script_options *options)
{
	luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
	for (const struct script_text *text = options->modules; text && text->name; text++) {
		const char *file;

		if (options->text && text->bytes == options->text->bytes)
			continue; /* the script itself */
		file = lua_pushfstring(L, "%s.lua", text->name);
		if (load_text(L, text, file) != LUA_OK)
			lua_error(L);
		lua_setfield(L, -3, text->name);
		lua_pop(L, 1);
	}
	lua_pop(L, 1);
}

/*
 * pairs() in the order of the keys.  Lua's own differs from run to run, and with it the calls that a
 * script makes.
 */
static const char ordered_pairs[] =
	"local next, type, sort, getmetatable, rawget = next, type, table.sort, getmetatable, "
	"rawget\n"
	"local function before(a, b)\n"
	"	local one, other = type(a), type(b)\n"
	"	if one == other and (one == 'number' or one == 'string') then return a < b end\n"
	"	return one < other\n"
	"end\n"
	"function pairs(...)\n"
	"	local t = ...\n"
	"	local meta, keys, i = getmetatable(t), {}, 0\n"
	"	if meta and meta.__pairs then return meta.__pairs(t) end\n"
	"	for key in next, t do keys[#keys + 1] = key end\n"
	"	sort(keys, before)\n"
	"	return function()\n"
	"		repeat i = i + 1 until keys[i] == nil or rawget(t, keys[i]) ~= nil\n"
	"		if keys[i] ~= nil then return keys[i], rawget(t, keys[i]) end\n"
	"	end, t, nil\n"
	"end\n";

/* Everything that may raise, under one lua_pcall. */
static int run(lua_State *L)
{
	struct script *script = script_of(L);

	luaL_openlibs(L);
	if (luaL_dostring(L, ordered_pairs))
		lua_error(L);
	open_quire(L);
	script_open_processes(L);
	script_open_userfaults(L);
	script_open_files(L);
	script_open_pins(L);
	script_open_notifiers(L);
	script_open_checks(L);
	if (!script->options->print) {
		lua_pushcfunction(L, print_nothing);
		lua_setglobal(L, "print");
	}
	preload(L, script->options);
	if (load(L, script->options) != LUA_OK)
		return lua_error(L);
	lua_call(L, push_arguments(L), 0);
	return 0;
}

static volatile sig_atomic_t stop_requested;

static void request_stop(int signal)
{
	(void)signal;
	stop_requested = 1;
}

static void stop_if_requested(lua_State *L, lua_Debug *unused)
{
	struct script *script = script_of(L);

	(void)unused;
	if (!stop_requested)
		return;
	script->transcript->line = script_line(L);
	script_finish(script, STATUS_ERROR, NULL);
}

/* Of the worker, for target_fail() and target_skip(), which targets may call wherever they are; NULL:
 * it has failed. */
static struct script *running;

void script_run(const struct script_options *options, struct transcript *transcript)
{
	struct script script = {
		.options = options,
		.ops = options->ops,
		.transcript = transcript,
		.trace = trace_new(options->trace, transcript, options->other),
		.verify = options->verify,
		.fail_in = options->fail,
		.setup = {.execute_only = profile_host()->has & HAS_EXECUTE_ONLY},
	};
	struct sigaction on_stop = {.sa_handler = request_stop, .sa_flags = SA_RESTART};
	lua_State *L = luaL_newstate();
	const char *reason = NULL;

	running = &script;
	if (!L)
		target_fail("out of memory");
	*(struct script **)lua_getextraspace(L) = &script;
	sigaction(SIGTERM, &on_stop, NULL);
	lua_sethook(L, stop_if_requested, LUA_MASKCOUNT, STOP_CHECK_INSTRUCTIONS);
	lua_pushcfunction(L, run);
	if (lua_pcall(L, 0, 0, 0) != LUA_OK) {
		reason = luaL_tolstring(L, -1, NULL);
		script_finish(&script, STATUS_ERROR, reason);
	}
	script_finish(&script, STATUS_PASSED, NULL);
}

static void verify_at_exit(struct script *script)
{
	char *violation;

	if (!script->verify || !script->target || !script->ops->verify)
		return;
	violation = script->ops->verify(script->target);
	if (violation)
		check_failed(script, 0, "at the end: %s", violation);
	free(violation);
}

void script_finish(struct script *script, enum status status, const char *reason)
{
	struct transcript *transcript = script->transcript;

	if (reason)
		transcript->reason = transcript_printf(transcript, "%s", reason);
	if (status == STATUS_PASSED)
		verify_at_exit(script);
	if (status == STATUS_PASSED && transcript->failed)
		status = STATUS_FAILED;
	if (script->target)
		script->ops->close(script->target);
	fflush(stdout);
	transcript->finished = true;
	_exit((int)status);
}

void target_fail(const char *format, ...)
{
	const struct script *script = running;
	va_list arguments;
	char *text;

	running = NULL; /* what the transcript has no room for is told below */
	fflush(stdout);
	va_start(arguments, format);
	if (vasprintf(&text, format, arguments) < 0)
		text = NULL;
	va_end(arguments);
	if (script)
		script->transcript->reason =
			transcript_printf(script->transcript, "%s: [%s] %s", script->options->file,
					  script->options->label, text);
	else
		fprintf(stderr, "%s\n", text);
	_exit(STATUS_ERROR);
}

static char *format_text(const char *format, va_list arguments)
{
	char *text;

	if (vasprintf(&text, format, arguments) < 0)
		target_fail("out of memory");
	return text;
}

void target_refuse(const char *format, ...)
{
	struct script *script = running;
	struct transcript *transcript = script->transcript;
	va_list arguments;
	char *text;

	va_start(arguments, format);
	text = format_text(format, arguments);
	va_end(arguments);
	script_finish(script, STATUS_ERROR,
		      transcript_printf(transcript, "%s:%d: [%s] %s", script->options->file,
					transcript->last ? transcript->last->line : 0,
					script->options->label, text));
}

void target_skip(const char *format, ...)
{
	va_list arguments;
	char *reason;

	va_start(arguments, format);
	reason = format_text(format, arguments);
	va_end(arguments);
	script_finish(running, STATUS_SKIPPED, reason);
}
