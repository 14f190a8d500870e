/* SPDX-License-Identifier: MIT */
/*
 * Address spaces and VMAs, as the files of src/space see them.
 *
 * A VMA is a range of pages with one set of flags.  VMAs never overlap; they hang in a tree ordered
 * by address, in which every node knows the largest gap in front of any VMA below it, so that a
 * hole of a given size is found in O(log n).
 *
 * Locks: `lock` = space->lock for writing to change, for reading to look; `constant`; `atomic`.
 */
#ifndef QUIRE_SPACE_SPACE_H
#define QUIRE_SPACE_SPACE_H

#include "base/tree.h"
#include "frame/machine.h"
#include "object/object.h"
#include "table/table.h"
#include <quire/fault.h>
#include <quire/space.h>

/* Flags of a VMA, in the order in which VmFlags shows them. */
#define VMA_READ	 ((uint64_t)1 << 0)  /* rd */
#define VMA_WRITE	 ((uint64_t)1 << 1)  /* wr */
#define VMA_EXEC	 ((uint64_t)1 << 2)  /* ex */
#define VMA_SHARED	 ((uint64_t)1 << 3)  /* sh */
#define VMA_MAYREAD	 ((uint64_t)1 << 4)  /* mr */
#define VMA_MAYWRITE	 ((uint64_t)1 << 5)  /* mw */
#define VMA_MAYEXEC	 ((uint64_t)1 << 6)  /* me */
#define VMA_MAYSHARE	 ((uint64_t)1 << 7)  /* ms */
#define VMA_UFFD_MISSING ((uint64_t)1 << 9)  /* um */
#define VMA_PFNMAP	 ((uint64_t)1 << 10) /* pf: bare frames, which nobody is a holder of */
#define VMA_GUARD	 ((uint64_t)1 << 11) /* gu: guard markers may stand here */
#define VMA_UFFD_WP	 ((uint64_t)1 << 12) /* uw */
#define VMA_LOCKED	 ((uint64_t)1 << 13) /* lo */
#define VMA_IO		 ((uint64_t)1 << 14) /* io */
#define VMA_SEQUENTIAL	 ((uint64_t)1 << 15) /* sr */
#define VMA_RANDOM	 ((uint64_t)1 << 16) /* rr */
#define VMA_DONTFORK	 ((uint64_t)1 << 17) /* dc */
#define VMA_DONTEXPAND	 ((uint64_t)1 << 18) /* de */
#define VMA_ACCOUNT	 ((uint64_t)1 << 20) /* ac */
#define VMA_NORESERVE	 ((uint64_t)1 << 21) /* nr */
#define VMA_WIPEONFORK	 ((uint64_t)1 << 25) /* wf */
#define VMA_DONTDUMP	 ((uint64_t)1 << 26) /* dd */
#define VMA_HUGEPAGE	 ((uint64_t)1 << 29) /* hg */
#define VMA_NOHUGEPAGE	 ((uint64_t)1 << 30) /* nh */
#define VMA_MERGEABLE	 ((uint64_t)1 << 31) /* mg */
#define VMA_UFFD_MINOR	 ((uint64_t)1 << 41) /* ui */
#define VMA_SHADOW_STACK ((uint64_t)1 << 42) /* ss: stores are refused, calls and returns write */

/* Not shown: no access to data, though VMA_EXEC is set (struct quire_machine_config, execute_only). */
#define VMA_EXECUTE_ONLY ((uint64_t)1 << 59)

/* What the userfaultfd context of a registered VMA has negotiated; not shown. */
#define VMA_UFFD_UNPOPULATED ((uint64_t)1 << 60) /* protecting leaves markers where no page is */
#define VMA_UFFD_ASYNC	     ((uint64_t)1 << 61) /* a write takes the protection away and goes on */
#define VMA_UFFD_SIGBUS	     ((uint64_t)1 << 62) /* a fault is a BUS */

/* What the context that a VMA is registered with has asked for. */
#define VMA_UFFD_FEATURES (VMA_UFFD_UNPOPULATED | VMA_UFFD_ASYNC | VMA_UFFD_SIGBUS)

#define VMA_UFFD       (VMA_UFFD_MISSING | VMA_UFFD_WP | VMA_UFFD_MINOR | VMA_UFFD_FEATURES)
#define VMA_ACCESS     (VMA_READ | VMA_WRITE | VMA_EXEC)
#define VMA_PROTECTION (VMA_ACCESS | VMA_EXECUTE_ONLY)

/* A VMA's place in an rmap. */
struct rmap_link {
	struct list_link link;
	struct quire_space *space; /* constant while linked */
	struct vma *vma;	   /* NULL: a walker's bookmark */
};

struct vma {
	struct tree_node node; /* lock */
	uint64_t start, end;   /* lock, and those of its rmaps: addresses */
	uint64_t gap;	      /* lock: bytes between this VMA and the one before it (or `lowest`) */
	uint64_t largest_gap; /* lock: the largest `gap` in this node's subtree */
	uint64_t flags;	      /* lock: VMA_* */
	uint64_t index; /* as start: page index of `start`: in its object; of anonymous memory,
				 address / page size where it was first mapped */
	_Atomic uint64_t anon; /* anon_lock: identity of its anonymous pages; 0 until the first one.
				  See merge.c */
	struct quire_userfault *userfault; /* lock: registered with it, or NULL */
	bool inherited;			   /* lock: has pages of a forebear too (fork) */
	struct quire_object *object;	   /* constant once linked: what it maps, or NULL */
	struct rmap_link mapping;	   /* object->rmap.lock */
	struct family *family;		   /* anon_lock: of its anonymous pages, or NULL */
	struct rmap_link kinship;	   /* family->rmap.lock */
};

/* What every fault reads comes first, in a cache line that no fault writes to. */
struct quire_space {
	_Alignas(64) struct quire_machine *machine; /* constant */
	uint64_t lowest, highest, mmap_base;	    /* constant: addresses */
	struct tree vmas;			    /* lock */

	_Alignas(64) struct quire_rwlock lock;
	struct list_link link;	      /* machine->spaces_lock */
	_Atomic uint64_t users;	      /* atomic: the host, and walkers of an rmap */
	uint64_t vma_count;	      /* lock */
	uint64_t mapped, locked;      /* lock: pages */
	struct quire_object *orphans; /* lock: objects that have lost their last user under it */
	struct quire_lock anon_lock;  /* a VMA gets its identity */
	uint64_t last_anon;	      /* anon_lock: the identity given out last */

	struct quire_userfault *userfaults; /* machine->userfault_lock: its contexts */
	struct page_tables tables;	    /* lock, and the locks that table.h names */
};
_Static_assert(offsetof(struct quire_space, lock) == 64 &&
		       offsetof(struct quire_space, tables.root) % 64 < 64 - 24 &&
		       offsetof(struct quire_space, tables.resident) % 64 == 0,
	       "what faults read and what they write are in different cache lines");

static inline void space_write_lock(struct quire_space *space)
{
	quire_port_write_lock(space->machine->host, &space->lock);
	space->tables.written = true;
}
static inline void space_write_unlock(struct quire_space *space)
{
	struct quire_object *orphan = space->orphans;

	space->orphans = NULL;
	space->tables.written = false;
	quire_port_write_unlock(space->machine->host, &space->lock);
	while (orphan) {
		struct quire_object *next = orphan->next;

		object_end(orphan);
		orphan = next;
	}
}
static inline void space_read_lock(struct quire_space *space)
{
	quire_port_read_lock(space->machine->host, &space->lock);
}
static inline void space_read_unlock(struct quire_space *space)
{
	quire_port_read_unlock(space->machine->host, &space->lock);
}
#define assert_written(space) quire_assert((space)->tables.written)

/* Bytes that `address` leaves: whether [address, address + length) lies in the user's addresses
 * without wrapping. */
static inline bool space_holds(const struct quire_space *space, uint64_t address, uint64_t length)
{
	return length <= space->highest && address <= space->highest - length;
}

/* --- space.c --- */

/* An empty space with the bounds of `like`'s configuration, linked into the machine; NULL: no
 * frames.  For fork. */
struct quire_space *space_new_like(struct quire_space *like);
static inline bool space_reclaim(struct quire_space *space, unsigned *tries)
{
	return machine_reclaim(space->machine, tries);
}

/* One more user of the space; one fewer: the last one frees it. */
static inline void space_get(struct quire_space *space)
{
	atomic_fetch_add_explicit(&space->users, 1, memory_order_relaxed);
}
void space_put(struct quire_space *space);
/*
 * The space behind `space` in the machine's list (NULL: the first), which the caller is a user of
 * then; it is one of `space` no more.  NULL: there is none.  Spaces come and go meanwhile: a walk visits
 * all that are there from its beginning to its end.
 */
struct quire_space *space_next(struct quire_machine *machine, struct quire_space *space);

/* --- notifier.c --- */

/* The space's end: nobody is told any more. */
void space_release_notifiers(struct quire_space *space);

/* --- vma.c: the tree.  Lookups need the lock for reading at least. --- */

/* The first VMA that ends above `address` (it may begin above it too), or NULL. */
struct vma *vma_find(const struct quire_space *space, uint64_t address);
struct vma *vma_first(const struct quire_space *space);
struct vma *vma_next(const struct vma *vma);
struct vma *vma_previous(const struct vma *vma);
static inline bool vma_holds(const struct vma *vma, uint64_t address)
{
	return vma && vma->start <= address && address < vma->end;
}
/* A zeroed VMA that is not linked, and its release.  NULL: no frames. */
struct vma *vma_new(struct quire_space *space);
void vma_free(struct quire_space *space, struct vma *vma);
/* Links a VMA whose start, end and flags are set, where nothing is mapped; keeps vma_count, mapped,
 * locked and the gaps. */
void vma_link(struct quire_space *space, struct vma *vma);
/* Makes the tree of a new space. */
void vma_tree_init(struct quire_space *space);
/* Unlinks and frees every VMA; their entries are gone already. */
void vma_free_all(struct quire_space *space);
/* Whether the tree, the gaps and the counters are right.  For the checker. */
bool vma_tree_valid(struct quire_space *space);

/*
 * The identity for the first anonymous page of `vma`, and the family: a neighbour's, where they could
 * be one VMA but for their permissions, else new ones.  Lock for reading.  0 or -NO_FRAMES.
 */
int vma_prepare_anon(struct quire_space *space, struct vma *vma);

/* fork: `vma` of the child, which is not linked yet, has the pages of `parent`, and will have pages
 * of its own. */
void vma_inherit_anon(struct quire_space *child, struct vma *vma, const struct vma *parent);

/* VMA_PROTECTION that mmap and mprotect give for `prot`, in whose other bits they are not alike: with
 * any of them it is not execute-only, as on Linux. */
static inline uint64_t vma_protection(const struct quire_space *space, int prot)
{
	uint64_t flags = 0;

	if (prot & QUIRE_PROT_READ)
		flags |= VMA_READ;
	if (prot & QUIRE_PROT_WRITE)
		flags |= VMA_WRITE;
	if (prot & QUIRE_PROT_EXEC)
		flags |= VMA_EXEC;
	if (prot == QUIRE_PROT_EXEC && space->machine->execute_only)
		flags |= VMA_EXECUTE_ONLY;
	return flags;
}

/* Whether loads are let through: any permission will do, as to the hardware, but one. */
static inline bool vma_readable(const struct vma *vma)
{
	return (vma->flags & VMA_ACCESS) && !(vma->flags & VMA_EXECUTE_ONLY);
}

/* Of shared memory that is registered for write protection the first write to a page is a fault. */
static inline struct table_permissions vma_permissions(const struct vma *vma)
{
	return (struct table_permissions){
		.read = vma_readable(vma),
		.write = (vma->flags & VMA_WRITE) != 0,
		.execute = (vma->flags & VMA_EXEC) != 0,
		.shadow_stack = (vma->flags & VMA_SHADOW_STACK) != 0,
		.shared = (vma->flags & (VMA_SHARED | VMA_UFFD_WP)) == VMA_SHARED &&
			  !object_asks(vma->object),
		.dirty = (vma->flags & (VMA_SHARED | VMA_UFFD_WP)) == VMA_SHARED &&
			 device_fsdax(vma->object) && !object_watched(vma->object),
	};
}

/* Device memory; whether it was copied to no anonymous page yet. */
static inline bool vma_device(const struct vma *vma)
{
	return vma->object && vma->object->device;
}
static inline bool vma_bare(const struct vma *vma)
{
	return vma_device(vma) && !atomic_load_explicit(&vma->anon, memory_order_relaxed);
}
/*
 * The level of all of its leaves, and what they span: of memory with a page size of its own.  The VMA and
 * what calls do to it begin and end with such pages.  Other memory is mapped at whatever level fits: 0.
 */
static inline unsigned vma_page_level(const struct vma *vma)
{
	return vma->object ? device_page_level(vma->object) : 0;
}
static inline uint64_t vma_page_size(const struct vma *vma)
{
	return table_span(vma_page_level(vma));
}

/* Whether the VMA may be split at `address`, if that lies inside it: not in the middle of one of its
 * pages, also where a neighbour would take the piece in. */
static inline bool vma_may_split(const struct vma *vma, uint64_t address)
{
	return !vma || address <= vma->start || address >= vma->end ||
	       address % vma_page_size(vma) == 0;
}
/* [*start, *end), which lies in the VMA, becomes whole pages of that size, as far as the VMA has them. */
static inline void vma_whole_pages(const struct vma *vma, uint64_t *start, uint64_t *end)
{
	uint64_t inside = vma_page_size(vma) - 1;

	*start = max_u64(*start & ~inside, vma->start);
	*end = min_u64((*end + inside) & ~inside, vma->end);
}

/* What a zap of the VMA's pages does with protection that is not in force. */
static inline unsigned zap_dormant(const struct vma *vma)
{
	return vma->flags & VMA_UFFD_WP ? 0 : ZAP_FORGET_DORMANT;
}

/* Whether the VMA's object has the page at `address` in swap. */
bool vma_swapped(const struct vma *vma, uint64_t address);
/* The index of the page at `address`, which the VMA holds. */
static inline uint64_t vma_index(const struct vma *vma, uint64_t address)
{
	return vma->index + ((address - vma->start) >> PAGE_SHIFT);
}

/* --- fault.c --- */

/*
 * How an access is made that faults.
 *   KERNEL   by the kernel, on the process's behalf
 *   UNSHARE  a read that wants the page to become this space's own, so that what is read can't
 *            change under a pin
 *   UNHEARD  by a call that waits for nobody: what would be reported is a BUS
 *   AWAKE    who is to wait does not sleep yet; the caller sees to that
 *   RESTORE  by swapoff: nobody has used the page, and no slot has its content any more
 */
#define FAULT_KERNEL  1u
#define FAULT_UNSHARE 2u
#define FAULT_UNHEARD 4u
#define FAULT_AWAKE   8u
#define FAULT_RESTORE 16u

/* quire_fault(), and the same for other accesses; how: FAULT_*. */
struct quire_fault_result space_fault(struct quire_space *space, uint64_t address,
				      enum quire_access access, unsigned how);

/* Brings in what a swap entry at `page` stands for, whatever the VMA allows.  0, -NO_FRAMES, -EIO. */
int space_swap_in(struct quire_space *space, uint64_t page);

/* --- strict.c --- */

/* [start, end) has been protected: what others write there must be noticed, if the machine is strict.
 * No lock held. */
void strict_watch(struct quire_space *space, uint64_t start, uint64_t end);
/* Releases asynchronous protection of pages [first, end) in every mapping.  0 or -NO_FRAMES. */
int strict_release(struct quire_object *object, uint64_t first, uint64_t end);

/* --- access.c --- */

/*
 * Faults in the pages of [*position, end) as reading or writing would; no lock held; how: FAULT_*.
 * Stops at the first page that cannot be had, where *position is then: 0, -QUIRE_ENOMEM (no frame),
 * -QUIRE_EFAULT (a hole; the VMA forbids it; a guard page), -QUIRE_EHWPOISON, -QUIRE_EINPROGRESS.
 */
int space_populate(struct quire_space *space, uint64_t *position, uint64_t end,
		   enum quire_access access, unsigned how);

/*
 * Faults the page in for writing, and pins it: *held.  *faulted is set if that took a fault.  As
 * space_populate(); -QUIRE_EFAULT also of a shared mapping of an object other than shared memory.
 */
int space_pin_page(struct quire_space *space, uint64_t page, struct table_held *held,
		   bool *faulted);

/*
 * Reads as the kernel reads the argument of a system call, without pinning: a page stays shared,
 * and any permission will do.  Made again, it starts over.  0, -QUIRE_EFAULT, -QUIRE_ENOMEM, or
 * -QUIRE_EINPROGRESS.
 */
int space_copy_in(struct quire_space *space, uint64_t address, void *buffer, size_t length);

#endif
