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
 * Tables that it takes to split what ends the path to `address` down to the level that the address is
 * aligned to: an entry that reaches over it, and for EDGES_FILL also one where nothing stands.
 */
static unsigned edge_cost(struct page_tables *tables, uint64_t address, enum table_edges edges)
{
	struct cursor cursor;
	unsigned cost = 0;

	if (address >= table_address_end())
		return 0;
	cursor_begin(&cursor, tables, address, address + PAGE_SIZE, NULL);
	if (edges == EDGES_FILL || !entry_is_absent(cursor_entry(&cursor)))
		cost = levels_misaligned(address, cursor.level);
	cursor_end(&cursor);
	return cost;
}

unsigned table_edges_cost(struct page_tables *tables, uint64_t start, uint64_t end,
			  enum table_edges edges)
{
	return edge_cost(tables, start, edges) + edge_cost(tables, end, edges);
}

static void cut(struct page_tables *tables, uint64_t address, struct table_reserve *reserve)
{
	struct cursor cursor;

	if (address >= table_address_end())
		return;
	cursor_begin(&cursor, tables, address, address + PAGE_SIZE, NULL);
	while (!entry_is_absent(cursor_entry(&cursor)) && !level_aligned(address, cursor.level))
		cursor_push_down(&cursor, reserve);
	cursor_end(&cursor);
}

void table_cut_edges(struct page_tables *tables, uint64_t start, uint64_t end,
		     struct table_reserve *reserve)
{
	cut(tables, start, reserve);
	cut(tables, end, reserve);
}

int table_cut_range(struct page_tables *tables, uint64_t start, uint64_t end)
{
	struct table_reserve reserve = {0};
	int error = table_reserve(tables->machine, &reserve,
				  table_edges_cost(tables, start, end, EDGES_CUT));

	if (error)
		return error;
	table_cut_edges(tables, start, end, &reserve);
	table_unreserve(tables->machine, &reserve);
	return 0;
}
