/* SPDX-License-Identifier: MIT */
/*
 * From Lua values to the transcript's.
 *
 * An integer near a mapping of the process that the call was made on is taken for an address and
 * written relative to the mapping, so that it does not matter where a target places things.
 */
#include "script.h"

#include <inttypes.h>
#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

/* Targets place mappings above this; what a script puts below by itself is the same on all. */
#define PLACED_ABOVE (UINT64_C(1) << 32)
/* An address that a script computed from a mapping's start is not farther off than this. */
#define NEAR (UINT64_C(1) << 30)
/* Deeper tables, or tables that hold themselves, are cut off. */
#define DEPTH_MAX 8

void record_mapping(struct script *script, struct script_process *process, uint64_t start,
		    uint64_t length)
{
	struct script_mapping *mapping = malloc(sizeof(*mapping));

	if (!mapping)
		target_fail("out of memory");
	*mapping = (struct script_mapping){
		.start = start,
		.end = start + ((length + PAGE_SIZE - 1) & ~(uint64_t)(PAGE_SIZE - 1)),
		.number = ++script->mappings,
		.next = process->mappings,
	};
	process->mappings = mapping;
}

static uint64_t distance(const struct script_mapping *mapping, uint64_t address)
{
	if (address < mapping->start)
		return mapping->start - address;
	if (address >= mapping->end)
		return address - mapping->end + 1;
	return 0;
}

/* NULL: not an address. */
static const char *address_name(struct transcript *transcript, const struct script_process *process,
				uint64_t address)
{
	const struct script_mapping *nearest = NULL;
	uint64_t least = NEAR;

	if (address < PLACED_ABOVE)
		return NULL;
	for (const struct script_mapping *m = process->mappings; m && least; m = m->next) {
		if (distance(m, address) < least) {
			least = distance(m, address);
			nearest = m;
		}
	}
	if (!nearest)
		return NULL;
	if (address == nearest->start)
		return transcript_printf(transcript, "m%u", nearest->number);
	if (address < nearest->start)
		return transcript_printf(transcript, "m%u-0x%" PRIx64, nearest->number,
					 nearest->start - address);
	return transcript_printf(transcript, "m%u+0x%" PRIx64, nearest->number,
				 address - nearest->start);
}

/* What one conversion needs to know. */
struct recorder {
	lua_State *L;
	struct transcript *transcript;
	const struct script_process *process; /* whose addresses are named; may be NULL */
};

static char *copy_bytes(struct recorder *recorder, const char *bytes, size_t length)
{
	char *copy = transcript_alloc(recorder->transcript, length + 1);

	memcpy(copy, bytes, length);
	return copy;
}

static void record_string(struct recorder *recorder, struct value *value, int index)
{
	size_t length;
	const char *bytes = lua_tolstring(recorder->L, index, &length);

	value->kind = VALUE_STRING;
	value->string.bytes = copy_bytes(recorder, bytes, value_kept(length));
	value->string.length = length;
	value->string.hash = value_hash(bytes, length);
	value->string.uniform = length > 0 && memcmp(bytes, bytes + 1, length - 1) == 0;
}

static void record_number(struct recorder *recorder, struct value *value, int index)
{
	if (!lua_isinteger(recorder->L, index)) {
		value->kind = VALUE_NUMBER;
		value->number = lua_tonumber(recorder->L, index);
		return;
	}
	value->kind = VALUE_INTEGER;
	value->integer = lua_tointeger(recorder->L, index);
	if (recorder->process) {
		const char *name = address_name(recorder->transcript, recorder->process,
						(uint64_t)value->integer);

		if (name) {
			value->kind = VALUE_NAME;
			value->address = (uint64_t)value->integer;
			value->name = name;
		}
	}
}

/* Processes and threads by their names; functions and the like by their type. */
static void record_name(struct recorder *recorder, struct value *value, int index)
{
	const char *name = luaL_typename(recorder->L, index);

	value->kind = VALUE_NAME;
	if (lua_type(recorder->L, index) != LUA_TUSERDATA) {
		value->name = name;
		return;
	}
	name = luaL_tolstring(recorder->L, index, NULL);
	value->name = copy_bytes(recorder, name, strlen(name));
	lua_pop(recorder->L, 1);
}

static struct value *record(struct recorder *recorder, int index, int depth);

/* Items of an array: those in a row that are equal become one. */
static void record_array(struct recorder *recorder, struct value *table, int index, int depth)
{
	lua_Unsigned length = lua_rawlen(recorder->L, index);
	struct value *last = NULL;

	for (lua_Unsigned i = 1; i <= length; i++) {
		size_t mark = recorder->transcript->used;
		struct value *item;

		lua_rawgeti(recorder->L, index, (lua_Integer)i);
		item = record(recorder, lua_gettop(recorder->L), depth);
		lua_pop(recorder->L, 1);
		if (last && value_equal(last, item)) {
			last->repeat++;
			transcript_rewind(recorder->transcript, mark);
			continue;
		}
		if (last)
			last->next = item;
		else
			table->items = item;
		last = item;
	}
}

static const char *record_key(struct recorder *recorder, int index)
{
	const char *key;

	if (lua_type(recorder->L, index) == LUA_TSTRING) {
		key = lua_tostring(recorder->L, index);
		return copy_bytes(recorder, key, strlen(key));
	}
	key = luaL_tolstring(recorder->L, index, NULL);
	key = transcript_printf(recorder->transcript, "[%s]", key);
	lua_pop(recorder->L, 1);
	return key;
}

static void insert_by_key(struct value *table, struct value *item)
{
	struct value **link = &table->items;

	while (*link && strcmp((*link)->key, item->key) < 0)
		link = &(*link)->next;
	item->next = *link;
	*link = item;
}

static void record_fields(struct recorder *recorder, struct value *table, int index, int depth)
{
	lua_State *L = recorder->L;

	lua_pushnil(L);
	while (lua_next(L, index)) {
		int top = lua_gettop(L);
		struct value *item = record(recorder, top, depth);

		item->key = record_key(recorder, top - 1);
		insert_by_key(table, item);
		lua_pop(L, 1);
	}
}

/* Whether the table holds nothing but the items from 1 to its length. */
static bool is_array(lua_State *L, int index)
{
	lua_Unsigned items = 0;

	lua_pushnil(L);
	while (lua_next(L, index)) {
		lua_pop(L, 1);
		items++;
	}
	return items == lua_rawlen(L, index);
}

static void record_table(struct recorder *recorder, struct value *value, int index, int depth)
{
	if (depth >= DEPTH_MAX) {
		value->kind = VALUE_NAME;
		value->name = "{...}";
		return;
	}
	luaL_checkstack(recorder->L, 8, NULL);
	value->kind = VALUE_TABLE;
	if (is_array(recorder->L, index))
		record_array(recorder, value, index, depth + 1);
	else
		record_fields(recorder, value, index, depth + 1);
}

static struct value *record(struct recorder *recorder, int index, int depth)
{
	struct value *value = transcript_alloc(recorder->transcript, sizeof(*value));

	value->repeat = 1;
	switch (lua_type(recorder->L, index)) {
	case LUA_TNIL:
		value->kind = VALUE_NIL;
		break;
	case LUA_TBOOLEAN:
		value->kind = VALUE_BOOLEAN;
		value->boolean = lua_toboolean(recorder->L, index);
		break;
	case LUA_TNUMBER:
		record_number(recorder, value, index);
		break;
	case LUA_TSTRING:
		record_string(recorder, value, index);
		break;
	case LUA_TTABLE:
		record_table(recorder, value, index, depth);
		break;
	default:
		record_name(recorder, value, index);
		break;
	}
	return value;
}

struct value *record_value(lua_State *L, int index, const struct script_process *process)
{
	struct recorder recorder = {
		.L = L,
		.transcript = script_of(L)->transcript,
		.process = process,
	};

	return record(&recorder, lua_absindex(L, index), 0);
}

/* The values from `first` to the top, as a table. */
static struct value *record_stack(lua_State *L, int first, const struct script_process *process)
{
	struct value *table = transcript_alloc(script_of(L)->transcript, sizeof(*table));
	struct value **link = &table->items;

	table->kind = VALUE_TABLE;
	table->repeat = 1;
	for (int i = first; i <= lua_gettop(L); i++) {
		*link = record_value(L, i, process);
		link = &(*link)->next;
	}
	return table;
}

struct entry *record_begin(lua_State *L, enum entry_kind kind, const char *subject, int first,
			   const struct script_process *process)
{
	struct transcript *transcript = script_of(L)->transcript;
	struct entry *entry = transcript_entry(transcript, kind, script_line(L));

	entry->subject = transcript_printf(transcript, "%s", subject);
	entry->function = transcript_printf(transcript, "%s", script_function(L));
	entry->arguments = record_stack(L, first, process);
	transcript_append(transcript, entry);
	return entry;
}

int record_end(lua_State *L, struct entry *entry, int count, const struct script_process *process)
{
	entry->results = record_stack(L, lua_gettop(L) - count + 1, process);
	trace_call(&script_of(L)->trace, entry);
	return count;
}
