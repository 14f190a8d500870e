/* SPDX-License-Identifier: MIT */
/*
 * What can be seen of an address space: the kernel's reports, the library's own view, and the
 * invariant checker.
 *
 * All take the space's lock for reading, so they work while a thread sleeps in a fault; they
 * allocate nothing.
 */
#ifndef QUIRE_REPORT_H
#define QUIRE_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <quire/space.h>
#include <quire/text.h>

/* One word of /proc/PID/pagemap, with the frame number left 0. */
#define QUIRE_PAGEMAP_SOFT_DIRTY ((uint64_t)1 << 55)
#define QUIRE_PAGEMAP_EXCLUSIVE	 ((uint64_t)1 << 56)
#define QUIRE_PAGEMAP_UFFD_WP	 ((uint64_t)1 << 57)
#define QUIRE_PAGEMAP_GUARD	 ((uint64_t)1 << 58)
#define QUIRE_PAGEMAP_FILE	 ((uint64_t)1 << 61)
#define QUIRE_PAGEMAP_SWAPPED	 ((uint64_t)1 << 62)
#define QUIRE_PAGEMAP_PRESENT	 ((uint64_t)1 << 63)

/* The words of `pages` pages from `address` on.  -EINVAL: address unaligned or the range wraps.
 * Cost: the range's entries and pages. */
int quire_pagemap(struct quire_space *space, uint64_t address, uint64_t pages, uint64_t *words);

/* mincore(2): one byte a page, bit 0: in core.  -EINVAL: unaligned.  -ENOMEM: a hole; the bytes
 * before it are written. */
int quire_mincore(struct quire_space *space, uint64_t address, uint64_t length,
		  unsigned char *pages);

/* A VMA as /proc/PID/maps shows it. */
struct quire_vma_report {
	uint64_t start, end; /* addresses */
	uint64_t offset;     /* bytes in the object; 0 for anonymous memory */
	uint8_t prot;	     /* QUIRE_PROT_READ | WRITE | EXEC */
	bool shared;
	bool file;
	char flags[96]; /* the letters of VmFlags, two each, one blank between them */
};

/* The first VMA that ends above `address`.  -ENOENT: none. */
int quire_vma(struct quire_space *space, uint64_t address, struct quire_vma_report *report);

/* The amounts of /proc/PID/smaps for one VMA, in bytes. */
struct quire_smaps {
	uint64_t start, end;
	uint64_t size, kernel_page_size, mmu_page_size;
	uint64_t rss, pss, pss_dirty;
	uint64_t shared_clean, shared_dirty, private_clean, private_dirty;
	uint64_t referenced, anonymous, ksm, lazyfree;
	uint64_t anon_huge_pages, shmem_pmd_mapped, file_pmd_mapped;
	uint64_t shared_hugetlb, private_hugetlb;
	uint64_t swap, swap_pss, locked;
	uint64_t thp_eligible;	 /* 0 or 1 */
	uint64_t protection_key; /* 1: execute-only memory, on a machine that has it; else 0 */
};

/* Of the VMA that holds `address`.  -ENOENT: none.  Cost: what the VMA has populated. */
int quire_smaps(struct quire_space *space, uint64_t address, struct quire_smaps *smaps);

/* Resident memory by kind, swap and page tables (all levels), in bytes; exact; O(1). */
struct quire_usage {
	uint64_t anon, file, shmem, swap, tables;
	uint64_t mapped; /* VmSize */
	uint64_t locked;
	uint64_t maps; /* VMAs */
};
void quire_space_usage(struct quire_space *space, struct quire_usage *usage);

/* What stands where the walk for one address ends. */
enum quire_entry_kind {
	QUIRE_ENTRY_ABSENT,
	QUIRE_ENTRY_LEAF,
	QUIRE_ENTRY_MARKER,
	QUIRE_ENTRY_SWAP,
	QUIRE_ENTRY_MIGRATION,
	QUIRE_ENTRY_GUARD,
	QUIRE_ENTRY_POISON,
	QUIRE_ENTRY_PARKED,
};
struct quire_entry_report {
	enum quire_entry_kind kind;
	uint8_t level;	     /* 0: 4K */
	uint64_t start, end; /* addresses: all that the entry speaks for, the address among them */
	bool readable, writable, user, exec, dirty, young, uffd_wp, soft_dirty, special, exclusive;
	bool has_frame;
	uint64_t frame; /* hardware number, of the page at the address */
};
/* -EINVAL: beyond the address space. */
int quire_entry(struct quire_space *space, uint64_t address, struct quire_entry_report *report);

#define QUIRE_LEVELS_MAX 9
struct quire_tables_report {
	uint64_t bytes; /* of all tables, the root included */
	unsigned levels;
	struct {
		uint64_t tables; /* whose entries are of this level */
		uint64_t marks;	 /* markers among their entries */
		uint64_t leaves; /* leaves among them */
	} level[QUIRE_LEVELS_MAX];
};
void quire_tables(struct quire_space *space, struct quire_tables_report *report);

/* The whole state of one space, or of every space and the allocators, as text: runs of equal
 * entries on one line; the same state always gives the same text.  Frame numbers are left out of it
 * where they say nothing (`frames` false). */
void quire_space_dump(struct quire_space *space, bool frames, const struct quire_text *text);
void quire_machine_dump(struct quire_machine *machine, bool frames, const struct quire_text *text);

/*
 * The invariant checker.  Returns 0, or -EUCLEAN and says in `text` what does not hold, one line a
 * violation (at most 16). quire_check() proves everything: entries against frames against counters;
 * the caller sees to it that no operation runs. quire_check_range() proves what [start, end) of one
 * space touches.  Neither allocates.  (docs/DESIGN.md, "Invariants")
 */
int quire_check(struct quire_machine *machine, const struct quire_text *text);
int quire_check_range(struct quire_space *space, uint64_t start, uint64_t end,
		      const struct quire_text *text);

#endif
