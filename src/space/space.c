/* SPDX-License-Identifier: MIT */
/*
 * Making and ending address spaces, and the CPUs in them.
 */
#include "space/hooks.h"

static bool bounds_valid(const struct quire_space_config *config)
{
	return page_aligned(config->lowest) && page_aligned(config->highest) &&
	       page_aligned(config->mmap_base) && config->lowest < config->mmap_base &&
	       config->mmap_base <= config->highest && config->highest <= table_address_end();
}

static void link_space(struct quire_space *space)
{
	struct quire_machine *machine = space->machine;

	machine_lock(machine, &machine->spaces_lock);
	list_insert_after(machine->spaces.previous, &space->link);
	machine->space_count++;
	space->tables.tag = ++machine->next_tag;
	machine_unlock(machine, &machine->spaces_lock);
}

static void unlink_space(struct quire_space *space)
{
	struct quire_machine *machine = space->machine;

	machine_lock(machine, &machine->spaces_lock);
	list_remove(&space->link);
	machine->space_count--;
	machine_unlock(machine, &machine->spaces_lock);
}

/* Lock for writing: whether the leaf that has gone was where the format allows it. */
static void gone_shadow_stack(struct page_tables *tables, uint64_t address)
{
	struct quire_space *space = container_of(tables, struct quire_space, tables);
	const struct vma *vma = vma_find(space, address);

	if (vma_holds(vma, address) && (vma->flags & VMA_SHADOW_STACK))
		return;
	machine_bump(space->machine, COUNT_SHADOW_STACKS);
	machine_log(space->machine, "a page of no shadow stack has the encoding of one, at",
		    address);
}

/* `config` has its defaults filled in.  NULL: no frames. */
static struct quire_space *space_new(struct quire_machine *machine,
				     const struct quire_space_config *config)
{
	struct quire_space *space = slab_alloc(machine, sizeof(*space));

	if (!space)
		return NULL;
	space->tables.root = table_root_new(machine, config->root_entries, config->root_entry_first,
					    config->root_entry_count);
	if (!space->tables.root) {
		slab_free(machine, space);
		return NULL;
	}
	space->machine = space->tables.machine = machine;
	space->tables.gone_shadow_stack = gone_shadow_stack;
	space->users = 1;
	space->tables.frames = (uint64_t)1 << space->tables.root->order;
	space->lowest = config->lowest;
	space->highest = config->highest;
	space->mmap_base = config->mmap_base;
	vma_tree_init(space);
	link_space(space);
	return space;
}

int quire_space_create(struct quire_machine *machine, const struct quire_space_config *config,
		       struct quire_space **space)
{
	struct quire_space_config filled = *config;
	unsigned tries = 0;

	if (!filled.highest)
		filled.highest = table_address_end() - PAGE_SIZE;
	if (!filled.mmap_base)
		filled.mmap_base = filled.highest;
	if (!bounds_valid(&filled))
		return -QUIRE_EINVAL;
	if (filled.root_entry_count &&
	    !table_root_range_valid(filled.root_entry_first, filled.root_entry_count,
				    filled.highest))
		return -QUIRE_EINVAL;
	do {
		*space = space_new(machine, &filled);
		if (*space)
			return 0;
	} while (machine_reclaim(machine, &tries));
	return -QUIRE_ENOMEM;
}

struct quire_space *space_new_like(struct quire_space *like)
{
	const struct quire_space_config config = {
		.lowest = like->lowest,
		.highest = like->highest,
		.mmap_base = like->mmap_base,
	};
	struct quire_space *space = space_new(like->machine, &config);

	if (space)
		table_root_copy_host(like->machine, like->tables.root, space->tables.root,
				     like->highest);
	return space;
}

static bool no_cpu(const struct quire_space *space)
{
	for (unsigned i = 0; i < space->machine->cpu_words; i++)
		if (quire_cpus_word(&space->tables.cpus, i))
			return false;
	return true;
}

void quire_space_destroy(struct quire_space *space)
{
	const struct userfault_hooks *hooks = space_hooks(space);
	struct gather gather;

	quire_assert(no_cpu(space));
	if (hooks)
		hooks->gone(space);
	space_write_lock(space);
	gather_begin(&gather, &space->tables, QUIRE_NOTIFIER_UNMAP);
	table_zap(&space->tables, 0, table_address_end(), ZAP_ALL, &gather);
	gather_end(&gather);
	vma_free_all(space);
	space_write_unlock(space);
	space_release_notifiers(space);
	unlink_space(space);
	space_put(space);
}

void space_put(struct quire_space *space)
{
	struct quire_machine *machine = space->machine;

	if (atomic_fetch_sub_explicit(&space->users, 1, memory_order_acq_rel) > 1)
		return;
	table_root_free(machine, space->tables.root);
	slab_free(machine, space);
}

/* The list is in the order of tags; spaces_lock. */
static struct quire_space *first_behind(struct quire_machine *machine, uint64_t tag)
{
	for (struct list_link *link = machine->spaces.next; link != &machine->spaces;
	     link = link->next) {
		struct quire_space *space = container_of(link, struct quire_space, link);

		if (space->tables.tag > tag)
			return space;
	}
	return NULL;
}

/* Where it stands in the list, or would, if it has left that; spaces_lock. */
static struct quire_space *behind(struct quire_machine *machine, struct quire_space *space)
{
	struct list_link *next = space->link.next;

	if (next == &space->link)
		return first_behind(machine, space->tables.tag);
	return next == &machine->spaces ? NULL : container_of(next, struct quire_space, link);
}

struct quire_space *space_next(struct quire_machine *machine, struct quire_space *space)
{
	struct quire_space *next;

	machine_lock(machine, &machine->spaces_lock);
	next = space ? behind(machine, space) : first_behind(machine, 0);
	if (next && !QUIRE_MISTAKE(WALK_BORROWS_SPACE))
		space_get(next);
	machine_unlock(machine, &machine->spaces_lock);
	if (space && !QUIRE_MISTAKE(WALK_BORROWS_SPACE))
		space_put(space);
	return next;
}

uint64_t quire_space_root(const struct quire_space *space)
{
	return frame_number(space->machine, space->tables.root);
}

uint64_t quire_space_tag(const struct quire_space *space)
{
	return space->tables.tag;
}

struct quire_machine *quire_space_machine(const struct quire_space *space)
{
	return space->machine;
}

static _Atomic uint64_t *cpu_word(struct quire_space *space, unsigned cpu)
{
	quire_assert(cpu / 64 < space->machine->cpu_words);
	return &space->tables.cpus.word[cpu / 64];
}

void quire_space_enter(struct quire_space *space, unsigned cpu)
{
	atomic_fetch_or(cpu_word(space, cpu), (uint64_t)1 << cpu % 64);
}

void quire_space_leave(struct quire_space *space, unsigned cpu)
{
	atomic_fetch_and(cpu_word(space, cpu), ~((uint64_t)1 << cpu % 64));
}
