/* SPDX-License-Identifier: MIT */
/*
 * File objects: memory that processes map, and what can be done to it without mapping it.
 */
#include "script.h"

#include <errno.h>
#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>

#include "arguments.h"

#define FILE_TYPE "file"

struct script_file *to_file(lua_State *L, int index)
{
	struct script_file **file = luaL_testudata(L, index, FILE_TYPE);

	return file ? *file : NULL;
}

static void check_open(lua_State *L, const struct script_file *file)
{
	if (!file->file)
		script_error(L, "%s is closed", file->name);
}

struct script_file *argument_file(lua_State *L, int index, const char *what)
{
	struct script_file *file = to_file(L, index);

	if (!file)
		script_error(L, "%s must be a file, not %s", what, luaL_typename(L, index));
	check_open(L, file);
	return file;
}

/* The file that the binding was called on. */
static struct script_file *self_file(lua_State *L)
{
	struct script_file *file = to_file(L, 1);

	if (!file)
		script_error(L, "is a function of a file, not of %s (f:%s(...))",
			     luaL_typename(L, 1), script_function(L));
	check_open(L, file);
	return file;
}

void script_push_file(lua_State *L, struct file *target)
{
	struct script_file *file = calloc(1, sizeof(*file));

	if (!file)
		target_fail("out of memory");
	file->file = target;
	snprintf(file->name, sizeof(file->name), "f%u", ++script_of(L)->files);
	script_push_object(L, file, FILE_TYPE);
}

/* quire.shmem{ size= } */
int script_shmem(lua_State *L)
{
	static const char *const names[] = {"size", NULL};
	struct script *script = script_of(L);
	struct file *file;
	struct entry *entry;
	uint64_t size;
	int results = 1;

	argument_count(L, 0, 1, 1);
	argument_table(L, 1, "the argument");
	fields_known(L, 1, names);
	field_needed(L, 1, "size");
	size = argument_size(L, -1, "size");
	lua_pop(L, 1);
	if (!script->ops->file_shmem)
		script_lacks(L);
	script_target(L);
	entry = record_begin(L, ENTRY_CALL, "quire", 1, NULL);
	do {
		inject_arm(script);
		file = script->ops->file_shmem(script->target, size);
	} while (inject_again(script, file ? 0 : errno));
	if (file)
		script_push_file(L, file);
	else
		results = script_push_error(L, errno);
	return record_end(L, entry, results, NULL);
}

static struct entry *begin(lua_State *L, const struct script_file *file)
{
	return record_begin(L, ENTRY_CALL, file->name, 2, NULL);
}

/* With true, or with the error. */
static int end(lua_State *L, struct entry *entry, int error)
{
	int results = 1;

	if (error)
		results = script_push_error(L, error);
	else
		lua_pushboolean(L, true);
	return record_end(L, entry, results, NULL);
}

static void check_transfer(lua_State *L, uint64_t length)
{
	if (length > TARGET_TRANSFER_MAX)
		script_error(L, "moves at most %d bytes at once", (int)TARGET_TRANSFER_MAX);
}

/* f:write(offset, bytes); fails with how many bytes were written. */
static int file_write(lua_State *L)
{
	struct script_file *file = self_file(L);
	struct script *script = script_of(L);
	struct entry *entry;
	const char *bytes;
	uint64_t offset;
	size_t length, done = 0;
	int error;

	argument_count(L, 1, 2, 2);
	offset = argument_size(L, 2, "offset");
	bytes = argument_string(L, 3, "bytes", &length);
	check_transfer(L, length);
	entry = begin(L, file);
	entry->kernel_pages = pages_touched(offset, length);
	do {
		inject_arm(script);
		error = script->ops->file_write(file->file, offset, bytes, length, &done);
	} while (inject_again(script, error));
	if (!error)
		return end(L, entry, 0);
	script_push_error(L, error);
	lua_pushinteger(L, (lua_Integer)done);
	return record_end(L, entry, 3, NULL);
}

/* f:read(offset, n): fewer bytes where the file ends. */
static int file_read(lua_State *L)
{
	struct script_file *file = self_file(L);
	struct script *script = script_of(L);
	struct entry *entry;
	uint64_t offset, length;
	size_t done = 0;
	char *bytes;
	int error;

	argument_count(L, 1, 2, 2);
	offset = argument_size(L, 2, "offset");
	length = argument_size(L, 3, "length");
	check_transfer(L, length);
	entry = begin(L, file);
	entry->kernel_pages = pages_touched(offset, length);
	bytes = malloc(length + 1);
	if (!bytes)
		target_fail("out of memory");
	do {
		inject_arm(script);
		error = script->ops->file_read(file->file, offset, bytes, length, &done);
	} while (inject_again(script, error));
	if (!error)
		lua_pushlstring(L, bytes, done);
	free(bytes);
	return error ? end(L, entry, error) : record_end(L, entry, 1, NULL);
}

static int file_truncate(lua_State *L)
{
	struct script_file *file = self_file(L);
	struct script *script = script_of(L);
	struct entry *entry;
	uint64_t size;
	int error;

	argument_count(L, 1, 1, 1);
	size = argument_size(L, 2, "size");
	entry = begin(L, file);
	do {
		inject_arm(script);
		error = script->ops->file_truncate(file->file, size);
	} while (inject_again(script, error));
	return end(L, entry, error);
}

/* Operations that take an offset, a length and nothing else. */
static int file_range(lua_State *L, int (*operation)(struct file *, uint64_t, uint64_t))
{
	struct script_file *file = self_file(L);
	struct script *script = script_of(L);
	struct entry *entry;
	uint64_t offset, length;
	int error;

	argument_count(L, 1, 2, 2);
	offset = argument_size(L, 2, "offset");
	length = argument_size(L, 3, "length");
	entry = begin(L, file);
	entry->kernel_pages = pages_touched(offset, length);
	do {
		inject_arm(script);
		error = operation(file->file, offset, length);
	} while (inject_again(script, error));
	return end(L, entry, error);
}

static int file_punch(lua_State *L)
{
	return file_range(L, script_of(L)->ops->file_punch);
}

static int file_allocate(lua_State *L)
{
	return file_range(L, script_of(L)->ops->file_allocate);
}

static int file_resident(lua_State *L)
{
	struct script_file *file = self_file(L);
	struct entry *entry;
	uint64_t offset, length, pages = 0;
	int error;

	argument_count(L, 1, 2, 2);
	offset = argument_size(L, 2, "offset");
	length = argument_size(L, 3, "length");
	entry = begin(L, file);
	error = script_of(L)->ops->file_resident(file->file, offset, length, &pages);
	if (error)
		return end(L, entry, error);
	lua_pushinteger(L, (lua_Integer)pages);
	return record_end(L, entry, 1, NULL);
}

static int file_close(lua_State *L)
{
	struct script_file *file = self_file(L);
	struct entry *entry;

	argument_count(L, 1, 0, 0);
	entry = begin(L, file);
	script_of(L)->ops->file_close(file->file);
	file->file = NULL;
	return end(L, entry, 0);
}

static const struct binding file_bindings[] = {
	{"write", file_write},	     {"read", file_read},
	{"truncate", file_truncate}, {"punch", file_punch},
	{"allocate", file_allocate}, {"resident", file_resident},
	{"close", file_close},	     {NULL, NULL},
};

void script_open_files(lua_State *L)
{
	script_open_type(L, FILE_TYPE, (const struct binding *const[]){file_bindings, NULL});
}
