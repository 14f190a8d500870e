/* SPDX-License-Identifier: MIT */
/*
 * Faults, and the accesses that make them.
 *
 *	entry		read				write
 *	guard, poison	refused				refused
 *	nothing		report missing, or		report missing, or
 *			the page of zeros		a new block
 *	page of zeros	-				report protected; a new block
 *	block, shared	-				report protected; a copy, or, if
 *							nobody else has it any more, the block
 *	block, own	-				report protected; the block
 *
 * A protection marker counts as nothing, but what comes to stand there is protected.  Protection
 * counts only where writes are reported; elsewhere a marker goes with the first access, reported or
 * not.
 */
#include "twin.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

static bool is_protected(const struct page *page)
{
	return page->protected && page->flags & REPORTS_WRITES;
}

/* Nothing stands there. */
static enum answer fault_missing(struct process *process, struct page *page,
				 const struct access *access)
{
	bool marked = is_protected(page);
	enum answer answer;

	if (!marked)
		twin_entry_clear(page);
	/* Before the report: so the memory has an origin, whatever comes of it. */
	if (access->write)
		twin_origin_needed(process, page);
	if (page->file) {
		answer = twin_file_fault(process, page, access);
		if (answer != THERE)
			return answer;
	} else if (page->flags & REPORTS_MISSING) {
		return twin_report_fault(access->thread, page, access, 0);
	} else if (access->write) {
		twin_entry_set_block(page, twin_block_new());
	} else {
		page->entry = ZEROS;
		page->young = true;
	}
	page->protected = marked;
	if (marked)
		page->writable = false;
	return THERE;
}

/* The block is this entry's alone, or nobody else's any more. */
static bool own_block(const struct page *page)
{
	return page->entry == MEMORY && !page->block->of_file &&
	       (page->exclusive || page->block->mappings + page->block->swaps == 1);
}

/* A write where an entry does not allow it. */
static enum answer fault_write(struct process *process, struct page *page,
			       const struct access *access)
{
	if (is_protected(page)) {
		if (!(page->context->features & UFFD_FEATURE_WP_ASYNC))
			return twin_report_fault(access->thread, page, access,
						 UFFD_PAGEFAULT_FLAG_WP);
		page->protected = false;
	}
	if (page->flags & SHARED) {
		page->writable = page->young = page->dirty = page->block->dirty = true;
		return THERE;
	}
	if (own_block(page)) {
		twin_block_uncache(page->block);
		page->exclusive = page->writable = page->young = page->dirty = true;
		return THERE;
	}
	twin_origin_needed(process, page);
	twin_entry_set_block(page, twin_block_copy(page->block));
	return THERE;
}

/* A reader that holds on to a block must not see it replaced by the owner's next write: it becomes
 * the entry's own, or a copy does. */
static void unshare(struct page *page)
{
	bool protected = page->protected;

	if (!own_block(page)) {
		twin_entry_set_block(page, twin_block_copy(page->block));
		page->writable = page->dirty = false;
		page->block->counts = true;
		page->protected = protected;
	}
	twin_block_uncache(page->block);
	page->exclusive = true;
}

enum answer twin_fault(struct process *process, struct page *page, const struct access *access)
{
	enum answer answer = THERE;

	if (page->guard)
		return GUARDED;
	if (page->poison)
		return POISONED;
	if (access->kernel && !access->copies && twin_is_pfn(page))
		return UNRESOLVED;
	if (twin_is_device(page) && page->entry != MEMORY && page->entry != SWAPPED)
		return twin_device_fault(process, page, access);
	if (page->entry == NONE || page->entry == MARKER)
		answer = fault_missing(process, page, access);
	if (answer != THERE)
		return answer;
	if (page->entry == SWAPPED)
		twin_swap_in(page, access->write);
	if (access->write && !page->writable)
		return fault_write(process, page, access);
	if (access->unshare && page->entry == MEMORY && !page->block->of_file && !page->exclusive)
		unshare(page);
	/* The kernel writes without the entry's knowledge. */
	if (access->kernel && access->write && !page->dirty)
		page->block->dirty = true;
	return THERE;
}

/* --- by the process --- */

static void fail(struct call *call, enum call_status status, int code)
{
	call->status = status;
	call->code = code;
}

/* An x86 processor reads whatever it may access at all, unless a protection key forbids it. */
bool twin_readable(const struct page *page)
{
	return (page->flags & MAY_ANYTHING) && !(page->flags & NO_DATA);
}

static bool permitted(const struct page *page, bool write, bool execute)
{
	if (write)
		return page->flags & MAY_WRITE;
	return execute ? page->flags & MAY_ANYTHING : twin_readable(page);
}

/* The processor finds out that it may not execute when the page is there. */
static struct page *reach(struct thread *thread, struct call *call, uint64_t address, bool write)
{
	struct page *page = twin_page_at(thread->process, address / PAGE_BYTES);
	const struct access access = {.thread = thread, .address = address, .write = write};
	bool execute = call->kind == CALL_TOUCH_EXECUTE;

	if (!page) {
		fail(call, CALL_SEGV, SEGV_MAPERR);
		return NULL;
	}
	if (!permitted(page, write, execute)) {
		fail(call, CALL_SEGV,
		     page->flags & NO_DATA && !execute ? SEGV_PKUERR : SEGV_ACCERR);
		return NULL;
	}
	switch (twin_fault(thread->process, page, &access)) {
	case THERE:
		break;
	case SLEEPS:
		call->status = CALL_BLOCKED;
		return NULL;
	case GUARDED:
		fail(call, CALL_SEGV, SEGV_MAPERR);
		return NULL;
	case POISONED:
	case UNRESOLVED:
		fail(call, CALL_BUS, BUS_ADRERR);
		return NULL;
	}
	if (execute && !(page->flags & MAY_EXECUTE)) {
		fail(call, CALL_SEGV, SEGV_ACCERR);
		return NULL;
	}
	page->young = true;
	page->dirty |= write;
	return page;
}

/* Moves bytes between the page and the call's buffer; tells how many. */
static uint64_t move_bytes(struct page *page, struct call *call, bool write)
{
	uint64_t offset = (call->address + call->done) % PAGE_BYTES;
	uint64_t length = PAGE_BYTES - offset;
	struct block *block;

	if (length > call->length - call->done)
		length = call->length - call->done;
	if (write && page->entry == DEVICE)
		twin_file_fill(page->file, page->place);
	block = twin_block_at(page);
	if (write)
		memcpy(block->bytes + offset, call->data + call->done, length);
	else if (block)
		memcpy(call->data + call->done, block->bytes + offset, length);
	else
		memset(call->data + call->done, 0, length);
	return length;
}

void twin_access(struct thread *thread, struct call *call)
{
	bool write = call->kind == CALL_WRITE || call->kind == CALL_TOUCH_WRITE;

	call->status = CALL_DONE;
	if (call->kind != CALL_READ && call->kind != CALL_WRITE) {
		reach(thread, call, call->address, write);
		return;
	}
	while (call->done < call->length) {
		struct page *page = reach(thread, call, call->address + call->done, write);

		if (!page)
			return;
		call->done += move_bytes(page, call, write);
	}
}

/* --- by the kernel --- */

/* Goes on where it was when it has slept. */
int twin_transfer(struct thread *thread, struct call *call)
{
	bool write = call->kind == CALL_SYSCALL_WRITE;

	while (call->done < call->length) {
		/* The kernel asks for pages. */
		const struct access access = {
			.thread = thread,
			.address = (call->address + call->done) & ~(PAGE_BYTES - 1),
			.write = write,
			.kernel = true,
			.unshare = !write,
		};
		struct page *page = twin_page_at(thread->process, access.address / PAGE_BYTES);
		enum answer answer;

		if (!page || !(page->flags & (write ? MAY_WRITE : MAY_READ)))
			return EFAULT;
		answer = twin_fault(thread->process, page, &access);
		if (answer != THERE)
			return answer == SLEEPS ? BLOCKED : EFAULT;
		call->done += move_bytes(page, call, write);
		/* It does not rely on the entry to say so. */
		if (write && page->entry == MEMORY)
			page->block->dirty = true;
	}
	return 0;
}
