/* SPDX-License-Identifier: MIT */
/*
 * Gather and flush: what leaves the tables is kept until every CPU has forgotten it.
 *
 * A frame whose last holder was the entry is chained through its own descriptor, so that any number
 * of them needs no memory.  A frame that others hold too can't be chained (two gathers might want
 * to at once); its mapping is turned into a reference and put in a small array, and when that is
 * full the gather flushes early.
 */
#include "table/cursor.h"

void gather_begin(struct gather *gather, struct page_tables *tables)
{
	gather->tables = tables;
	gather->start = UINT64_MAX;
	gather->end = 0;
	gather->exclusive = NULL;
	gather->unlinked = NULL;
	gather->shared_count = 0;
}

void gather_span(struct gather *gather, uint64_t start, uint64_t end)
{
	gather->start = min_u64(gather->start, start);
	gather->end = max_u64(gather->end, end);
}

void gather_flush(struct gather *gather)
{
	struct page_tables *tables = gather->tables;
	struct quire_flush flush = {
		.tag = tables->tag,
		.start = gather->start,
		.end = gather->end,
		/*
		 * Adding 0 orders it behind the entries' changes: a CPU that enters now either is
		 * seen here, or sees those.
		 */
		.cpus = atomic_fetch_add_explicit(&tables->cpus, 0, memory_order_acq_rel),
		.tables = gather->unlinked != NULL,
	};

	if (gather->start >= gather->end)
		return;
	gather->start = UINT64_MAX;
	gather->end = 0;
	if (flush.cpus == 0)
		return;
	machine_bump(&tables->machine->flushes);
	quire_port_flush(tables->machine->host, &flush);
}

static void release_shared(struct gather *gather)
{
	struct quire_machine *machine = gather->tables->machine;

	for (unsigned i = 0; i < gather->shared_count; i++)
		if (frame_drop(gather->shared[i], FRAME_ONE_REFERENCE))
			frame_free(machine, gather->shared[i]);
	gather->shared_count = 0;
}

/* Frames on the exclusive chain have one reference each, the gather's. */
static void release_exclusive(struct gather *gather)
{
	for (struct frame *frame = gather->exclusive; frame; frame = frame->next)
		atomic_store_explicit(&frame->holders, 0, memory_order_relaxed);
	frame_free_chain(gather->tables->machine, gather->exclusive);
	gather->exclusive = NULL;
}

void gather_frame(struct gather *gather, struct frame *frame)
{
	if (atomic_load_explicit(&frame->holders, memory_order_acquire) == FRAME_ONE_MAPPING) {
		atomic_store_explicit(&frame->holders, FRAME_ONE_REFERENCE, memory_order_relaxed);
		frame->next = gather->exclusive;
		gather->exclusive = frame;
		return;
	}
	frame_exchange(frame, FRAME_ONE_MAPPING, FRAME_ONE_REFERENCE);
	gather->shared[gather->shared_count++] = frame;
	if (gather->shared_count == GATHER_SHARED) {
		gather_flush(gather);
		release_shared(gather);
	}
}

void gather_end(struct gather *gather)
{
	gather_flush(gather);
	release_shared(gather);
	release_exclusive(gather);
	frame_free_chain(gather->tables->machine, gather->unlinked);
	gather->unlinked = NULL;
}
