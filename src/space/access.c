/* SPDX-License-Identifier: MIT */
/*
 * Access on the process's behalf: what Linux does with get_user_pages.
 *
 * Each page is faulted in as the access would, and its bytes are moved under the space's lock for
 * reading: then no fork can share the page in the middle of a write.  A fault beside it may replace
 * the page; a reference keeps the old one until it has been read.
 */
#include "space/hooks.h"

enum reach {
	REACHED, /* the bytes were moved */
	FAULT,	 /* fault the page in, then try again */
	REFUSED, /* the VMA does not allow it, or there is none */
};

static void copy_bytes(struct quire_machine *machine, struct frame *frame, uint64_t address,
		       unsigned char *buffer, size_t bytes, enum quire_access access)
{
	unsigned char *memory = (unsigned char *)frame_memory(machine, frame) + address % PAGE_SIZE;

	if (access == QUIRE_READ) {
		memcpy(buffer, memory, bytes);
		return;
	}
	memcpy(memory, buffer, bytes);
	frame_mark(frame, FRAME_DIRTY);
}

/*
 * Moves `bytes` inside one page, if the page is there; 0 bytes are to find out whether it is.  What
 * `pins` the page to read it needs it to be this entry's alone, and permission to read; else any
 * permission will do, as to the hardware.
 */
static enum reach try_page(struct quire_space *space, uint64_t address, unsigned char *buffer,
			   size_t bytes, enum quire_access access, bool pins)
{
	uint64_t wanted = access == QUIRE_WRITE ? VMA_WRITE : pins ? VMA_READ : VMA_ACCESS;
	const struct vma *vma = vma_find(space, address);
	struct quire_machine *machine = space->machine;
	struct frame *frame;

	if (!vma_holds(vma, address) || !(vma->flags & wanted))
		return REFUSED;
	frame = table_hold_page(&space->tables, page_down(address), access, pins);
	if (!frame)
		return FAULT;
	if (bytes)
		copy_bytes(machine, frame, address, buffer, bytes, access);
	if (frame != machine->zero_page && frame_drop(frame, FRAME_ONE_REFERENCE))
		frame_free(machine, frame);
	return REACHED;
}

/* The same, with faults: 0, -EFAULT or -ENOMEM. */
static int reach_page(struct quire_space *space, uint64_t address, unsigned char *buffer,
		      size_t bytes, enum quire_access access, unsigned how)
{
	for (;;) {
		struct quire_fault_result fault;
		enum reach reach;

		space_read_lock(space);
		reach = try_page(space, address, buffer, bytes, access, how & FAULT_UNSHARE);
		space_read_unlock(space);
		if (reach == REACHED)
			return 0;
		if (reach == REFUSED)
			return -QUIRE_EFAULT;
		fault = space_fault(space, page_down(address), access, how | FAULT_KERNEL);
		if (fault.outcome == QUIRE_BLOCKED)
			return -QUIRE_EINPROGRESS;
		if (fault.outcome == QUIRE_OUT_OF_MEMORY)
			return -QUIRE_ENOMEM;
		if (fault.poisoned && !bytes)
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

		error = reach_page(space, here, buffer + *done, bytes, access, how);
		if (!error)
			*done += bytes;
	}
	return error;
}

static int transfer_resumed(struct quire_space *space, uint64_t address, unsigned char *buffer,
			    size_t length, enum quire_access access, size_t *done)
{
	int error;

	*done = (size_t)(call_reached(space, address) - address);
	error = transfer(space, address, buffer, length, access,
			 access == QUIRE_READ ? FAULT_UNSHARE : 0, done);
	if (error == -QUIRE_EINPROGRESS)
		space_caller(space)->reached = address + *done;
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
	int error = 0;

	while (*position < end && !error) {
		error = reach_page(space, *position, NULL, 0, access, how);
		if (!error)
			*position += PAGE_SIZE;
	}
	return error;
}
