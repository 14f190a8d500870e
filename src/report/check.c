/* SPDX-License-Identifier: MIT */
/*
 * The invariant checker.
 *
 * For one range of a space: tables against their counters, entries against their VMA, frames
 * against their entries.  For the whole machine, which must be at rest, also: the VMA trees, the
 * counters against a recount, every frame's mappings against the leaves that there are, and what
 * check_memory.c has.
 *
 * Mappings are recounted without memory of its own: one walk over all leaves sets `seen` of the
 * frames met to 0, a second one counts, a third one compares.  Frames that no leaf names don't show
 * up in any walk, but in the sum.
 */
#include "base/format.h"
#include "report/check.h"
#include "space/hooks.h"

#define VIOLATIONS_MAX 16

void check_violation(void *context, const char *what, uint64_t address)
{
	struct check *check = context;

	if (check->violations++ >= VIOLATIONS_MAX)
		return;
	if (check->space) {
		text_string(check->text, "space ");
		text_decimal(check->text, check->space->tables.tag);
		text_string(check->text, " at ");
		text_hex(check->text, address);
		text_string(check->text, ": ");
	}
	text_string(check->text, what);
	text_string(check->text, "\n");
}

/* Of the page at `address` in a run that is counted. */
static struct folio *page_folio(const struct check *check, const struct table_run *run,
				uint64_t address)
{
	return run_folio(check->space->machine, run, (address - run->start) >> PAGE_SHIFT);
}

/* The index that the folio must have if its page at `address` is where the VMA says. */
static uint64_t folio_index_at(const struct check *check, const struct table_run *run,
			       const struct vma *vma, uint64_t address)
{
	const struct folio *folio = page_folio(check, run, address);
	uint64_t page = run->number + ((address - run->start) >> PAGE_SHIFT);

	return vma_index(vma, address) - (page - folio_number(check->space->machine, folio));
}

/* The object that the VMA maps has the page at its place. */
static void check_cached(struct check *check, const struct vma *vma, const struct folio *folio,
			 uint64_t index, uint64_t address)
{
	cache_entry found;

	if (!vma->object) {
		check_violation(check, "a page of an object where none is mapped", address);
		return;
	}
	object_lock(vma->object);
	found = cache_find(vma->object, vma_index(vma, address));
	object_unlock(vma->object);
	expect(check, found == (uintptr_t)folio, "a leaf maps a page that its object has not",
	       address);
	expect(check,
	       folio->head.content.owner == (uintptr_t)vma->object && folio_index(folio) == index,
	       "a cached page knows another place", address);
}

/* A private page is found through the VMA's family, at its index. */
static void check_own(struct check *check, const struct vma *vma, const struct folio *folio,
		      uint64_t index, uint64_t address)
{
	expect(check, !(vma->flags & VMA_SHARED), "a shared mapping has a private page", address);
	expect(check,
	       folio->head.content.owner == (uintptr_t)vma->family && folio_index(folio) == index,
	       "a private page knows another place", address);
}

static void check_page(struct check *check, const struct table_run *run, const struct vma *vma,
		       uint64_t address)
{
	const struct folio *folio = page_folio(check, run, address);
	uint64_t index = folio_index_at(check, run, vma, address);

	expect(check, folio->head.kind == FRAME_ANON || folio_of_object(folio),
	       "a leaf maps a frame that holds no page", address);
	expect(check, folio_mappings(folio) > 0, "a mapped frame counts no mapping", address);
	/* The parts of a leaf that was cut are as exclusive as it was. */
	expect(check,
	       !run->exclusive || (!folio_of_object(folio) &&
				   (folio->head.order || folio_mapped_by(folio, 1))),
	       "an exclusive page is mapped more than once, or an object's", address);
	if (folio_of_object(folio))
		check_cached(check, vma, folio, index, address);
	else
		check_own(check, vma, folio, index, address);
	switch (folio->head.kind) {
	case FRAME_SHMEM:
		check->resident[RESIDENT_SHMEM]++;
		break;
	case FRAME_FILE:
		check->resident[RESIDENT_FILE]++;
		break;
	default:
		check->resident[RESIDENT_ANON]++;
		break;
	}
}

/* The next leaf of a run: a mapping of its own. */
static uint64_t next_leaf(const struct table_run *run, uint64_t address)
{
	uint64_t span = table_span(run->level);

	return (address & ~(span - 1)) + span;
}

static void check_leaf(struct check *check, const struct table_run *run, const struct vma *vma)
{
	struct table_permissions allow = vma_permissions(vma);
	uint64_t address = run->start;

	expect(check, run->readable == allow.read, "a leaf differs from its VMA in read", address);
	expect(check, run->exec == allow.execute, "a leaf differs from its VMA in execute",
	       address);
	expect(check,
	       !run->writable || (allow.write && (run->exclusive || (vma->flags & VMA_SHARED))),
	       "a writable leaf is not exclusive, or its VMA not writable", address);
	expect(check, !run->shadow_stack || (vma->flags & VMA_SHADOW_STACK),
	       "entry is read-only and hardware-dirty", address);
	/* Protection may outlive a registration. */
	expect(check, !run->uffd_wp || space_hooks(check->space),
	       "a protected leaf without userfaultfd", address);
	expect(check, !run->uffd_wp || !run->writable || !(vma->flags & VMA_UFFD_WP),
	       "a protected leaf is writable", address);
	expect(check, !run->special || run->device || !(run->writable || run->dirty),
	       "the zero page is writable or dirty", address);
	if (!run->counted)
		return;
	for (; address < run->end; address += PAGE_SIZE)
		check_page(check, run, vma, address);
}

static void check_swap(struct check *check, const struct table_run *run, const struct vma *vma)
{
	struct quire_machine *machine = check->space->machine;
	uint64_t pages = (run->end - run->start) >> PAGE_SHIFT;

	check->resident[RESIDENT_SWAP] += pages;
	expect(check, !(vma->flags & VMA_SHARED), "a shared mapping has a swap entry", run->start);
	for (uint64_t i = 0; i < pages; i++) {
		uint64_t slot = run->number + i, address = run->start + (i << PAGE_SHIFT);
		uint64_t count = swap_count(machine, slot);

		expect(check, count, "a swap entry names a slot that is not in use", address);
		expect(check, !run->exclusive || count <= 1,
		       "an exclusive swap entry's slot has other users", address);
		check_name_slot(check, slot);
	}
}

static void check_run(struct check *check, const struct table_run *run, const struct vma *vma)
{
	if (run->kind == QUIRE_ENTRY_ABSENT)
		return;
	if (!vma) {
		check_violation(check, "an entry stands where nothing is mapped", run->start);
		return;
	}
	if (run->kind == QUIRE_ENTRY_LEAF)
		check_leaf(check, run, vma);
	else if (run->kind == QUIRE_ENTRY_SWAP)
		check_swap(check, run, vma);
	else if (run->kind == QUIRE_ENTRY_GUARD)
		expect(check, vma->flags & VMA_GUARD, "a guard marker in a VMA without guards",
		       run->start);
	else if (run->kind == QUIRE_ENTRY_MARKER)
		expect(check, run->uffd_wp && space_hooks(check->space),
		       "a protecting marker without userfaultfd", run->start);
	else if (run->kind == QUIRE_ENTRY_MIGRATION)
		check_violation(check, "a migration entry is left over", run->start);
	else if (run->kind != QUIRE_ENTRY_POISON)
		check_violation(check, "an entry of a kind that this memory has not", run->start);
}

/* Calls `visit` for every run of [start, end) with its VMA, or NULL between VMAs; no run goes
 * beyond its VMA. */
static void each_run(struct check *check, uint64_t start, uint64_t end,
		     void (*visit)(struct check *, const struct table_run *, const struct vma *))
{
	struct table_run run;

	for (uint64_t address = start; address < end; address = run.end) {
		const struct vma *vma = vma_find(check->space, address);
		uint64_t stop = !vma ? end : vma->start > address ? vma->start : vma->end;

		if (!vma_holds(vma, address))
			vma = NULL;
		table_run(&check->space->tables, address, min_u64(stop, end), false, &run);
		visit(check, &run, vma);
	}
}

/* Tables first: through wrong ones there is no way to the entries. */
static void check_entries(struct check *check, uint64_t start, uint64_t end)
{
	unsigned before = check->violations;

	table_check(&check->space->tables, start, end, check_violation, check);
	if (check->violations == before)
		each_run(check, start, min_u64(end, check->space->highest), check_run);
}

static void check_space(struct check *check, struct quire_space *space)
{
	unsigned before;

	check->space = space;
	memset(check->resident, 0, sizeof(check->resident));
	expect(check, vma_tree_valid(space), "the VMA tree or its counters are wrong", 0);
	for (const struct vma *vma = vma_first(space); vma; vma = vma_next(vma))
		check_lists(check, space, vma);
	before = check->violations;
	check_entries(check, 0, table_address_end());
	for (unsigned kind = 0; check->violations == before && kind < RESIDENT_KINDS; kind++)
		expect(check, check->resident[kind] == space->tables.resident[kind],
		       "resident pages differ from the leaves", 0);
	check->space = NULL;
}

static void forget_run(struct check *check, const struct table_run *run, const struct vma *vma)
{
	(void)vma;
	for (uint64_t at = run->start; run->counted && at < run->end; at = next_leaf(run, at))
		page_folio(check, run, at)->head.content.seen = 0;
}

static void count_run(struct check *check, const struct table_run *run, const struct vma *vma)
{
	(void)vma;
	for (uint64_t at = run->start; run->counted && at < run->end; at = next_leaf(run, at)) {
		struct folio *folio = page_folio(check, run, at);

		if (folio->head.content.seen++ == 0 && !folio_of_object(folio))
			check->anonymous += (uint64_t)1 << folio->head.order;
	}
}

static void compare_run(struct check *check, const struct table_run *run, const struct vma *vma)
{
	(void)vma;
	for (uint64_t address = run->start; run->counted && address < run->end;
	     address = next_leaf(run, address)) {
		const struct folio *folio = page_folio(check, run, address);

		expect(check, folio->head.content.seen == folio_mappings(folio),
		       "a frame's mappings differ from its leaves", address);
		/* Of an object's page the cache has one. */
		expect(check,
		       folio_of_object(folio) || folio_references(folio) == !!folio_slot(folio),
		       "a page has references left over", address);
	}
}

static void each_space_run(struct check *check, struct quire_machine *machine,
			   void (*visit)(struct check *, const struct table_run *,
					 const struct vma *))
{
	struct list_link *link;

	for (link = machine->spaces.next; link != &machine->spaces; link = link->next) {
		check->space = container_of(link, struct quire_space, link);
		each_run(check, 0, check->space->highest, visit);
	}
	check->space = NULL;
}

/* Adds the pages that nothing but pins holds; checks the count of all pins. */
static void count_pinned(struct check *check, struct quire_machine *machine)
{
	uint64_t pins = 0;

	/* Without pins the descriptors of memory that was never used need not be looked at. */
	for (uint64_t i = 0; machine->pins && i < machine->frames.count; i++) {
		const struct folio *folio = frame_folio(&machine->frames.descriptors[i]);

		if (folio->head.kind != FRAME_ANON && !folio_of_object(folio))
			continue;
		pins += folio_pins(folio);
		if (!folio_pins(folio))
			continue;
		if (folio->head.kind == FRAME_ANON)
			check->anonymous += !folio_mappings(folio);
		else
			check->cached += !folio->head.content.owner;
	}
	expect(check, pins == machine->pins, "the count of pins is wrong", 0);
}

static void check_frames(struct check *check, struct quire_machine *machine)
{
	struct quire_machine_counters counters;
	uint64_t tables = 0, spaces = 0;
	struct list_link *link;

	each_space_run(check, machine, forget_run);
	each_space_run(check, machine, count_run);
	each_space_run(check, machine, compare_run);
	count_pinned(check, machine);
	check_memory(check, machine);
	for (link = machine->spaces.next; link != &machine->spaces; link = link->next, spaces++)
		tables += container_of(link, struct quire_space, link)->tables.frames;
	quire_machine_count(machine, &counters);
	expect(check, counters.spaces == spaces, "the count of spaces is wrong", 0);
	expect(check, counters.frames_table == tables, "frames of tables are missing or left over",
	       0);
	expect(check, counters.frames_anon == check->anonymous,
	       "frames of pages that nothing maps are left over", 0);
	expect(check,
	       counters.frames == counters.frames_free + counters.frames_table +
					  counters.frames_slab + counters.frames_anon +
					  counters.frames_shmem + counters.frames_file +
					  counters.frames_node + counters.frames_swap,
	       "frames used and free do not add up", 0);
}

int quire_check(struct quire_machine *machine, const struct quire_text *text)
{
	struct check check = {.text = text};
	struct list_link *link;

	expect(&check, frames_valid(machine), "the frame allocator's lists are wrong", 0);
	expect(&check, slabs_valid(machine), "the slabs are wrong", 0);
	for (link = machine->spaces.next; link != &machine->spaces; link = link->next)
		check_space(&check, container_of(link, struct quire_space, link));
	/* With wrong entries the recount would only repeat it, or follow them astray. */
	if (!check.violations)
		check_frames(&check, machine);
	return check.violations ? -QUIRE_EUCLEAN : 0;
}

int quire_check_range(struct quire_space *space, uint64_t start, uint64_t end,
		      const struct quire_text *text)
{
	struct check check = {.text = text, .space = space};

	start = page_down(start);
	end = min_u64(end > UINT64_MAX - PAGE_SIZE ? end : page_up(end), space->highest);
	if (start >= end)
		return 0;
	/* While no page is on its way, and no fault changes an entry. */
	quire_port_read_lock(space->machine->host, &space->machine->migration);
	space_write_lock(space);
	check_entries(&check, start, end);
	space_write_unlock(space);
	quire_port_read_unlock(space->machine->host, &space->machine->migration);
	return check.violations ? -QUIRE_EUCLEAN : 0;
}
