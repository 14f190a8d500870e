/* SPDX-License-Identifier: MIT */
/*
 * x86_64: the entry format, 4 levels of 4K tables.
 *
 * A level is a number: entries of level 0 translate 4K, of level 1 2M, of level 2 1G, of level 3
 * 512G.  Everything here is a pure function of a 64-bit entry and its level; reading and writing
 * entries in memory is src/table's business.
 *
 * What the hardware walks (P = 1):
 *
 *	 63 62..59  58 57..55 54 53 52  51........12  11 10  9  8  7  6 5 4 3 2 1 0
 *	 XD  key    sd   0    0  0  ex  frame number  so uw 0   0  PS D A 0 0 U W P
 *
 * with the software bits sd = saved dirty, ex = exclusive, so = soft-dirty, uw = userfaultfd write
 * protection.  What a leaf maps is known by its frame: no bit says "special".  A leaf that its VMA allows no access to keeps this layout with P = 0
 * and bit 8 set, and is a leaf to everyone but the hardware.  So is one whose page is on its way to
 * another frame, a *migration entry*: it has bit 53 set too, and bit 54 says what P will be again.
 *
 * What it does not (P = 0, bit 8 = 0): all zero is absent; otherwise bits 3..1 say what it is (1:
 * marker, 2: swap entry).  A marker's content stands in bits 15..12; a swap entry has the number of
 * its slot where a leaf has its frame's, and ex, so and uw as there.
 *
 * The format has no bit for reading: a leaf that may be executed and not read has protection key 1,
 * others key 0.  The CPU's PKRU denies all data accesses by key 1 (AD1 = 1), and fetches ask for no
 * key.  Where execute permission alone lets a load through (struct quire_machine_config,
 * execute_only), no leaf has the key.
 *
 * The encoding W = 0, D = 1 says that the page is a shadow stack's, which calls and returns may write
 * to and stores may not; so any other leaf that loses write permission parks its dirty bit in sd, and
 * gets it back with the permission.
 */
#ifndef QUIRE_ARCH_ENTRY_H
#define QUIRE_ARCH_ENTRY_H

#include "base/base.h"

typedef uint64_t entry_t;

#define ARCH_ADDRESS_BITS 47 /* of user addresses */
#ifdef QUIRE_TINY_GEOMETRY
/* For tests: the same format in tables of 16 entries, so that little memory has every level. */
#define ARCH_LEVELS	9
#define ARCH_INDEX_BITS 4
#else
#define ARCH_LEVELS	4
#define ARCH_INDEX_BITS 9
#endif

/* Bytes that an entry of `level` translates, as a shift. */
static inline unsigned arch_shift(unsigned level)
{
	return PAGE_SHIFT + ARCH_INDEX_BITS * level;
}
/* Entries in a table whose entries are of `level`. */
static inline unsigned arch_entries(unsigned level)
{
	(void)level;
	return 1u << ARCH_INDEX_BITS;
}
/* Frames that such a table takes, as a power of two. */
static inline unsigned arch_table_order(unsigned level)
{
	(void)level;
	return 0;
}
#define X86_PRESENT	((entry_t)1 << 0)
#define X86_WRITE	((entry_t)1 << 1)
#define X86_USER	((entry_t)1 << 2)
#define X86_ACCESSED	((entry_t)1 << 5)
#define X86_DIRTY	((entry_t)1 << 6)
#define X86_PAGE_SIZE	((entry_t)1 << 7)
#define X86_NO_ACCESS	((entry_t)1 << 8)
#define X86_UFFD_WP	((entry_t)1 << 10)
#define X86_SOFT_DIRTY	((entry_t)1 << 11)
#define X86_EXCLUSIVE	((entry_t)1 << 52)
#define X86_MIGRATING	((entry_t)1 << 53)
#define X86_SAVED_P	((entry_t)1 << 54)
#define X86_SAVED_DIRTY ((entry_t)1 << 58)
#define X86_KEY_NO_DATA ((entry_t)1 << 59) /* protection key 1 */
#define X86_NO_EXECUTE	((entry_t)1 << 63)
#define X86_FRAME	((entry_t)0x000ffffffffff000)

#define X86_TYPE	((entry_t)7 << 1)
#define X86_TYPE_MARKER ((entry_t)1 << 1)
#define X86_TYPE_SWAP	((entry_t)2 << 1)
#define X86_MARKS_SHIFT 12

#define ENTRY_ABSENT ((entry_t)0)

static inline bool entry_is_absent(entry_t entry)
{
	return entry == ENTRY_ABSENT;
}
static inline bool entry_is_table(entry_t entry, unsigned level)
{
	return level > 0 && (entry & (X86_PRESENT | X86_PAGE_SIZE)) == X86_PRESENT;
}
static inline bool entry_is_leaf(entry_t entry, unsigned level)
{
	return (entry & (X86_PRESENT | X86_NO_ACCESS)) != 0 && !entry_is_table(entry, level);
}
static inline bool entry_is_marker(entry_t entry)
{
	return (entry & (X86_PRESENT | X86_NO_ACCESS | X86_TYPE)) == X86_TYPE_MARKER;
}

static inline bool entry_is_swap(entry_t entry)
{
	return (entry & (X86_PRESENT | X86_NO_ACCESS | X86_TYPE)) == X86_TYPE_SWAP;
}

static inline uint64_t entry_frame(entry_t entry)
{
	return (entry & X86_FRAME) >> PAGE_SHIFT;
}

static inline entry_t entry_make_table(uint64_t frame)
{
	return frame << PAGE_SHIFT | X86_PRESENT | X86_WRITE | X86_USER | X86_ACCESSED;
}

/* `marks` is a set of enum table_mark, of at most four bits. */
static inline entry_t entry_make_marker(unsigned marks)
{
	return X86_TYPE_MARKER | (entry_t)marks << X86_MARKS_SHIFT;
}
static inline unsigned entry_marks(entry_t marker)
{
	return (unsigned)(marker >> X86_MARKS_SHIFT) & 15;
}

static inline entry_t entry_make_swap(uint64_t slot)
{
	return X86_TYPE_SWAP | slot << PAGE_SHIFT;
}
static inline uint64_t entry_slot(entry_t swap)
{
	return (swap & X86_FRAME) >> PAGE_SHIFT;
}

/* Whether an entry is a leaf as `leaf` is, but for its frame and what the hardware does to it. */
static inline bool entry_alike(entry_t entry, entry_t leaf)
{
	return !((entry ^ leaf) & ~(X86_FRAME | X86_ACCESSED | X86_DIRTY));
}

/* Of leaves.  The hardware's dirty bit and the saved one are one thing to everybody else. */
static inline bool entry_writable(entry_t leaf)
{
	return (leaf & X86_WRITE) != 0;
}
static inline bool entry_executable(entry_t leaf)
{
	return (leaf & X86_NO_EXECUTE) == 0;
}
static inline bool entry_accessible(entry_t leaf)
{
	return (leaf & X86_PRESENT) != 0;
}
static inline bool entry_readable(entry_t leaf)
{
	return (leaf & (X86_PRESENT | X86_KEY_NO_DATA)) == X86_PRESENT;
}
static inline bool entry_dirty(entry_t leaf)
{
	return (leaf & (X86_DIRTY | X86_SAVED_DIRTY)) != 0;
}
static inline bool entry_young(entry_t leaf)
{
	return (leaf & X86_ACCESSED) != 0;
}
static inline bool entry_exclusive(entry_t leaf)
{
	return (leaf & X86_EXCLUSIVE) != 0;
}
static inline bool entry_uffd_wp(entry_t entry)
{
	return (entry & X86_UFFD_WP) != 0;
}
static inline bool entry_soft_dirty(entry_t entry)
{
	return (entry & X86_SOFT_DIRTY) != 0;
}

static inline bool entry_migrating(entry_t leaf)
{
	return (leaf & X86_MIGRATING) != 0;
}

/* The dirty bit stands where the write permission says it must. */
static inline entry_t entry_place_dirty(entry_t leaf, bool dirty)
{
	leaf &= ~(X86_DIRTY | X86_SAVED_DIRTY);
	if (dirty)
		leaf |= leaf & X86_WRITE || QUIRE_MISTAKE(DIRTY_NOT_PARKED) ? X86_DIRTY
									    : X86_SAVED_DIRTY;
	return leaf;
}
/* Reading comes with writing.  A migration entry has the permissions when it is none any more. */
static inline entry_t entry_set_permissions(entry_t leaf, bool read, bool write, bool execute)
{
	bool dirty = entry_dirty(leaf), access = read || execute;

	leaf &= ~(X86_PRESENT | X86_NO_ACCESS | X86_SAVED_P | X86_WRITE | X86_NO_EXECUTE |
		  X86_KEY_NO_DATA);
	if (entry_migrating(leaf))
		leaf |= X86_NO_ACCESS | (access ? X86_SAVED_P : 0);
	else
		leaf |= access ? X86_PRESENT : X86_NO_ACCESS;
	leaf |= write ? X86_WRITE : 0;
	leaf |= execute ? 0 : X86_NO_EXECUTE;
	leaf |= access && !read ? X86_KEY_NO_DATA : 0;
	return entry_place_dirty(leaf, dirty);
}
static inline entry_t entry_forbid_write(entry_t leaf)
{
	return entry_place_dirty(leaf & ~X86_WRITE, entry_dirty(leaf));
}
static inline entry_t entry_set_dirty(entry_t leaf, bool dirty)
{
	return entry_place_dirty(leaf, dirty);
}
static inline entry_t entry_set_young(entry_t leaf, bool young)
{
	return young ? leaf | X86_ACCESSED : leaf & ~X86_ACCESSED;
}
static inline entry_t entry_set_exclusive(entry_t leaf, bool exclusive)
{
	return exclusive ? leaf | X86_EXCLUSIVE : leaf & ~X86_EXCLUSIVE;
}
static inline entry_t entry_set_uffd_wp(entry_t leaf, bool protect)
{
	return protect ? leaf | X86_UFFD_WP : leaf & ~X86_UFFD_WP;
}

/* Levels that leaves may stand at: 0 to this. */
#define ARCH_LEAF_LEVEL_MAX 2

/* A leaf that is clean, old, shared, and allows nothing yet. */
static inline entry_t entry_make_leaf(uint64_t frame, unsigned level)
{
	quire_assert(level <= ARCH_LEAF_LEVEL_MAX);
	return frame << PAGE_SHIFT | X86_USER | (level ? X86_PAGE_SIZE : 0) | X86_NO_ACCESS |
	       X86_NO_EXECUTE;
}

/* The same leaf as a migration entry, and back. */
static inline entry_t entry_begin_migration(entry_t leaf)
{
	entry_t saved = entry_accessible(leaf) ? X86_SAVED_P : 0;

	return (leaf & ~X86_PRESENT) | X86_NO_ACCESS | X86_MIGRATING | saved;
}
static inline entry_t entry_end_migration(entry_t leaf)
{
	entry_t access = leaf & X86_SAVED_P ? X86_PRESENT : X86_NO_ACCESS;

	return (leaf & ~(X86_NO_ACCESS | X86_MIGRATING | X86_SAVED_P)) | access;
}
/* The same leaf for another frame. */
static inline entry_t entry_set_frame(entry_t leaf, uint64_t frame)
{
	return (leaf & ~X86_FRAME) | frame << PAGE_SHIFT;
}

/* The i-th of the leaves one level down that together are a leaf of `level`: every bit as there. */
static inline entry_t entry_child(entry_t leaf, unsigned level, unsigned i)
{
	entry_t child = leaf + ((entry_t)i << arch_shift(level - 1));

	return level > 1 ? child : child & ~X86_PAGE_SIZE;
}

/* The same leaf for the next frame of its size. */
static inline entry_t entry_next_frame(entry_t leaf, unsigned level)
{
	return leaf + ((entry_t)1 << arch_shift(level));
}

/* Equal but for what the hardware may have set meanwhile. */
static inline bool entry_same(entry_t a, entry_t b)
{
	return ((a ^ b) & ~(X86_ACCESSED | X86_DIRTY)) == 0;
}

/* The leaf of a page that calls and returns may write to; only in shadow stacks. */
static inline bool entry_shadow_stack(entry_t entry, unsigned level)
{
	return (entry & (X86_PRESENT | X86_WRITE | X86_DIRTY)) == (X86_PRESENT | X86_DIRTY) &&
	       entry_is_leaf(entry, level);
}
/* Such a leaf of one that lets data be read. */
static inline entry_t entry_make_shadow_stack(entry_t leaf)
{
	return (leaf & ~(X86_WRITE | X86_SAVED_DIRTY)) | X86_DIRTY;
}

#endif
