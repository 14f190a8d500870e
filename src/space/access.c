/* SPDX-License-Identifier: MIT */
/*
 * Access on the process's behalf: what Linux does with get_user_pages.
 *
 * Each page is faulted in as the access would, and its bytes are moved under the space's lock for
 * reading: then no fork can share the page in the middle of a write.  A fault beside it may replace
 * the page; a reference keeps the old one until it has been read.
 */
#include "space/hooks.h"

/* What is wanted of a page takes a fault first; else it is done (0), or refused. */
#define FAULT 1

/* What is wanted of one page. */
struct reaching {
	struct quire_space *space;
	uint64_t address;
	enum quire_access access;
	unsigned how;		   /* FAULT_* */
	unsigned char *buffer;	   /* read from if the access writes, else written to */
	size_t bytes;		   /* to move, inside the page; 0: find out whether it is there */
	struct table_held *pinned; /* or: it is pinned, and this is what is */
	uint64_t *reached;	   /* or NULL: where the page's leaf ends */
	bool *faulted;		   /* then: set if a fault was needed */
};

static void copy_bytes(const struct reaching *reaching, const struct table_held *held)
{
	unsigned char *memory = (unsigned char *)page_memory(reaching->space->machine, held->page) +
				reaching->address % PAGE_SIZE;

	if (reaching->access == QUIRE_READ) {
		memcpy(reaching->buffer, memory, reaching->bytes);
		return;
	}
	memcpy(memory, reaching->buffer, reaching->bytes);
	if (held->folio)
		folio_mark(held->folio, FRAME_DIRTY);
}

/*
 * A pin writes whenever it likes, without being asked for again: not to what its object wants to
 * know of.
 */
static bool can_pin(const struct vma *vma)
{
	return !(vma->flags & VMA_SHARED) || vma->object->kind == FRAME_SHMEM || vma_device(vma);
}

/*
 * Bare frames have nobody who could hold them, so that no system call may use them but by a copy of
 * its arguments; blocks of a file may move, which whoever pins them for long would not hear of.
 */
static int check_device(const struct vma *vma, const struct reaching *reaching)
{
	bool copies_in = reaching->access == QUIRE_READ && !(reaching->how & FAULT_UNSHARE);

	if ((vma->flags & VMA_PFNMAP) && !(copies_in && reaching->bytes))
		return -QUIRE_EFAULT;
	return reaching->pinned && device_fsdax(vma->object) ? -QUIRE_EOPNOTSUPP : 0;
}

/* A pin that comes to a page in passing leaves it clean. */
static enum table_use use_of(const struct reaching *reaching)
{
	if (reaching->access != QUIRE_WRITE)
		return reaching->how & FAULT_UNSHARE ? TABLE_READ_OWN : TABLE_READ;
	return reaching->pinned && !*reaching->faulted ? TABLE_WRITABLE : TABLE_WRITE;
}

/*
 * What unshares the page to read it needs permission to read; else the hardware decides.
 */
static bool permits(const struct vma *vma, const struct reaching *reaching)
{
	if (reaching->access == QUIRE_WRITE)
		return (vma->flags & VMA_WRITE) && !(vma->flags & VMA_SHADOW_STACK);
	return reaching->how & FAULT_UNSHARE ? vma->flags & VMA_READ : vma_readable(vma);
}

/* Does what is wanted, if the page is there. */
static int try_page(const struct reaching *reaching)
{
	struct quire_space *space = reaching->space;
	uint64_t address = reaching->address;
	const struct vma *vma = vma_find(space, address);
	struct table_held held;
	int error;

	if (!vma_holds(vma, address))
		return -QUIRE_EFAULT;
	error = vma_device(vma) ? check_device(vma, reaching) : 0;
	if (error)
		return error;
	if (!permits(vma, reaching) || (reaching->pinned && !can_pin(vma)))
		return -QUIRE_EFAULT;
	if (!table_hold_page(&space->tables, page_down(address), use_of(reaching),
			     reaching->pinned ? FRAME_ONE_PIN : FRAME_ONE_REFERENCE, &held))
		return FAULT;
	if (reaching->pinned) {
		if (!held.folio)
			device_memory_pin(space->machine, held.page.number);
		*reaching->pinned = held;
		return 0;
	}
	if (reaching->bytes)
		copy_bytes(reaching, &held);
	if (reaching->reached)
		*reaching->reached = held.end;
	if (held.folio)
		folio_put(space->machine, held.folio);
	return 0;
}

/* The same, with faults. */
static int reach_page(const struct reaching *reaching)
{
	for (;;) {
		struct quire_fault_result fault;
		int error;

		space_read_lock(reaching->space);
		error = try_page(reaching);
		space_read_unlock(reaching->space);
		if (error != FAULT)
			return error;
		if (reaching->pinned)
			*reaching->faulted = true;
		fault = space_fault(reaching->space, page_down(reaching->address), reaching->access,
				    reaching->how | FAULT_KERNEL);
		if (fault.outcome == QUIRE_BLOCKED)
			return -QUIRE_EINPROGRESS;
		if (fault.outcome == QUIRE_OUT_OF_MEMORY)
			return -QUIRE_ENOMEM;
		if (fault.poisoned && !reaching->bytes && !reaching->pinned)
			return -QUIRE_EHWPOISON;
		if (fault.outcome != QUIRE_DONE)
			return -QUIRE_EFAULT;
	}
}

/* Moves bytes between the buffer (written if the access reads) and user memory, from *done on. */
static int transfer(struct quire_space *space, uint64_t address, unsigned char *buffer,
		    size_t length, enum quire_access access, unsigned how, size_t *done)
{
	int error = 0;

	while (*done < length && !error) {
		uint64_t here = address + *done;
		size_t bytes = (size_t)min_u64(length - *done, PAGE_SIZE - here % PAGE_SIZE);

		error = reach_page(&(struct reaching){.space = space,
						      .address = here,
						      .access = access,
						      .how = how,
						      .buffer = buffer + *done,
						      .bytes = bytes});
		if (!error)
			*done += bytes;
	}
	return error;
}

static int transfer_resumed(struct quire_space *space, uint64_t address, unsigned char *buffer,
			    size_t length, enum quire_access access, size_t *done)
{
	const struct quire_call call = {access == QUIRE_READ ? QUIRE_CALL_ACCESS_READ
							     : QUIRE_CALL_ACCESS_WRITE,
					space,
					{address, length}};
	int error;

	*done = call_resumes(space, &call) ? (size_t)(call_reached(space, address) - address) : 0;
	error = transfer(space, address, buffer, length, access,
			 access == QUIRE_READ ? FAULT_UNSHARE : 0, done);
	if (error == -QUIRE_EINPROGRESS)
		call_block(space, &call, address + *done);
	return error;
}

int quire_access_read(struct quire_space *space, uint64_t address, void *buffer, size_t length,
		      size_t *done)
{
	return transfer_resumed(space, address, buffer, length, QUIRE_READ, done);
}

int quire_access_write(struct quire_space *space, uint64_t address, const void *buffer,
		       size_t length, size_t *done)
{
	/* Written to memory only: the access is a write. */
	return transfer_resumed(space, address, (unsigned char *)(uintptr_t)buffer, length,
				QUIRE_WRITE, done);
}

int space_copy_in(struct quire_space *space, uint64_t address, void *buffer, size_t length)
{
	size_t done = 0;

	return transfer(space, address, buffer, length, QUIRE_READ, 0, &done);
}

int space_populate(struct quire_space *space, uint64_t *position, uint64_t end,
		   enum quire_access access, unsigned how)
{
	uint64_t reached;
	int error = 0;

	while (*position < end && !error) {
		error = reach_page(&(struct reaching){.space = space,
						      .address = *position,
						      .access = access,
						      .how = how,
						      .reached = &reached});
		if (!error)
			*position = min_u64(reached, end);
	}
	return error;
}

int space_pin_page(struct quire_space *space, uint64_t page, struct table_held *held, bool *faulted)
{
	return reach_page(&(struct reaching){.space = space,
					     .address = page,
					     .access = QUIRE_WRITE,
					     .pinned = held,
					     .faulted = faulted});
}
