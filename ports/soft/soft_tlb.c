/* SPDX-License-Identifier: MIT */
/*
 * The TLB of a CPU.  Only the thread that uses the CPU reads or writes it; others post what they
 * want forgotten to the CPU's mailbox (soft_flush.c).  What an entry is: see the end of soft.h.
 */
#include "soft_internal.h"

#include <stdio.h>
#include <string.h>

/* Up to this many pages are looked up one by one to be forgotten; beyond, all valid entries are. */
#define FORGET_BY_PAGE 32

static uint64_t tlb_allow(enum quire_access access)
{
	switch (access) {
	case QUIRE_READ:
		return SOFT_TLB_READ;
	case QUIRE_WRITE:
		return SOFT_TLB_WRITE;
	case QUIRE_SHADOW_STACK:
		return 0; /* these CPUs have no such accesses */
	case QUIRE_EXECUTE:
		break;
	}
	return SOFT_TLB_EXECUTE;
}

static unsigned tlb_index(uint64_t address)
{
	return (address >> QUIRE_PAGE_SHIFT) % SOFT_TLB_ENTRIES;
}

/* Page 1 does not belong in entry 0, nor page 0 in any other: no access matches that. */
const struct soft_tlb_entry soft_tlb_nothing[SOFT_TLB_ENTRIES] = {{.key = QUIRE_PAGE_SIZE}};

/* The page of an entry that is not empty; see soft.h. */
static uint64_t tlb_page(uint64_t key)
{
	return (key & SOFT_TLB_PAGE) ^ (key & SOFT_TLB_READ ? 0 : QUIRE_PAGE_SIZE);
}

static unsigned char *lookup(const struct soft_cpu *cpu, uint64_t address, enum quire_access access)
{
	const struct soft_tlb_entry *entry = &cpu->tlb[tlb_index(address)];

	if (!(entry->key & tlb_allow(access)) || tlb_page(entry->key) != (address & SOFT_TLB_PAGE))
		return NULL;
	return (unsigned char *)(uintptr_t)(address + entry->offset);
}

/*
 * A walk for a fetch does not prove that the leaf can be read, one for a load or store does; and
 * one that did not set the dirty bit grants stores only where that was set already.
 */
static void fill(struct soft_cpu *cpu, uint64_t address, enum quire_access access,
		 const struct quire_translation *translation)
{
	unsigned index = tlb_index(address);
	struct soft_tlb_entry *entry = &cpu->tlb[index];
	uint64_t page = address & SOFT_TLB_PAGE;

	if (access == QUIRE_EXECUTE)
		entry->key = (page ^ QUIRE_PAGE_SIZE) | SOFT_TLB_EXECUTE;
	else
		entry->key = page | SOFT_TLB_READ | (translation->writable ? SOFT_TLB_WRITE : 0) |
			     (translation->executable ? SOFT_TLB_EXECUTE : 0);
	entry->offset = (uint64_t)(uintptr_t)translation->memory - page;
	cpu->valid[index / 64] |= (uint64_t)1 << index % 64;
}

/* Where a walk to `address` may begin. */
static struct quire_walk *walk_of(struct soft_cpu *cpu, uint64_t address)
{
	return &cpu->walk[address / SOFT_WALK_REGION % SOFT_WALKS];
}

/*
 * Before an entry of the region is looked at: a flusher whose change the walk does not see has to know
 * of it.  Both do a read-modify-write of the word, so the later one sees what the other had done.
 */
static void touch(struct soft_cpu *cpu, uint64_t address)
{
	uint64_t region = address / SOFT_WALK_REGION % SOFT_WALKS;
	_Atomic uint64_t *word = &cpu->touched[region / 64];
	uint64_t bit = (uint64_t)1 << region % 64;

	if (!(atomic_load_explicit(word, memory_order_relaxed) & bit))
		atomic_fetch_or(word, bit);
}

bool soft_tlb_may_hold(struct soft_cpu *cpu, const struct quire_flush *flush)
{
	uint64_t first = flush->start / SOFT_WALK_REGION,
		 last = (flush->end - 1) / SOFT_WALK_REGION;
	uint64_t mask[SOFT_WALKS / 64] = {0};

	for (uint64_t region = first; region <= last && region - first < SOFT_WALKS; region++)
		mask[region % SOFT_WALKS / 64] |= (uint64_t)1 << region % 64;
	for (unsigned i = 0; i < SOFT_WALKS / 64; i++)
		if (mask[i] && (atomic_fetch_or(&cpu->touched[i], 0) & mask[i]))
			return true;
	return false;
}

unsigned char *soft_tlb_reach(struct soft_cpu *cpu, uint64_t address, enum quire_access access)
{
	unsigned char *place = lookup(cpu, address, access);
	struct quire_walk *walk = walk_of(cpu, address);
	struct quire_translation translation;

	if (place)
		return place;
	cpu->counters.walks++;
	touch(cpu, address);
	if (!quire_translate_from(cpu->space, address, access, walk, &translation))
		return NULL;
	__builtin_prefetch(translation.memory + address % QUIRE_PAGE_SIZE);
	if (walk->length > SOFT_WALK_REGION)
		*walk = (struct quire_walk){0}; /* it would not be found to be forgotten */
	fill(cpu, address, access, &translation);
	return translation.memory + address % QUIRE_PAGE_SIZE;
}

/* Forgets an entry, or that it grants stores. */
static void forget_entry(struct soft_cpu *cpu, unsigned index, bool write_only)
{
	if (write_only) {
		cpu->tlb[index].key &= ~SOFT_TLB_WRITE;
		return;
	}
	cpu->tlb[index] = soft_tlb_nothing[index];
	cpu->valid[index / 64] &= ~((uint64_t)1 << index % 64);
}

/* Costs what is in the TLB, not what the range is. */
static void forget_valid(struct soft_cpu *cpu, uint64_t start, uint64_t end, bool write_only)
{
	for (unsigned i = 0; i < SOFT_TLB_ENTRIES / 64; i++) {
		for (uint64_t valid = cpu->valid[i]; valid; valid &= valid - 1) {
			unsigned index = 64 * i + (unsigned)__builtin_ctzll(valid);

			if (tlb_page(cpu->tlb[index].key) - start < end - start)
				forget_entry(cpu, index, write_only);
		}
	}
}

void soft_tlb_forget_all(struct soft_cpu *cpu)
{
	forget_valid(cpu, 0, UINT64_MAX, false);
	memset(cpu->walk, 0, sizeof(cpu->walk));
	for (unsigned i = 0; i < SOFT_WALKS / 64; i++)
		atomic_store_explicit(&cpu->touched[i], 0, memory_order_release);
}

/* What was remembered on the way to any address of [start, end). */
static void forget_walks(struct soft_cpu *cpu, uint64_t start, uint64_t end)
{
	if (end - start >= SOFT_WALKS * SOFT_WALK_REGION) {
		memset(cpu->walk, 0, sizeof(cpu->walk));
		return;
	}
	for (; start < end; start = (start / SOFT_WALK_REGION + 1) * SOFT_WALK_REGION)
		*walk_of(cpu, start) = (struct quire_walk){0};
}

void soft_tlb_forget(struct soft_cpu *cpu, const struct quire_flush *flush)
{
	uint64_t start = flush->start, end = flush->end;

	forget_walks(cpu, start, end);
	if (end - start > FORGET_BY_PAGE * QUIRE_PAGE_SIZE) {
		forget_valid(cpu, start, end, flush->write_only);
		return;
	}
	for (uint64_t page = start; page < end; page += QUIRE_PAGE_SIZE)
		if (tlb_page(cpu->tlb[tlb_index(page)].key) == page)
			forget_entry(cpu, tlb_index(page), flush->write_only);
}

/* --- the check --- */

/* The hardware frame that a leaf maps at `page`; a large one's first is aligned to its size. */
static uint64_t leaf_frame(const struct quire_entry_report *leaf, uint64_t page)
{
	uint64_t inside = ((leaf->end - leaf->start) >> QUIRE_PAGE_SHIFT) - 1;

	return (leaf->frame & ~inside) | ((page >> QUIRE_PAGE_SHIFT) & inside);
}

/* What the entry of the TLB claims beyond what the leaf says, or NULL. */
static const char *tlb_excess(const struct soft_cpu *cpu, const struct soft_tlb_entry *entry,
			      const struct quire_entry_report *leaf)
{
	uint64_t page = tlb_page(entry->key);

	if (leaf->kind != QUIRE_ENTRY_LEAF || !leaf->has_frame)
		return "translates a page that has no leaf";
	if (!leaf->user)
		return "translates a page that the user may not reach";
	if (soft_machine_frame(cpu->machine, leaf_frame(leaf, page)) !=
	    (unsigned char *)(uintptr_t)(page + entry->offset))
		return "holds another frame than the leaf";
	if ((entry->key & SOFT_TLB_READ) && !leaf->readable)
		return "grants loads from a page that is not readable";
	if ((entry->key & SOFT_TLB_WRITE) && !leaf->writable)
		return "grants stores to a page that is not writable";
	if ((entry->key & SOFT_TLB_WRITE) && !leaf->dirty)
		return "grants stores to a page that is clean";
	if ((entry->key & SOFT_TLB_EXECUTE) && !leaf->exec)
		return "grants fetches from a page that is not executable";
	return NULL;
}

bool soft_tlb_check(struct soft_cpu *cpu, char *text, size_t size)
{
	soft_flush_drain(cpu);
	for (unsigned i = 0; i < SOFT_TLB_ENTRIES; i++) {
		const struct soft_tlb_entry *entry = &cpu->tlb[i];
		uint64_t page = tlb_page(entry->key);
		struct quire_entry_report leaf;
		const char *excess;

		if (!(entry->key & ~SOFT_TLB_PAGE))
			continue;
		if (!cpu->space)
			excess = "is not empty outside of any space";
		else if (quire_entry(cpu->space, page, &leaf))
			excess = "translates an address beyond the address space";
		else
			excess = tlb_excess(cpu, entry, &leaf);
		if (!excess)
			continue;
		snprintf(text, size, "CPU %u: the TLB entry of 0x%llx %s", cpu->number,
			 (unsigned long long)page, excess);
		return false;
	}
	return true;
}
