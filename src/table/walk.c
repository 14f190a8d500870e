/* SPDX-License-Identifier: MIT */
/*
 * The walk that hardware does, for hosts whose MMU is software.
 */
#include "table/cursor.h"

static bool allows(entry_t leaf, enum quire_access access)
{
	if (!entry_accessible(leaf))
		return false;
	if (access == QUIRE_WRITE)
		return entry_writable(leaf);
	if (access == QUIRE_EXECUTE)
		return entry_executable(leaf);
	return entry_readable(leaf);
}

/* As the hardware: accessed and dirty are set before the access, and only in an entry that still
 * allows it. */
static bool use_leaf(_Atomic entry_t *slot, entry_t *leaf, unsigned level, enum quire_access access)
{
	entry_t used;

	do {
		if (!entry_is_leaf(*leaf, level) || !allows(*leaf, access))
			return false;
		used = entry_set_young(*leaf, true);
		if (access == QUIRE_WRITE)
			used = entry_set_dirty(used, true);
		if (used == *leaf)
			return true;
	} while (!atomic_compare_exchange_weak_explicit(slot, leaf, used, memory_order_acq_rel,
							memory_order_acquire));
	*leaf = used;
	return true;
}

bool table_translate(struct page_tables *tables, uint64_t address, enum quire_access access,
		     struct quire_translation *translation)
{
	struct frame *table = tables->root;
	unsigned level = ARCH_LEVELS - 1;
	_Atomic entry_t *slot;
	entry_t entry;

	if (address >= table_address_end())
		return false;
	for (;; level--) {
		slot = table_slot(tables->machine, table, level_index(address, level));
		entry = slot_load(slot);
		if (!entry_is_table(entry, level))
			break;
		table = leaf_frame(tables, entry);
	}
	if (!use_leaf(slot, &entry, level, access))
		return false;
	translation->frame =
		entry_frame(entry) + ((address & (level_span(level) - 1)) >> PAGE_SHIFT);
	translation->memory =
		frame_memory(tables->machine, frame_at(tables->machine, translation->frame));
	translation->level = (uint8_t)level;
	translation->writable = entry_writable(entry) && entry_dirty(entry);
	translation->executable = entry_executable(entry);
	return true;
}
