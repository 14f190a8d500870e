/* SPDX-License-Identifier: MIT */
/*
 * What a script can see of a process.  Observations work while threads of the process sleep.
 */
#include "script.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#include "arguments.h"

/* The most pages that one observation shows: 4 GiB of them. */
#define OBSERVED_PAGES_MAX (1u << 20)

/* The words of /proc/PID/pagemap. */
static const struct {
	const char *name;
	unsigned bit;
} pagemap_fields[] = {
	{"present", 63}, {"swapped", 62},   {"file", 61},	{"guard", 58},
	{"uffd_wp", 57}, {"exclusive", 56}, {"soft_dirty", 55},
};
#define PAGEMAP_FIELDS (sizeof(pagemap_fields) / sizeof(pagemap_fields[0]))

bool pagemap_has_field(const char *name)
{
	for (size_t i = 0; i < PAGEMAP_FIELDS; i++)
		if (strcmp(pagemap_fields[i].name, name) == 0)
			return true;
	return false;
}

static void set_boolean(lua_State *L, const char *name, bool value)
{
	lua_pushboolean(L, value);
	lua_setfield(L, -2, name);
}

static void set_integer(lua_State *L, const char *name, uint64_t value)
{
	lua_pushinteger(L, (lua_Integer)value);
	lua_setfield(L, -2, name);
}

static void set_string(lua_State *L, const char *name, const char *value)
{
	lua_pushstring(L, value);
	lua_setfield(L, -2, name);
}

static struct entry *begin(lua_State *L, struct script_process *process)
{
	return record_begin(L, ENTRY_CALL, process->name, 2, process);
}

/* Shows what the library alone can tell. */
static struct entry *begin_local(lua_State *L, struct script_process *process)
{
	return record_begin(L, ENTRY_LOCAL, process->name, 2, process);
}

static int end(lua_State *L, struct entry *entry, int error, struct script_process *process)
{
	return record_end(L, entry, error ? script_push_error(L, error) : 1, process);
}

static void push_page(lua_State *L, uint64_t word)
{
	lua_createtable(L, 0, PAGEMAP_FIELDS);
	for (size_t i = 0; i < PAGEMAP_FIELDS; i++)
		set_boolean(L, pagemap_fields[i].name, word >> pagemap_fields[i].bit & 1);
}

/* How many pages [address, address + length) touches; a script cannot ask for too many. */
static uint64_t pages_in(lua_State *L, uint64_t address, uint64_t length)
{
	uint64_t pages = length / PAGE_SIZE;

	length %= PAGE_SIZE;
	pages += (address % PAGE_SIZE + length + PAGE_SIZE - 1) / PAGE_SIZE;
	if (pages > OBSERVED_PAGES_MAX)
		script_error(L, "shows at most %d pages at once", (int)OBSERVED_PAGES_MAX);
	return pages;
}

/*
 * p:pagemap(address) is one page, p:pagemap(address, n) an array.  n is bytes, as everywhere; but a
 * number less than a page counts pages, which is what p:pagemap(a, 4) means.
 */
static uint64_t pagemap_pages(lua_State *L, uint64_t address)
{
	uint64_t n = argument_size(L, 3, "n");

	if (lua_type(L, 3) == LUA_TNUMBER && n < PAGE_SIZE)
		n *= PAGE_SIZE;
	return pages_in(L, address, n);
}

static int process_pagemap(lua_State *L)
{
	struct script_process *process = argument_process(L, 1);
	uint64_t address, pages = 1;
	uint64_t *words;
	struct entry *entry;
	bool array;
	int error;

	argument_count(L, 1, 1, 2);
	address = argument_address(L, 2, "address");
	array = lua_gettop(L) == 3;
	if (array)
		pages = pagemap_pages(L, address);
	entry = begin(L, process);
	words = calloc(pages + 1, sizeof(*words));
	if (!words)
		target_fail("out of memory");
	error = script_of(L)->ops->pagemap(process->process, address, pages, words);
	if (!error && !array) {
		push_page(L, words[0]);
	} else if (!error) {
		lua_createtable(L, (int)pages, 0);
		for (uint64_t i = 0; i < pages; i++) {
			push_page(L, words[i]);
			lua_rawseti(L, -2, (lua_Integer)i + 1);
		}
	}
	free(words);
	return end(L, entry, error, process);
}

static int process_mincore(lua_State *L)
{
	struct script_process *process = argument_process(L, 1);
	uint64_t address, length, pages;
	unsigned char *resident;
	struct entry *entry;
	int error;

	argument_count(L, 1, 2, 2);
	address = argument_address(L, 2, "address");
	length = argument_size(L, 3, "length");
	/* A length that wraps around is refused by the target, which then fills nothing in. */
	pages = pages_in(L, 0, (int64_t)length < 0 ? 0 : length);
	entry = begin(L, process);
	resident = calloc(pages + 1, 1);
	if (!resident)
		target_fail("out of memory");
	error = script_of(L)->ops->mincore(process->process, address, length, resident);
	if (!error) {
		lua_createtable(L, (int)pages, 0);
		for (uint64_t i = 0; i < pages; i++) {
			lua_pushboolean(L, resident[i] & 1);
			lua_rawseti(L, -2, (lua_Integer)i + 1);
		}
	}
	free(resident);
	return end(L, entry, error, process);
}

static int process_smaps(lua_State *L)
{
	struct script_process *process = argument_process(L, 1);
	struct target_smaps smaps = {.count = 0};
	struct entry *entry;
	uint64_t address;
	int error;

	argument_count(L, 1, 1, 1);
	address = argument_address(L, 2, "address");
	entry = begin(L, process);
	error = script_of(L)->ops->smaps(process->process, address, &smaps);
	if (!error) {
		lua_createtable(L, 0, (int)smaps.count + 1);
		for (unsigned i = 0; i < smaps.count; i++)
			set_integer(L, smaps.field[i].name, smaps.field[i].value);
		set_string(L, "VmFlags", smaps.flags);
	}
	return end(L, entry, error, process);
}

static void push_vma(lua_State *L, const struct target_vma *vma)
{
	lua_createtable(L, 0, 7);
	set_integer(L, "start", vma->start);
	set_integer(L, "length", vma->end - vma->start);
	set_string(L, "prot", vma->prot);
	set_boolean(L, "shared", vma->shared);
	set_boolean(L, "file", vma->file);
	set_integer(L, "offset", vma->offset);
	set_string(L, "flags", vma->flags);
}

static int process_maps(lua_State *L)
{
	struct script_process *process = argument_process(L, 1);
	struct target_vma *vmas = NULL;
	struct entry *entry;
	size_t count = 0;
	int error;

	argument_count(L, 1, 0, 0);
	entry = begin(L, process);
	error = script_of(L)->ops->maps(process->process, &vmas, &count);
	if (!error) {
		lua_createtable(L, (int)count, 0);
		for (size_t i = 0; i < count; i++) {
			push_vma(L, &vmas[i]);
			lua_rawseti(L, -2, (lua_Integer)i + 1);
		}
	}
	free(vmas);
	return end(L, entry, error, process);
}

static int process_rss(lua_State *L)
{
	struct script_process *process = argument_process(L, 1);
	struct target_rss rss = {.anon = 0};
	struct entry *entry;
	int error;

	argument_count(L, 1, 0, 0);
	entry = begin(L, process);
	error = script_of(L)->ops->rss(process->process, &rss);
	if (!error) {
		lua_createtable(L, 0, 5);
		set_integer(L, "anon", rss.anon);
		set_integer(L, "file", rss.file);
		set_integer(L, "shmem", rss.shmem);
		set_integer(L, "swap", rss.swap);
		set_integer(L, "tables", rss.tables);
	}
	return end(L, entry, error, process);
}

static void push_entry(lua_State *L, const struct target_entry *entry)
{
	lua_createtable(L, 0, 11);
	set_integer(L, "level", (uint64_t)entry->level);
	set_string(L, "kind", entry->kind);
	set_boolean(L, "writable", entry->writable);
	set_boolean(L, "user", entry->user);
	set_boolean(L, "readable", entry->readable);
	set_boolean(L, "exec", entry->exec);
	set_boolean(L, "dirty", entry->dirty);
	set_boolean(L, "young", entry->young);
	set_boolean(L, "uffd_wp", entry->uffd_wp);
	set_boolean(L, "soft_dirty", entry->soft_dirty);
	set_boolean(L, "special", entry->special);
	if (entry->has_frame)
		set_integer(L, "frame", entry->frame);
}

static int process_entry(lua_State *L)
{
	struct script_process *process = argument_process(L, 1);
	struct target_entry table_entry = {.level = 0};
	struct entry *entry;
	uint64_t address;
	int error;

	argument_count(L, 1, 1, 1);
	address = argument_address(L, 2, "address");
	if (!script_of(L)->ops->entry)
		script_lacks(L);
	entry = begin_local(L, process);
	error = script_of(L)->ops->entry(process->process, address, &table_entry);
	if (!error)
		push_entry(L, &table_entry);
	return end(L, entry, error, process);
}

static int process_tables(lua_State *L)
{
	struct script_process *process = argument_process(L, 1);
	struct target_tables tables = {.levels = 0};
	struct entry *entry;
	int error;

	argument_count(L, 1, 0, 0);
	if (!script_of(L)->ops->tables)
		script_lacks(L);
	entry = begin_local(L, process);
	error = script_of(L)->ops->tables(process->process, &tables);
	if (!error) {
		lua_createtable(L, 0, (int)tables.levels + 1);
		set_integer(L, "bytes", tables.bytes);
		for (unsigned level = 0; level < tables.levels; level++) {
			lua_createtable(L, 0, 2);
			set_integer(L, "tables", tables.level[level].tables);
			set_integer(L, "marks", tables.level[level].marks);
			set_integer(L, "leaves", tables.level[level].leaves);
			lua_rawseti(L, -2, level);
		}
	}
	return end(L, entry, error, process);
}

static int process_dump(lua_State *L)
{
	struct script_process *process = argument_process(L, 1);
	struct entry *entry;
	char *text;

	argument_count(L, 1, 0, 0);
	if (!script_of(L)->ops->dump)
		script_lacks(L);
	entry = begin_local(L, process);
	text = script_of(L)->ops->dump(process->process);
	if (!text)
		target_fail("out of memory");
	lua_pushstring(L, text);
	free(text);
	return record_end(L, entry, 1, process);
}

/* Shows the process in the trace; does nothing where the target can't. */
static int process_draw(lua_State *L)
{
	struct script_process *process = argument_process(L, 1);
	struct script *script = script_of(L);
	char *text;

	argument_count(L, 1, 0, 0);
	if (!script->ops->draw || !script->trace.on)
		return 0;
	text = script->ops->draw(process->process);
	if (!text)
		target_fail("out of memory");
	trace_text(&script->trace, text);
	free(text);
	return 0;
}

const struct binding observation_bindings[] = {
	{"pagemap", process_pagemap}, {"mincore", process_mincore},
	{"smaps", process_smaps},     {"maps", process_maps},
	{"rss", process_rss},	      {"entry", process_entry},
	{"tables", process_tables},   {"dump", process_dump},
	{"draw", process_draw},	      {NULL, NULL},
};
