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

static void forget_spans(struct gather *gather)
{
	gather->last = 0;
	gather->spans[0].end = gather->emptied.end = GATHER_NOTHING;
}

void gather_begin(struct gather *gather, struct page_tables *tables, enum quire_notifier_reason why)
{
	gather->tables = tables;
	forget_spans(gather);
	gather->told_start = gather->told_end = 0;
	gather->why = why;
	gather->exclusive = NULL;
	gather->unlinked = NULL;
	gather->shared_count = 0;
	gather->batches = NULL;
	gather->batch_count = gather->batch_used = 0;
}

/* --- spans --- */

static unsigned span_level(struct gather_span span)
{
	return (unsigned)(span.end & GATHER_LEVEL);
}

static struct gather_span joined(struct gather_span a, struct gather_span b)
{
	uint64_t level = min_u64(span_level(a), span_level(b));
	uint64_t write_only = a.end & b.end & GATHER_WRITE_ONLY;

	if (QUIRE_MISTAKE(FLUSH_STRIDES_FAR))
		level = max_u64(span_level(a), span_level(b));
	if (QUIRE_MISTAKE(FLUSH_SPARES_READERS))
		write_only = (a.end | b.end) & GATHER_WRITE_ONLY;
	return (struct gather_span){
		.start = min_u64(a.start, b.start),
		.end = max_u64(page_down(a.end), page_down(b.end)) | level | write_only,
	};
}

/* How many instructions forget it, on a processor that has one for a leaf. */
static int64_t steps(struct gather_span span)
{
	return (int64_t)((page_down(span.end) - span.start) >> arch_shift(span_level(span)));
}

/* What joining two spans costs. */
static int64_t cost(struct gather_span a, struct gather_span b)
{
	return steps(joined(a, b)) - steps(a) - steps(b);
}

/*
 * Adds one more than there is room for: of all of them, the two neighbours are joined that cost the least
 * together.  Mostly a range is walked from its start to its end, and then those are the nearest.
 */
static void squeeze_in(struct gather *gather, struct gather_span span)
{
	struct gather_span *spans = gather->spans;
	int64_t least = cost(spans[GATHER_SPANS - 1], span);
	unsigned at = GATHER_SPANS - 1;

	for (unsigned i = 0; i + 1 < GATHER_SPANS; i++) {
		int64_t pair = cost(spans[i], spans[i + 1]);

		if (pair < least) {
			least = pair;
			at = i;
		}
	}
	if (at == GATHER_SPANS - 1) {
		spans[at] = joined(spans[at], span);
		return;
	}
	spans[at] = joined(spans[at], spans[at + 1]);
	for (at++; at + 1 < GATHER_SPANS; at++)
		spans[at] = spans[at + 1];
	spans[at] = span;
}

void gather_next_span(struct gather *gather, uint64_t start, uint64_t end, uint64_t what)
{
	struct gather_span span = {start, end | what};

	quire_assert(start < end && level_aligned(start | end, span_level(span)));
	if (gather->spans[gather->last].end == GATHER_NOTHING)
		gather->spans[gather->last] = span;
	else if (gather->last + 1 < GATHER_SPANS)
		gather->spans[++gather->last] = span;
	else
		squeeze_in(gather, span);
}

void gather_table(struct gather *gather, struct frame *table, uint64_t start, unsigned level)
{
	/* No leaf is lost with an empty table: only the way there is to be forgotten. */
	struct gather_span span = {start, (start + level_span(level)) | level | GATHER_WRITE_ONLY};

	gather->emptied =
		gather->emptied.end == GATHER_NOTHING ? span : joined(gather->emptied, span);
	table->next = gather->unlinked;
	gather->unlinked = table;
}

/* --- the flush --- */

/*
 * Whether any CPU has entered.  Adding 0 orders it behind the entries' changes: a CPU that enters now
 * either is seen here, or sees those.
 */
static bool any_cpu(struct page_tables *tables)
{
	uint64_t cpus = 0;

	for (unsigned i = 0; i < tables->machine->cpu_words; i++)
		cpus |= atomic_fetch_add_explicit(&tables->cpus.word[i], 0, memory_order_acq_rel);
	return cpus != 0;
}

/* Field by field: a copy of the whole would wait for what was just written. */
static void describe(struct quire_flush *flush, struct page_tables *tables, struct gather_span span)
{
	flush->tag = tables->tag;
	flush->start = span.start;
	flush->end = page_down(span.end);
	flush->stride = level_span(span_level(span));
	flush->cpus = &tables->cpus;
	flush->write_only = (span.end & GATHER_WRITE_ONLY) != 0;
	flush->tables = false;
}

/* That tables go is told with the flush of all that they translated, or by one of its own. */
static unsigned add_tables(struct gather *gather, struct quire_flush *flushes, unsigned count)
{
	struct quire_flush *own = &flushes[count];

	describe(own, gather->tables, gather->emptied);
	own->tables = true;
	for (unsigned i = 0; i < count; i++) {
		if (flushes[i].start <= own->start && flushes[i].end >= own->end) {
			flushes[i].tables = true;
			return count;
		}
	}
	return count + 1;
}

void gather_flush(struct gather *gather)
{
	struct quire_flush flushes[GATHER_SPANS + 1];
	struct page_tables *tables = gather->tables;
	unsigned count = 0;

	if (gather->spans[0].end != GATHER_NOTHING)
		for (; count <= gather->last && count < GATHER_SPANS; count++)
			describe(&flushes[count], tables, gather->spans[count]);
	if (gather->emptied.end != GATHER_NOTHING)
		count = add_tables(gather, flushes, count);
	if (!count)
		return;
	forget_spans(gather);
	if (!any_cpu(tables))
		return;
	machine_bump(tables->machine, COUNT_FLUSHES);
	quire_port_flush(tables->machine->host, flushes, count);
}

/* --- what is kept --- */

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
