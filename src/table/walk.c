/* SPDX-License-Identifier: MIT */
/*
 * The walk that hardware does, for hosts whose MMU is software.
 */
#include "table/cursor.h"

static bool allows(entry_t leaf, unsigned level, enum quire_access access)
{
	if (!entry_accessible(leaf))
		return false;
	if (access == QUIRE_WRITE)
		return entry_writable(leaf);
	if (access == QUIRE_SHADOW_STACK)
		return entry_shadow_stack(leaf, level);
	if (access == QUIRE_EXECUTE)
		return entry_executable(leaf);
	return entry_readable(leaf);
}

/* As the hardware: accessed and dirty are set before the access, and only in an entry that still
 * allows it; or the access faults where they are not (`software`). */
static bool use_leaf(_Atomic entry_t *slot, entry_t *leaf, unsigned level, enum quire_access access,
		     bool software)
{
	entry_t used;

	do {
		if (!entry_is_leaf(*leaf, level) || !allows(*leaf, level, access))
			return false;
		used = entry_set_young(*leaf, true);
		if (access == QUIRE_WRITE)
			used = entry_set_dirty(used, true);
		if (used == *leaf || software)
			return used == *leaf;
	} while (!atomic_compare_exchange_weak_explicit(slot, leaf, used, memory_order_acq_rel,
							memory_order_acquire));
	*leaf = used;
	return true;
}

/* The entry that ends the way to `address`, and its level; remembers the table at the lowest. */
static _Atomic entry_t *descend(struct page_tables *tables, uint64_t address,
				struct quire_walk *walk, unsigned *level)
{
	struct frame *table = tables->root;
	_Atomic entry_t *slot;
	entry_t entry;

	for (*level = ARCH_LEVELS - 1;; --*level) {
		slot = table_slot(tables->machine, table, level_index(address, *level));
		entry = slot_load(slot);
		if (!entry_is_table(entry, *level))
			break;
		table = table_below(tables, entry);
	}
	if (*level == 0)
		*walk = (struct quire_walk){
			.start = address & ~(level_span(1) - 1),
			.length = level_span(1),
			.table = frame_memory(tables->machine, table),
		};
	return slot;
}

bool table_translate(struct page_tables *tables, uint64_t address, enum quire_access access,
		     struct quire_walk *walk, struct quire_translation *translation)
{
	unsigned level = 0;
	_Atomic entry_t *slot;
	entry_t entry;

	if (address >= table_address_end())
		return false;
	if (address - walk->start < walk->length)
		slot = (_Atomic entry_t *)walk->table + level_index(address, 0);
	else
		slot = descend(tables, address, walk, &level);
	entry = slot_load(slot);
	if (!use_leaf(slot, &entry, level, access, tables->machine->software_accessed))
		return false;
	translation->frame = leaf_page(entry, level, address).number;
	translation->memory = page_memory(tables->machine, (struct page){translation->frame});
	translation->level = (uint8_t)level;
	translation->bytes = level_span(level);
	translation->writable = entry_writable(entry) && entry_dirty(entry);
	translation->executable = entry_executable(entry);
	return true;
}
