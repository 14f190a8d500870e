/* SPDX-License-Identifier: MIT */
/*
 * Gather and flush: what leaves the tables is kept until every CPU has forgotten it.
 *
 * A frame whose last holder was the entry is chained through its own descriptor, so that any number
 * of them needs no memory.  A frame that others hold too can't be chained (two gathers might want
 * to at once); its mapping is turned into a reference and put in a small array, then in batches,
 * which are frames full of such pointers.  When there are enough of them, or no frame can be had for
 * another, the gather flushes early.
 */
#include "table/cursor.h"

void gather_begin(struct gather *gather, struct page_tables *tables, enum quire_notifier_reason why)
{
	gather->tables = tables;
	gather->start = UINT64_MAX;
	gather->end = 0;
	gather->told_start = gather->told_end = 0;
	gather->why = why;
	gather->exclusive = NULL;
	gather->unlinked = NULL;
	gather->shared_count = 0;
	gather->batches = NULL;
	gather->batch_count = gather->batch_used = 0;
}

void gather_span(struct gather *gather, uint64_t start, uint64_t end)
{
	quire_assert(gather);
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
		.tables = gather->unlinked != NULL,
	};

	if (gather->start >= gather->end)
		return;
	/*
	 * Adding 0 orders it behind the entries' changes: a CPU that enters now either is seen here,
	 * or sees those.
	 */
	flush.cpus = atomic_fetch_add_explicit(&tables->cpus, 0, memory_order_acq_rel);
	gather->start = UINT64_MAX;
	gather->end = 0;
	if (flush.cpus == 0)
		return;
	machine_bump(tables->machine, COUNT_FLUSHES);
	quire_port_flush(tables->machine->host, &flush);
}

#define BATCH_SIZE (PAGE_SIZE / sizeof(struct folio *))

static struct folio **batch_slots(const struct gather *gather, const struct frame *batch)
{
	return (struct folio **)frame_memory(gather->tables->machine, batch);
}

static void release_all(struct gather *gather, struct folio **folios, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		folio_put(gather->tables->machine, folios[i]);
}

static void release_shared(struct gather *gather)
{
	unsigned used = gather->batch_used;

	release_all(gather, gather->shared, gather->shared_count);
	for (struct frame *batch = gather->batches; batch; batch = batch->next) {
		release_all(gather, batch_slots(gather, batch), used);
		used = BATCH_SIZE;
	}
	frame_free_chain(gather->tables->machine, gather->batches);
	gather->batches = NULL;
	gather->shared_count = gather->batch_count = gather->batch_used = 0;
}

/* Whether there is a slot free in the last batch. */
static bool batch_room(struct gather *gather)
{
	struct frame *batch;

	if (gather->batches && gather->batch_used < BATCH_SIZE)
		return true;
	if (gather->batch_count == GATHER_BATCHES)
		return false;
	batch = frame_alloc_uncounted(gather->tables->machine);
	if (!batch)
		return false;
	batch->next = gather->batches;
	gather->batches = batch;
	gather->batch_count++;
	gather->batch_used = 0;
	return true;
}

/* Keeps a frame that is held by one reference until the flush. */
static void keep_shared(struct gather *gather, struct folio *folio)
{
	if (gather->shared_count == GATHER_SHARED && !batch_room(gather)) {
		gather_flush(gather);
		release_shared(gather);
	}
	if (gather->shared_count < GATHER_SHARED)
		gather->shared[gather->shared_count++] = folio;
	else
		batch_slots(gather, gather->batches)[gather->batch_used++] = folio;
}

/* Frames on the exclusive chain have no holder any more. */
static void release_exclusive(struct gather *gather)
{
	frame_free_chain(gather->tables->machine, gather->exclusive);
	gather->exclusive = NULL;
}

void gather_folio(struct gather *gather, struct folio *folio)
{
	uint64_t alone = FRAME_ONE_MAPPING;

	/* At once: reclaim takes references to whatever it comes by. */
	if (atomic_compare_exchange_strong_explicit(&folio->head.holders, &alone, 0,
						    memory_order_acq_rel, memory_order_relaxed)) {
		folio->head.next = gather->exclusive;
		gather->exclusive = &folio->head;
		return;
	}
	folio_exchange(folio, FRAME_ONE_MAPPING, FRAME_ONE_REFERENCE);
	keep_shared(gather, folio);
}

void gather_end(struct gather *gather)
{
	gather_flush(gather);
	gather_close_bracket(gather);
	release_shared(gather);
	release_exclusive(gather);
	frame_free_chain(gather->tables->machine, gather->unlinked);
	gather->unlinked = NULL;
}
