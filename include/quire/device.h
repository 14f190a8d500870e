/* SPDX-License-Identifier: MIT */
/*
 * Device memory: objects that have no page cache.
 *
 * A device's pages are hardware frames outside the machine's own memory, and its driver says which: a
 * fault asks it for the leaf at a page, at the highest level that the mapping allows, and puts that
 * leaf into the tables.  Quire holds no descriptor of such a frame and counts no mapping of it: it is
 * in nobody's resident memory, is never reclaimed and never migrated.
 *
 *	kind    leaves                      read fault, shared  private    the kernel's own accesses, pins
 *	DAX     of `level`, all of them     writable, clean     EINVAL     yes
 *	FSDAX   up to `level`; else lower   read-only           4K copies  yes; no pins
 *	PFN     up to `level`; else lower   writable, clean     4K copies  EFAULT
 *
 * DAX is persistent memory or a memory expander handed out whole (Linux: device-DAX), FSDAX a file
 * of a file system in such memory, PFN the bare frames of a device's window (a BAR).  What mmap and
 * the other calls refuse is Linux's; where Linux has a bug with leaves of 1G it is not kept
 * (docs/differences.md).
 *
 * Locks: all functions may be called from any thread, several at once, with no lock held.  Frames are
 * hardware frame numbers (physical address / page size), indices are pages of the object, offsets and
 * lengths bytes.
 */
#ifndef QUIRE_DEVICE_H
#define QUIRE_DEVICE_H

#include <quire/object.h>

/*
 * Frames [frame, frame + count) are a device's, and their bytes are reached at `memory`, page
 * aligned, from where Quire copies them (copy-on-write, read and write, accesses of the kernel).  A
 * device answers with frames of such ranges only; a leaf lies in one of them.  Nothing is touched here.
 * quire_machine_destroy() forgets all ranges.
 *   -EINVAL  count 0; beyond 2^40; memory NULL or not page aligned; one of them is the machine's or of
 *            another range
 *   -ENOMEM  no frame left
 */
int quire_device_memory_add(struct quire_machine *machine, uint64_t frame, uint64_t count,
			    void *memory);
/*
 * Forgets the range that begins at `frame`.  First the devices must have stopped to answer with it,
 * and quire_device_revoke() must have taken what they answered out of the mappings.
 *   -ENOENT  no range begins there
 *   -EBUSY   one of the frames is pinned: nothing is changed
 */
int quire_device_memory_remove(struct quire_machine *machine, uint64_t frame);

/* Where the bytes of a device's frame are reached; NULL: it is in no range. */
void *quire_device_memory_at(struct quire_machine *machine, uint64_t frame);

enum quire_device_kind { QUIRE_DEVICE_DAX = 1, QUIRE_DEVICE_FSDAX, QUIRE_DEVICE_PFN };

/* Frames that one leaf maps: of level 0 (4K), 1 (2M) or 2 (1G); `frame` is aligned to that. */
struct quire_device_leaf {
	uint64_t frame;
	unsigned level;
};

/* What a device can do.  The table must outlive the objects that have it. */
struct quire_device_operations {
	enum quire_device_kind kind;
	unsigned level; /* DAX: of every leaf; else of the largest, at most 2 */
	/*
	 * Where page `index` is: *leaf is the leaf that holds it, of a level of at most `level` (DAX:
	 * of exactly that), whose first page has an index that is a multiple of its pages.  write: it is about to
	 * be written to, so there must be something to write to; FSDAX may answer a read of what it has not
	 * allocated with frames of zeros, which are mapped read-only, and is asked again for a write.  What
	 * was answered is true until quire_device_revoke(), a truncation or a hole; beyond the object's size FSDAX
	 * is asked by quire_object_write() and quire_object_allocate() only, before they make it larger.
	 * Called with no lock held; may sleep, may run several times at once, may call Quire,
	 * quire_device_revoke() too.
	 * 0, or a negative error: the access is a BUS, a read or write through the object gives it.  An
	 * error, and an answer that breaks these rules (BUS, or -EIO), are named in the machine's log.
	 */
	int (*map)(void *context, uint64_t index, unsigned level, bool write,
		   struct quire_device_leaf *leaf);
	/*
	 * FSDAX: these pages were cut off, or a hole was punched; no mapping has them any more, and they
	 * are zeros from now on.  Called with the object's lock for changes held: must not change this
	 * object, nor read it.  May sleep.  NULL: the device can not, and who wants it gets -EOPNOTSUPP.
	 */
	void (*discard)(void *context, uint64_t index, uint64_t count);
	/* The last user is gone.  May be called with a space's lock held; must not call Quire.  Or NULL. */
	void (*release)(void *context);
	bool read_only; /* writing through the object or a shared mapping is -EACCES */
};

/*
 * A device's memory, or a file of FSDAX, as an object of `size` bytes with one user, the caller; it is
 * mapped by quire_mmap_object().  Of the functions on objects
 *
 *	         quire_object_read, _write, _truncate  _punch, _allocate
 *	DAX PFN  -EINVAL                               -ENODEV
 *	FSDAX    as of any object, in the device's     as of any object, but what has been allocated
 *	         memory                                stays if the rest cannot be
 *
 *   -EINVAL  no such kind; no leaves of that level; no map; size beyond QUIRE_OBJECT_MAX, or DAX: not
 *            a multiple of a leaf, PFN: of a page
 *   -ENOMEM  no frame left
 */
int quire_device_create(struct quire_machine *machine, uint64_t size,
			const struct quire_device_operations *operations, void *context,
			struct quire_object **object);

/*
 * What `map` answered for pages of [offset, offset + length) is no longer true: every mapping has let
 * go of them when this returns, and the next access asks again.  A leaf that reaches over the edge may go
 * as a whole.  Private copies and write protection stay.  The device must answer anew before it calls
 * this.  Waits for changes of the object; may not be called from `discard`.
 */
void quire_device_revoke(struct quire_object *object, uint64_t offset, uint64_t length);

#endif
