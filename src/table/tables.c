/* SPDX-License-Identifier: MIT */
/*
 * Making page tables: roots, tables in reserve, and cutting.
 */
#include "table/cursor.h"

int table_reserve(struct quire_machine *machine, struct table_reserve *reserve, unsigned count)
{
	struct table_reserve more = {0};

	while (more.count < count) {
		struct frame *table = frame_alloc(machine, 0);

		if (!table) {
			table_unreserve(machine, &more);
			return -NO_FRAMES;
		}
		table->next = more.chain;
		more.chain = table;
		more.count++;
	}
	while (more.chain) {
		struct frame *table = more.chain;

		more.chain = table->next;
		table->next = reserve->chain;
		reserve->chain = table;
	}
	reserve->count += count;
	return 0;
}

void table_unreserve(struct quire_machine *machine, struct table_reserve *reserve)
{
	frame_free_chain(machine, reserve->chain);
	*reserve = (struct table_reserve){0};
}

uint64_t table_address_end(void)
{
	return (uint64_t)1 << ARCH_ADDRESS_BITS;
}

bool table_root_range_valid(unsigned first, unsigned count, uint64_t highest)
{
	const unsigned top = ARCH_LEVELS - 1;
	unsigned entries = arch_entries(top);

	return first < entries && count <= entries - first &&
	       ((uint64_t)first << arch_shift(top)) >= highest;
}

struct frame *table_root_new(struct quire_machine *machine, const uint64_t *entries, unsigned first,
			     unsigned count)
{
	const unsigned top = ARCH_LEVELS - 1;
	struct frame *root = frame_alloc(machine, arch_table_order(top));

	if (!root)
		return NULL;
	memset(frame_memory(machine, root), 0, PAGE_SIZE << root->order);
	frame_set_kind(machine, root, FRAME_TABLE);
	root->lock = (struct quire_lock){0};
	root->table.live = 0;
	root->table.marks = 0;
	root->table.level = top;
	root->table.locked = false;
	for (unsigned i = 0; i < count; i++)
		atomic_store_explicit(table_slot(machine, root, first + i), entries[i],
				      memory_order_relaxed);
	return root;
}

void table_root_copy_host(struct quire_machine *machine, struct frame *from, struct frame *to,
			  uint64_t highest)
{
	const unsigned top = ARCH_LEVELS - 1;
	unsigned index = (unsigned)((highest - 1) >> arch_shift(top)) + 1;

	for (; index < arch_entries(top); index++)
		atomic_store_explicit(table_slot(machine, to, index),
				      slot_load(table_slot(machine, from, index)),
				      memory_order_relaxed);
}

void table_root_free(struct quire_machine *machine, struct frame *root)
{
	quire_assert(root->table.live == 0);
	frame_free(machine, root);
}

/*
 * What ends the path to `address` must become a table if the address cuts it in two, and so must
 * that table's entry, down to the level that the address is aligned to.
 */
static unsigned path_cost(struct page_tables *tables, uint64_t address, bool absent)
{
	struct cursor cursor;
	unsigned cost = 0;

	if (address >= table_address_end())
		return 0;
	cursor_begin(&cursor, tables, address, address + PAGE_SIZE, NULL);
	if (entry_is_absent(cursor_entry(&cursor)) == absent)
		cost = levels_misaligned(address, cursor.level);
	cursor_end(&cursor);
	return cost;
}

unsigned table_cut_cost(struct page_tables *tables, uint64_t address)
{
	return path_cost(tables, address, false);
}

unsigned table_fill_cost(struct page_tables *tables, uint64_t address)
{
	return path_cost(tables, address, true);
}

void table_cut(struct page_tables *tables, uint64_t address, struct table_reserve *reserve)
{
	struct cursor cursor;

	if (address >= table_address_end())
		return;
	cursor_begin(&cursor, tables, address, address + PAGE_SIZE, NULL);
	while (!entry_is_absent(cursor_entry(&cursor)) && !level_aligned(address, cursor.level))
		cursor_push_down(&cursor, reserve);
	cursor_end(&cursor);
}
