/* SPDX-License-Identifier: MIT */
/*
 * Huge pages: what quire.setup{} says of them, pools that are resized, files and mappings of them; and devices, which may
 * have huge pages.
 */
#include "script.h"

#include <errno.h>
#include <linux/mman.h>
#include <string.h>
#include <sys/mman.h>

#include "arguments.h"

static const char *const pool_names[POOLS + 1] = {"2M", "1G", NULL};
static const char *const pool_needs[POOLS] = {"hugetlb_2M", "hugetlb_1G"};

/* The word among `words` that the field is; NULL: it is not given. */
static const char *field_policy(lua_State *L, const char *name, const char *const words[])
{
	const char *given;

	if (!field_given(L, 1, name))
		return NULL;
	given = argument_string(L, -1, name, NULL);
	while (*words && strcmp(*words, given) != 0)
		words++;
	if (!*words)
		script_error(L, "%s is not a policy: '%s'", name, given);
	lua_pop(L, 1);
	return *words;
}

/* Who has no huge pages never makes any. */
static void need_policy(lua_State *L, const char *policy, const char *name)
{
	if (policy && strcmp(policy, "never") != 0)
		script_require(L, name);
}

static void set_pools(lua_State *L)
{
	struct target_setup *setup = &script_of(L)->setup;

	if (!field_given(L, 1, "hugetlb"))
		return;
	argument_table(L, -1, "hugetlb");
	fields_known(L, lua_gettop(L), pool_names);
	for (enum pool pool = 0; pool < POOLS; pool++) {
		if (!field_given(L, lua_gettop(L), pool_names[pool]))
			continue;
		setup->has_pool[pool] = true;
		setup->pool[pool] = argument_address(L, -1, pool_names[pool]);
		lua_pop(L, 1);
		if (setup->pool[pool])
			script_require(L, pool_needs[pool]);
	}
	lua_pop(L, 1);
}

void setup_huge_pages(lua_State *L)
{
	static const char *const of_anonymous[] = {"always", "madvise", "never", NULL};
	static const char *const of_shared[] = {"always", "within_size", "advise", "never", NULL};
	struct target_setup *setup = &script_of(L)->setup;

	setup->thp = field_policy(L, "thp", of_anonymous);
	setup->shmem_thp = field_policy(L, "shmem_thp", of_shared);
	need_policy(L, setup->thp, "thp");
	need_policy(L, setup->shmem_thp, "shmem_thp");
	set_pools(L);
}

/* The pool that the value at `index` names, which the target has, or the script is skipped. */
static enum pool argument_pool(lua_State *L, int index, const char *what)
{
	const char *given = argument_string(L, index, what, NULL);

	for (enum pool pool = 0; pool < POOLS; pool++) {
		if (strcmp(given, pool_names[pool]) != 0)
			continue;
		script_require(L, pool_needs[pool]);
		return pool;
	}
	script_error(L, "%s is not a size of huge pages: '%s'", what, given);
}

int field_huge_flags(lua_State *L, int index)
{
	static const int flags[POOLS] = {MAP_HUGETLB | MAP_HUGE_2MB, MAP_HUGETLB | MAP_HUGE_1GB};
	enum pool pool;

	if (!field_given(L, index, "hugetlb"))
		return 0;
	pool = argument_pool(L, -1, "hugetlb");
	lua_pop(L, 1);
	return flags[pool];
}

/* quire.hugetlb{ size=, page= } */
int script_hugetlb(lua_State *L)
{
	static const char *const names[] = {"size", "page", NULL};
	struct script *script = script_of(L);
	struct file *file;
	struct entry *entry;
	enum pool pool;
	uint64_t size;
	int results = 1;

	argument_count(L, 0, 1, 1);
	argument_table(L, 1, "the argument");
	fields_known(L, 1, names);
	size = field_size(L, 1, "size");
	field_needed(L, 1, "page");
	pool = argument_pool(L, -1, "page");
	lua_pop(L, 1);
	script_target(L);
	entry = record_begin(L, ENTRY_CALL, "quire", 1, NULL);
	file = script->ops->file_hugetlb(script->target, size, pool);
	if (file)
		script_push_file(L, file);
	else
		results = script_push_error(L, errno);
	return record_end(L, entry, results, NULL);
}

/* quire.hugetlb_pool(page, pages, { overcommit= }) */
int script_hugetlb_pool(lua_State *L)
{
	static const char *const names[] = {"overcommit", NULL};
	struct script *script = script_of(L);
	int64_t overcommit = -1;
	struct entry *entry;
	enum pool pool;
	uint64_t pages;
	int error;

	argument_count(L, 0, 2, 3);
	pool = argument_pool(L, 1, "the size");
	pages = argument_address(L, 2, "pages");
	if (lua_gettop(L) == 3) {
		argument_table(L, 3, "the last argument");
		fields_known(L, 3, names);
		if (field_given(L, 3, "overcommit")) {
			overcommit = (int64_t)argument_address(L, -1, "overcommit");
			lua_pop(L, 1);
		}
	}
	/* Else nobody would give the pages back. */
	if (!script->setup.has_pool[pool])
		script_error(L, "needs the pool in quire.setup{ hugetlb = }");
	script_target(L);
	entry = record_begin(L, ENTRY_CALL, "quire", 1, NULL);
	error = script->ops->pool_resize(script->target, pool, pages, overcommit);
	if (error)
		return record_end(L, entry, script_push_error(L, error), NULL);
	lua_pushboolean(L, true);
	return record_end(L, entry, 1, NULL);
}

static void set_count(lua_State *L, const char *name, uint64_t count)
{
	lua_pushinteger(L, (lua_Integer)count);
	lua_setfield(L, -2, name);
}

void push_pools(lua_State *L)
{
	const struct script *script = script_of(L);
	struct target_pool count;

	lua_newtable(L);
	for (enum pool pool = 0; pool < POOLS; pool++) {
		if (script->ops->pool_count(script->target, pool, &count))
			continue;
		lua_newtable(L);
		set_count(L, "total", count.total);
		set_count(L, "free", count.free);
		set_count(L, "reserved", count.reserved);
		set_count(L, "surplus", count.surplus);
		lua_setfield(L, -2, pool_names[pool]);
	}
	lua_setfield(L, -2, "hugetlb");
}

/* Into the table on top, as `levels`: by the level of the leaf, from 0 on. */
void push_leaf_counts(lua_State *L)
{
	const struct script *script = script_of(L);
	struct target_leaf_counts counts[TARGET_LEAF_LEVELS];

	script->ops->leaf_counts(script->target, counts);
	lua_createtable(L, TARGET_LEAF_LEVELS, 0);
	for (unsigned level = 0; level < TARGET_LEAF_LEVELS; level++) {
		lua_createtable(L, 0, 2);
		lua_pushinteger(L, (lua_Integer)counts[level].protected_leaves);
		lua_setfield(L, -2, "protected");
		lua_pushinteger(L, (lua_Integer)counts[level].cut_leaves);
		lua_setfield(L, -2, "cut");
		lua_rawseti(L, -2, level);
	}
	lua_setfield(L, -2, "levels");
}

/* The field's place among `words`, of which the script wants one. */
static unsigned field_word(lua_State *L, const char *name, const char *const words[])
{
	const char *given;
	unsigned i = 0;

	field_needed(L, 1, name);
	given = argument_string(L, -1, name, NULL);
	while (words[i] && strcmp(words[i], given) != 0)
		i++;
	if (!words[i])
		script_error(L, "%s is not one of a device: '%s'", name, given);
	lua_pop(L, 1);
	return i;
}

/* quire.device{ size=, page=, kind= } */
int script_device(lua_State *L)
{
	static const char *const names[] = {"size", "page", "kind", NULL};
	static const char *const kinds[] = {"dax", "fsdax", "pfn", NULL};
	static const char *const needs[] = {"device_dax", "device_fsdax", "device_pfn"};
	static const char *const pages[] = {"4K", "2M", "1G", NULL}; /* by level */
	struct script *script = script_of(L);
	enum device_kind kind;
	struct entry *entry;
	struct file *file;
	unsigned level;
	uint64_t size;
	int results = 1;

	argument_count(L, 0, 1, 1);
	argument_table(L, 1, "the argument");
	fields_known(L, 1, names);
	kind = field_word(L, "kind", kinds);
	script_require(L, needs[kind]);
	level = field_word(L, "page", pages);
	field_needed(L, 1, "size");
	size = argument_size(L, -1, "size");
	lua_pop(L, 1);
	if (!script->ops->file_device)
		script_lacks(L);
	script_target(L);
	entry = record_begin(L, ENTRY_CALL, "quire", 1, NULL);
	do {
		inject_arm(script);
		file = script->ops->file_device(script->target, kind, level, size);
	} while (inject_again(script, file ? 0 : errno));
	if (file)
		script_push_file(L, file);
	else
		results = script_push_error(L, errno);
	return record_end(L, entry, results, NULL);
}
