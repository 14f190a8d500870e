/* SPDX-License-Identifier: MIT */
/*
 * The state as text: VMAs, under each the runs of its entries, and what the allocators hold.
 *
 *	space 1: 2 maps, 12K anon, 16K tables
 *	 7feffffff000-7ff000000000 rw-p rd wr mr mw me ac
 *	  L0 7feffffff000-7ff000000000 leaf rw- dirty young exclusive frame 1f3
 */
#include "base/format.h"
#include "space/space.h"

static void number(const struct quire_text *text, const char *before, uint64_t value,
		   const char *after)
{
	text_string(text, before);
	text_decimal(text, value);
	text_string(text, after);
}

static void range(const struct quire_text *text, uint64_t start, uint64_t end)
{
	text_hex(text, start);
	text_string(text, "-");
	text_hex(text, end);
}

static void word_if(const struct quire_text *text, bool condition, const char *word)
{
	if (condition)
		text_string(text, word);
}

static const char *kind_name(enum quire_entry_kind kind)
{
	static const char *const names[] = {
		[QUIRE_ENTRY_ABSENT] = "absent",       [QUIRE_ENTRY_LEAF] = "leaf",
		[QUIRE_ENTRY_MARKER] = "marker",       [QUIRE_ENTRY_SWAP] = "swap",
		[QUIRE_ENTRY_MIGRATION] = "migration", [QUIRE_ENTRY_GUARD] = "guard",
		[QUIRE_ENTRY_POISON] = "poison",       [QUIRE_ENTRY_PARKED] = "parked",
	};

	return names[kind];
}

static void dump_leaf(struct quire_machine *machine, const struct table_run *run, bool frames,
		      const struct quire_text *text)
{
	const struct folio *folio = run_folio(machine, run, 0);

	text_string(text, run->readable ? " r" : " -");
	text_string(text, run->writable ? "w" : "-");
	text_string(text, run->exec ? "x" : "-");
	word_if(text, run->dirty, " dirty");
	word_if(text, run->young, " young");
	word_if(text, run->exclusive, " exclusive");
	word_if(text, run->device, " device");
	word_if(text, run->special && !run->device, " zero");
	word_if(text, run->uffd_wp, " uffd-wp");
	if (frames && folio) {
		text_string(text, " frame ");
		text_hex(text, run->number);
		number(text, " x", folio_mappings(folio), "");
	}
}

static void dump_runs(struct quire_space *space, uint64_t start, uint64_t end, bool frames,
		      const struct quire_text *text)
{
	struct table_run run;

	for (uint64_t page = start; page < end; page = run.end) {
		table_run(&space->tables, page, end, false, &run);
		if (run.kind == QUIRE_ENTRY_ABSENT)
			continue;
		number(text, "  L", run.level, " ");
		range(text, run.start, run.end);
		text_string(text, " ");
		text_string(text, kind_name(run.kind));
		if (run_maps(&run))
			dump_leaf(space->machine, &run, frames, text);
		text_string(text, "\n");
	}
}

static void dump_vma(const struct vma *vma, const struct quire_text *text)
{
	text_string(text, " ");
	range(text, vma->start, vma->end);
	text_string(text, vma->flags & VMA_READ ? " r" : " -");
	text_string(text, vma->flags & VMA_WRITE ? "w" : "-");
	text_string(text, vma->flags & VMA_EXEC ? "x" : "-");
	text_string(text, vma->flags & VMA_SHARED ? "s" : "p");
	text_string(text, " flags ");
	text_hex(text, vma->flags);
	text_string(text, " index ");
	text_hex(text, vma->index);
	if (vma->object)
		text_string(text, " object");
	number(text, " anon ", vma->anon, vma->inherited ? " inherited\n" : "\n");
}

static void dump_space(struct quire_space *space, bool frames, const struct quire_text *text)
{
	number(text, "space ", space->tables.tag, ": ");
	number(text, "", space->vma_count, " maps, ");
	number(text, "", space->mapped * (PAGE_SIZE / 1024), "K mapped, ");
	number(text, "", space->locked * (PAGE_SIZE / 1024), "K locked, ");
	number(text, "", space->tables.resident[RESIDENT_ANON] * (PAGE_SIZE / 1024), "K anon, ");
	number(text, "", space->tables.resident[RESIDENT_SHMEM] * (PAGE_SIZE / 1024), "K shmem, ");
	number(text, "", space->tables.resident[RESIDENT_FILE] * (PAGE_SIZE / 1024), "K file, ");
	number(text, "", space->tables.frames * (PAGE_SIZE / 1024), "K tables\n");
	for (struct vma *vma = vma_first(space); vma; vma = vma_next(vma)) {
		dump_vma(vma, text);
		dump_runs(space, vma->start, vma->end, frames, text);
	}
}

void quire_space_dump(struct quire_space *space, bool frames, const struct quire_text *text)
{
	space_read_lock(space);
	dump_space(space, frames, text);
	space_read_unlock(space);
}

void quire_machine_dump(struct quire_machine *machine, bool frames, const struct quire_text *text)
{
	struct quire_machine_counters counters;
	struct quire_space *space = NULL;

	quire_machine_count(machine, &counters);
	number(text, "frames ", counters.frames, "");
	number(text, ", free ", counters.frames_free, "");
	number(text, ", table ", counters.frames_table, "");
	number(text, ", slab ", counters.frames_slab, "");
	number(text, ", anon ", counters.frames_anon, "");
	number(text, ", shmem ", counters.frames_shmem, "");
	number(text, ", file ", counters.frames_file, "");
	number(text, ", node ", counters.frames_node, "\n");
	while ((space = space_next(machine, space)))
		quire_space_dump(space, frames, text);
}
