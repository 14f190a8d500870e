/* SPDX-License-Identifier: MIT */
/*
 * quire.setup{}: the machine that a script wants.
 */
#include "script.h"

#include "arguments.h"

/* An option of the library's machine, in the table at 1. */
static bool library_option(lua_State *L, const char *name)
{
	bool set = field_boolean(L, 1, name);

	if (set && !script_of(L)->ops->entry)
		script_lacks_what(L, name);
	return set;
}

/* What a processor does cannot be chosen. */
static void set_execute_only(lua_State *L)
{
	struct script *script = script_of(L);
	bool wanted = field_boolean(L, 1, "execute_only");

	if (!field_given(L, 1, "execute_only"))
		return;
	lua_pop(L, 1);
	if (script->ops == &target_linux && wanted != script->setup.execute_only)
		script_lacks_what(L, wanted ? "execute-only memory"
					    : "memory that can be read because it can be executed");
	script->setup.execute_only = wanted;
}

int script_setup(lua_State *L)
{
	static const char *const names[] = {
		"memory",    "cpus",	       "swap",		 "hugetlb",	 "thp",
		"shmem_thp", "report_swapped", "strict_written", "execute_only", NULL};
	struct script *script = script_of(L);
	uint64_t cpus;

	argument_count(L, 0, 1, 1);
	argument_table(L, 1, "the argument");
	fields_known(L, 1, names);
	if (script->target)
		script_error(L, "must come before everything else");
	script->setup.memory = field_size(L, 1, "memory");
	cpus = field_address(L, 1, "cpus");
	if (cpus > 1024)
		script_error(L, "cpus is out of range");
	script->setup.cpus = (unsigned)cpus;
	script->setup.report_swapped = library_option(L, "report_swapped");
	script->setup.strict_written = library_option(L, "strict_written");
	set_execute_only(L);
	setup_huge_pages(L);
	if (field_given(L, 1, "swap")) {
		script->setup.has_swap = true;
		script->setup.swap = argument_size(L, -1, "swap");
		lua_pop(L, 1);
		if (script->setup.swap && !script->ops->swapoff)
			script_lacks_what(L, "swap");
	}
	record_end(L, record_begin(L, ENTRY_CALL, "quire", 1, NULL), 0, NULL);
	script_target(L);
	return 0;
}
