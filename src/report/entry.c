/* SPDX-License-Identifier: MIT */
/*
 * The library's own view of its tables.
 */
#include "space/space.h"

int quire_entry(struct quire_space *space, uint64_t address, struct quire_entry_report *report)
{
	uint64_t page = page_down(address);
	struct table_run run;

	if (address >= space->highest)
		return -QUIRE_EINVAL;
	space_read_lock(space);
	table_run(&space->tables, page, page + PAGE_SIZE, true, &run);
	space_read_unlock(space);
	*report = (struct quire_entry_report){
		.kind = run.kind,
		.level = (uint8_t)run.level,
		.start = page & ~(table_span(run.level) - 1),
		.end = (page & ~(table_span(run.level) - 1)) + table_span(run.level),
		.writable = run.writable,
		.user = run.user,
		.readable = run.readable,
		.exec = run.exec,
		.dirty = run.dirty,
		.young = run.young,
		.uffd_wp = run.uffd_wp,
		.soft_dirty = run.soft_dirty,
		.special = run.special,
		.exclusive = run.exclusive,
		.has_frame = run_maps(&run),
		.frame = run.number,
	};
	return 0;
}

void quire_tables(struct quire_space *space, struct quire_tables_report *report)
{
	space_read_lock(space);
	table_count(&space->tables, report);
	space_read_unlock(space);
}
