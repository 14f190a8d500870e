/* SPDX-License-Identifier: MIT */
/*
 * Memory objects: what a mapping of a file maps.
 *
 * An object is a sequence of pages, some of which are in its page cache.  It is mapped with
 * quire_mmap_object(), by any number of spaces, shared or private, and read and written through
 * here as through a file descriptor.  Shared memory (Linux's memfd) is one kind, which
 * quire_shmem_create() makes; a host brings kinds of its own as a table of operations: a file system,
 * a read-only image.
 *
 * All functions may be called from any thread, several at once, with no lock held; they may sleep in
 * the machine's reclaim hook, or while a page is read or written.  Offsets and lengths are bytes.
 *
 * Write, truncate, punch and allocate are made one after the other; only a write that must wait lets
 * others in between two pages.  The operations of a kind may call any of these functions, also of
 * the same object: an object may be kept in another one.
 */
#ifndef QUIRE_OBJECT_H
#define QUIRE_OBJECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <quire/space.h>

struct quire_object;

/* An object's size is at most this, in bytes: what an off_t holds.  What is more is EINVAL, as a
 * negative off_t is on Linux. */
#define QUIRE_OBJECT_MAX ((uint64_t)INT64_MAX)

/* What a kind of object can do.  The table must outlive the objects that have it. */
struct quire_object_operations {
	/*
	 * Fills `count` pages of the object from page `index` on: count * QUIRE_PAGE_SIZE bytes at
	 * `memory`, one after the other, which hold anything.  count: the pages of one folio, 1 as long
	 * as an object's pages are not larger; at least 1.  Called with no lock held; may sleep, and may
	 * run twice at once for one page.  0, or a negative error: the access that wanted the page is a
	 * BUS, a read or write through the object gives it.  NULL: pages begin as zeros.
	 */
	int (*read_page)(void *context, uint64_t index, uint64_t count, void *memory);
	/*
	 * Keeps the content of `count` pages from page `index` on, as of read_page, before memory gives
	 * them up; called with no lock held, may sleep.  What it allocates has no other pages written: it gets free frames, and a few that
	 * are kept back for that.  0, or a negative error: they stay in memory.  NULL: where there is swap they go there, else they
	 * stay.
	 */
	int (*write_page)(void *context, uint64_t index, uint64_t count, const void *memory);
	/*
	 * A shared mapping is about to write to page `index`, which could only be read so far.  0, or
	 * a negative error: the access is a BUS.  No lock held.  NULL: pages of writable shared
	 * mappings may be written to from the start.
	 */
	int (*make_writable)(void *context, uint64_t index);
	/* The last user is gone.  May be called with a space's lock held; must not call Quire. */
	void (*release)(void *context);
	bool read_only; /* writing through the object or a shared mapping is -EACCES */
};

/*
 * An object of the host's own, of `size` bytes, with one user: the caller.  `operations` may leave
 * everything NULL.
 *   -EINVAL  size beyond QUIRE_OBJECT_MAX
 *   -ENOMEM  no frame left
 */
int quire_object_create(struct quire_machine *machine, uint64_t size,
			const struct quire_object_operations *operations, void *context,
			struct quire_object **object);

/* Shared memory, as memfd_create(2) and ftruncate(2) give it: zeros, which may go to swap. */
int quire_shmem_create(struct quire_machine *machine, uint64_t size, struct quire_object **object);

/* One more user; one user fewer.  Mappings are users too.  The last one takes the pages along. */
void quire_object_get(struct quire_object *object);
void quire_object_put(struct quire_object *object);

uint64_t quire_object_size(struct quire_object *object);

/*
 * pread(2), pwrite(2).  *done: bytes moved.  A read ends at the object's size; a write beyond it
 * makes the object grow.
 *   -ENOMEM  no frame left: *done bytes were moved
 *   -EACCES  write: the object is read-only
 *   -EINVAL  offset + length is beyond QUIRE_OBJECT_MAX
 *   or what read_page says
 */
int quire_object_read(struct quire_object *object, uint64_t offset, void *buffer, size_t length,
		      size_t *done);
int quire_object_write(struct quire_object *object, uint64_t offset, const void *buffer,
		       size_t length, size_t *done);

/*
 * ftruncate(2).  Pages beyond the new size go, out of every mapping too, private copies among them;
 * the rest of the last page becomes zeros.  (BEHAVIOUR C10)
 *   -EACCES  read-only    -EINVAL  beyond QUIRE_OBJECT_MAX
 */
int quire_object_truncate(struct quire_object *object, uint64_t size);

/*
 * fallocate(2) with PUNCH_HOLE and KEEP_SIZE: whole pages of the range go, out of every mapping, but
 * for private copies; what the range has of other pages becomes zeros.  Write protection stays.
 * (BEHAVIOUR C9, C11)
 *   -EINVAL  length 0; offset or length is beyond QUIRE_OBJECT_MAX
 *   -EFBIG   offset + length is beyond QUIRE_OBJECT_MAX
 *   -EACCES  read-only
 *   -ENOMEM  a page at an edge must be read, and no frame is left
 */
int quire_object_punch(struct quire_object *object, uint64_t offset, uint64_t length);

/*
 * fallocate(2) with mode 0: the pages of the range are there afterwards, and the object is as large
 * as its end.  Errors as of punch; then it has none of the pages that were
 * allocated here.
 */
int quire_object_allocate(struct quire_object *object, uint64_t offset, uint64_t length);

/* How many pages of the range are in the page cache; O(pages of the range). */
uint64_t quire_object_resident(struct quire_object *object, uint64_t offset, uint64_t length);

/*
 * mmap(2) of an object; `offset` is where in it the mapping begins.  Everything else as quire_mmap(),
 * whose QUIRE_MAP_ANONYMOUS must not be given.  The mapping is a user of the object.
 *   -EINVAL     offset not page aligned
 *   -EOVERFLOW  the last page would not lie wholly within QUIRE_OBJECT_MAX
 *   -EACCES     shared and writable, and the object is read-only
 */
int quire_mmap_object(struct quire_space *space, uint64_t address, uint64_t length, int prot,
		      int flags, struct quire_object *object, uint64_t offset, uint64_t *result);

#endif
