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

static void fill(struct soft_cpu *cpu, uint64_t address, uint64_t allow, uint64_t offset)
{
	unsigned index = tlb_index(address);
	uint64_t page = address & SOFT_TLB_PAGE;

	cpu->tlb[index].key = (allow & SOFT_TLB_READ ? page : page ^ QUIRE_PAGE_SIZE) | allow;
	cpu->tlb[index].offset = offset;
	cpu->valid[index / 64] |= (uint64_t)1 << index % 64;
}

/*
 * A walk for a fetch does not prove that the leaf can be read, one for a load or store does; and
 * one that did not set the dirty bit grants stores only where that was set already.
 */
static uint64_t granted(enum quire_access access, const struct quire_translation *translation)
{
	if (access == QUIRE_EXECUTE)
		return SOFT_TLB_EXECUTE;
	return SOFT_TLB_READ | (translation->writable ? SOFT_TLB_WRITE : 0) |
	       (translation->executable ? SOFT_TLB_EXECUTE : 0);
}

/* --- large leaves --- */

/* Where a leaf of some size that holds `address` would be. */
static struct soft_large_entry *large_entry(struct soft_cpu *cpu, uint64_t address, bool huge)
{
	if (huge)
		return &cpu->large[SOFT_LARGE + address / SOFT_HUGE_REGION % SOFT_HUGE];
	return &cpu->large[address / SOFT_WALK_REGION % SOFT_LARGE];
}

/* A leaf that holds the page and allows the access: the page gets an entry of its own. */
static unsigned char *lookup_large(struct soft_cpu *cpu, uint64_t address, enum quire_access access)
{
	for (unsigned huge = 0; huge < 2; huge++) {
		const struct soft_large_entry *entry = large_entry(cpu, address, huge);

		if (address - entry->start >= entry->end - entry->start ||
		    !(entry->allow & tlb_allow(access)))
			continue;
		fill(cpu, address, entry->allow, entry->offset);
		return (unsigned char *)(uintptr_t)(address + entry->offset);
	}
	return NULL;
}

/* Forgets what overlaps [start, end), or that it grants stores. */
static void forget_large(struct soft_cpu *cpu, uint64_t start, uint64_t end, bool write_only)
{
	for (unsigned i = 0; i < SOFT_LARGE + SOFT_HUGE; i++) {
		struct soft_large_entry *entry = &cpu->large[i];

		if (entry->start >= end || entry->end <= start)
			continue;
		if (write_only)
			entry->allow &= ~SOFT_TLB_WRITE;
		else
			*entry = (struct soft_large_entry){0};
	}
}

/* --- walks --- */

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

/* Before a leaf is kept: as touch(), for all the regions that it lies in. */
static void touch_all(struct soft_cpu *cpu, uint64_t start, uint64_t end)
{
	for (; start < end; start += SOFT_WALK_REGION)
		touch(cpu, start);
}

/* The walk to `address` has met a leaf of these bytes: keeps it, if it is still there. */
static void keep_large(struct soft_cpu *cpu, uint64_t address, enum quire_access access,
		       uint64_t bytes)
{
	uint64_t start = address & ~(bytes - 1);
	bool huge = bytes > SOFT_WALK_REGION;
	struct quire_translation translation;
	struct quire_walk walk = {0};

	if (bytes > SOFT_HUGE_REGION)
		return;
	/* A flusher of another region may have looked before that was touched: so once more. */
	touch_all(cpu, start, start + bytes);
	if (!quire_translate_from(cpu->space, address, access, &walk, &translation) ||
	    translation.bytes != bytes)
		return;
	*large_entry(cpu, address, huge) = (struct soft_large_entry){
		.start = start,
		.end = start + bytes,
		.allow = granted(access, &translation),
		.offset = (uint64_t)(uintptr_t)translation.memory - (address & SOFT_TLB_PAGE),
	};
	cpu->any_large = true;
}

unsigned char *soft_tlb_reach(struct soft_cpu *cpu, uint64_t address, enum quire_access access)
{
	unsigned char *place = lookup(cpu, address, access);
	struct quire_walk *walk = walk_of(cpu, address);
	struct quire_translation translation;

	if (!place && cpu->any_large)
		place = lookup_large(cpu, address, access);
	if (place)
		return place;
	cpu->counters.walks++;
	touch(cpu, address);
	if (!quire_translate_from(cpu->space, address, access, walk, &translation))
		return NULL;
	__builtin_prefetch(translation.memory + address % QUIRE_PAGE_SIZE);
	if (walk->length > SOFT_WALK_REGION)
		*walk = (struct quire_walk){0}; /* it would not be found to be forgotten */
	fill(cpu, address, granted(access, &translation),
	     (uint64_t)(uintptr_t)translation.memory - (address & SOFT_TLB_PAGE));
	if (translation.bytes > QUIRE_PAGE_SIZE)
		keep_large(cpu, address, access, translation.bytes);
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
	if (cpu->any_large)
		forget_large(cpu, 0, UINT64_MAX, false);
	cpu->any_large = false;
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
	if (cpu->any_large)
		forget_large(cpu, start, end, flush->write_only);
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

/* An entry of either TLB claims that a page is at `memory`, and `allow`. */
struct claim {
	uint64_t page;
	unsigned char *memory;
	uint64_t allow;
};

/* What it claims beyond what the leaf says, or NULL. */
static const char *tlb_excess(const struct soft_cpu *cpu, struct claim claim,
			      const struct quire_entry_report *leaf)
{
	if (leaf->kind != QUIRE_ENTRY_LEAF || !leaf->has_frame)
		return "translates a page that has no leaf";
	if (!leaf->user)
		return "translates a page that the user may not reach";
	if (soft_machine_frame(cpu->machine, leaf_frame(leaf, claim.page)) != claim.memory)
		return "holds another frame than the leaf";
	if ((claim.allow & SOFT_TLB_READ) && !leaf->readable)
		return "grants loads from a page that is not readable";
	if ((claim.allow & SOFT_TLB_WRITE) && !leaf->writable)
		return "grants stores to a page that is not writable";
	if ((claim.allow & SOFT_TLB_WRITE) && !leaf->dirty)
		return "grants stores to a page that is clean";
	if ((claim.allow & SOFT_TLB_EXECUTE) && !leaf->exec)
		return "grants fetches from a page that is not executable";
	return NULL;
}

/* Whether all that is claimed of [start, end) is so; else what is not is in `text`. */
static bool claims_hold(struct soft_cpu *cpu, uint64_t start, uint64_t end, uint64_t offset,
			uint64_t allow, char *text, size_t size)
{
	struct quire_entry_report leaf;

	for (uint64_t page = start; page < end; page = leaf.end) {
		struct claim claim = {page, (unsigned char *)(uintptr_t)(page + offset), allow};
		const char *excess;

		if (!cpu->space)
			excess = "is not empty outside of any space";
		else if (quire_entry(cpu->space, page, &leaf))
			excess = "translates an address beyond the address space";
		else
			excess = tlb_excess(cpu, claim, &leaf);
		if (!excess)
			continue;
		snprintf(text, size, "CPU %u: the TLB entry of 0x%llx %s", cpu->number,
			 (unsigned long long)page, excess);
		return false;
	}
	return true;
}

bool soft_tlb_check(struct soft_cpu *cpu, char *text, size_t size)
{
	soft_flush_drain(cpu);
	for (unsigned i = 0; i < SOFT_TLB_ENTRIES; i++) {
		const struct soft_tlb_entry *entry = &cpu->tlb[i];
		uint64_t page = tlb_page(entry->key);

		if ((entry->key & ~SOFT_TLB_PAGE) &&
		    !claims_hold(cpu, page, page + QUIRE_PAGE_SIZE, entry->offset,
				 entry->key & ~SOFT_TLB_PAGE, text, size))
			return false;
	}
	for (unsigned i = 0; i < SOFT_LARGE + SOFT_HUGE; i++) {
		const struct soft_large_entry *entry = &cpu->large[i];

		if (!claims_hold(cpu, entry->start, entry->end, entry->offset, entry->allow, text,
				 size))
			return false;
	}
	return true;
}
