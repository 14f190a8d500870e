/* SPDX-License-Identifier: MIT */
/*
 * Random calls on a small address space, against a model with one record a page.
 *
 *	FIRST    16                    BASE_TOP  200            END  256
 *	  |....................................... |..............|
 *	        searched from above, downwards       only if there is no room below
 *
 * The model looks for holes page by page; it knows nothing of VMAs.  After each step the pages, the
 * tree and the whole machine must be in order.  The second test fails every allocation of every
 * call once, and wants the state to be as before, to the letter.
 */
#include "vma_fixture.h"

#define FIRST	 16u
#define BASE_TOP 200u
#define END	 256u

struct page_model {
	bool mapped;
	int prot;
};

struct model {
	struct world *world;
	struct quire_space *space;
	struct page_model page[END];
	struct random random;
};

static void open_model(struct model *model, void **state)
{
	model->world = *state;
	model->space = open_space(model->world->machine, FIRST * PAGE, END * PAGE, BASE_TOP * PAGE);
	model->random = random_start();
}

static unsigned below(struct model *model, unsigned limit)
{
	return (unsigned)random_below(&model->random, limit);
}

static unsigned some_page(struct model *model)
{
	return FIRST + below(model, END - FIRST);
}

/* Short ranges mostly, inside the address space. */
static unsigned some_length(struct model *model, unsigned page)
{
	unsigned length = 1 + below(model, below(model, 4) ? 6 : 60);

	return length < END - page ? length : END - page;
}

static int some_prot(struct model *model)
{
	return (int)below(model, 8);
}

/* --- the model --- */

static bool is_free(const struct model *model, unsigned page, unsigned length)
{
	if (page + length > END)
		return false;
	for (unsigned i = page; i < page + length; i++)
		if (model->page[i].mapped)
			return false;
	return true;
}

/* 0: no room. */
static unsigned find_room(const struct model *model, unsigned hint, unsigned length)
{
	if (hint && hint < FIRST)
		hint = FIRST;
	if (hint && is_free(model, hint, length))
		return hint;
	for (unsigned page = BASE_TOP - length; length <= BASE_TOP && page >= FIRST; page--)
		if (is_free(model, page, length))
			return page;
	for (unsigned page = (END + 2) / 3; page < END; page++)
		if (is_free(model, page, length))
			return page;
	return 0;
}

static void set(struct model *model, unsigned page, unsigned length, struct page_model value)
{
	for (unsigned i = page; i < page + length; i++)
		model->page[i] = value;
}

static void assert_pages(struct model *model)
{
	struct quire_vma_report vma = {0};
	bool more = quire_vma(model->space, 0, &vma) == 0;

	for (unsigned i = 0; i < END; i++) {
		if (more && vma.end <= i * PAGE)
			more = quire_vma(model->space, i * PAGE, &vma) == 0;
		assert_int_equal(more && vma.start <= i * PAGE, model->page[i].mapped);
		if (model->page[i].mapped)
			assert_int_equal(vma.prot, model->page[i].prot);
	}
	assert_true(vma_tree_valid(model->space));
}

/* --- the calls --- */

static void map_fixed(struct model *model)
{
	unsigned page = some_page(model), length = some_length(model, page);
	int prot = some_prot(model);
	uint64_t result;

	assert_int_equal(
		quire_mmap(model->space, page * PAGE, length * PAGE, prot, ANON_FIXED, &result), 0);
	set(model, page, length, (struct page_model){true, prot});
}

static void map_anywhere(struct model *model)
{
	unsigned hint = below(model, 3) ? 0 : some_page(model) - below(model, 8);
	unsigned length = some_length(model, FIRST), page = find_room(model, hint, length);
	int prot = some_prot(model), flags = ANON;
	uint64_t result = 0;
	int error;

	error = quire_mmap(model->space, hint * PAGE + (hint ? below(model, 4096) : 0),
			   length * PAGE, prot, flags, &result);
	assert_int_equal(error, page ? 0 : -QUIRE_ENOMEM);
	assert_int_equal(result, page * PAGE);
	if (page)
		set(model, page, length, (struct page_model){true, prot});
}

static void unmap(struct model *model)
{
	unsigned page = some_page(model), length = some_length(model, page);

	assert_int_equal(quire_munmap(model->space, page * PAGE, length * PAGE), 0);
	set(model, page, length, (struct page_model){0});
}

static void protect(struct model *model)
{
	unsigned page = some_page(model), length = some_length(model, page), i;
	int prot = some_prot(model), error;

	error = quire_mprotect(model->space, page * PAGE, length * PAGE, prot);
	for (i = page; i < page + length && model->page[i].mapped; i++)
		model->page[i].prot = prot;
	assert_int_equal(error, i < page + length ? -QUIRE_ENOMEM : 0);
}

static void move(struct model *model)
{
	unsigned from = some_page(model), to = some_page(model);
	unsigned length = some_length(model, from > to ? from : to);
	struct page_model saved[END];
	uint64_t result;

	if (!model->page[from].mapped || (from < to + length && to < from + length))
		return;
	assert_int_equal(quire_mremap(model->space, from * PAGE, length * PAGE, length * PAGE,
				      MOVE_TO, to * PAGE, &result),
			 0);
	memcpy(saved, model->page, sizeof(saved));
	for (unsigned i = 0; i < length; i++) {
		if (saved[from + i].mapped)
			model->page[to + i] = saved[from + i];
		model->page[from + i].mapped = false;
	}
}

static void touch_some(struct model *model)
{
	quire_fault(model->space, some_page(model) * PAGE, (enum quire_access)below(model, 3));
}

/* Changes no permission, but splits and merges. */
static void advise(struct model *model)
{
	static const int advice[] = {
		QUIRE_MADV_DONTFORK, QUIRE_MADV_DOFORK,	       QUIRE_MADV_RANDOM,
		QUIRE_MADV_NORMAL,   QUIRE_MADV_GUARD_INSTALL, QUIRE_MADV_GUARD_REMOVE,
		QUIRE_MADV_DONTNEED, QUIRE_MADV_FREE,
	};
	unsigned page = some_page(model), length = some_length(model, page);

	quire_madvise(model->space, page * PAGE, length * PAGE, advice[below(model, 8)]);
}

static void lock(struct model *model)
{
	unsigned page = some_page(model), length = some_length(model, page);

	if (below(model, 2))
		quire_mlock(model->space, page * PAGE, length * PAGE);
	else
		quire_munlock(model->space, page * PAGE, length * PAGE);
}

static void (*const steps[])(struct model *) = {
	map_fixed, map_anywhere, unmap, protect, move, advise, lock, touch_some, touch_some};
#define STEPS (sizeof(steps) / sizeof(steps[0]))

static void A1_random_calls_match_the_model(void **state)
{
	struct model model = {0};

	open_model(&model, state);
	for (unsigned i = 0; i < 20000; i++) {
		steps[below(&model, STEPS)](&model);
		assert_pages(&model);
		if (i % 64 == 0)
			assert_sound(model.world->machine);
	}
	quire_space_destroy(model.space);
}

/* --- failures --- */

#define TEXT_MAX ((size_t)1 << 20)

struct text {
	char *bytes;
	size_t length;
};

static void append(void *context, const char *bytes, size_t length)
{
	struct text *text = context;

	assert_true(text->length + length < TEXT_MAX);
	memcpy(text->bytes + text->length, bytes, length);
	text->length += length;
	text->bytes[text->length] = '\0';
}

static void dump(struct quire_machine *machine, struct text *text)
{
	struct quire_text sink = {.emit = append, .context = text};

	text->length = 0;
	quire_machine_dump(machine, true, &sink);
}

/* One call, with arguments that are drawn before it. */
struct call {
	unsigned kind, from, to, old_length, new_length;
	int prot, flags;
};

static struct call some_call(struct model *model)
{
	struct call call = {.kind = below(model, 4), .from = some_page(model)};

	call.to = some_page(model);
	call.old_length = some_length(model, call.from);
	call.new_length = some_length(model, call.to);
	call.prot = some_prot(model);
	call.flags = below(model, 2) ? QUIRE_MREMAP_MAYMOVE : MOVE_TO;
	return call;
}

static int make(struct quire_space *space, const struct call *call)
{
	uint64_t from = call->from * PAGE, length = call->old_length * PAGE, result;

	switch (call->kind) {
	case 0:
		return quire_mmap(space, from, length, call->prot, ANON_FIXED, &result);
	case 1:
		return quire_munmap(space, from, length);
	case 2: /* several VMAs that move are several units of work */
		if (call->old_length == call->new_length)
			return 0;
		return quire_mremap(space, from, length, call->new_length * PAGE, call->flags,
				    call->to * PAGE, &result);
	default:
		return quire_fault(space, from, QUIRE_WRITE).outcome == QUIRE_OUT_OF_MEMORY
			       ? -QUIRE_ENOMEM
			       : 0;
	}
}

/* Fails the first, second ... allocation of the call until it gets by with none failing. */
static unsigned fail_each(struct model *model, const struct call *call, struct text *before,
			  struct text *after)
{
	struct quire_machine *machine = model->world->machine;

	for (unsigned n = 1;; n++) {
		int error;

		dump(machine, before);
		quire_machine_fail_nth(machine, n);
		error = make(model->space, call);
		if (!quire_machine_failed(machine)) {
			quire_machine_fail_nth(machine, 0);
			return n - 1;
		}
		assert_int_equal(error, -QUIRE_ENOMEM);
		dump(machine, after);
		assert_string_equal(after->bytes, before->bytes);
	}
}

static void A1_failed_calls_change_nothing(void **state)
{
	struct text before = {.bytes = malloc(TEXT_MAX)}, after = {.bytes = malloc(TEXT_MAX)};
	struct model model = {0};
	unsigned failures = 0;

	open_model(&model, state);
	for (unsigned i = 0; i < 2000; i++) {
		struct call call = some_call(&model);

		advise(&model);
		failures += fail_each(&model, &call, &before, &after);
		assert_true(vma_tree_valid(model.space));
	}
	assert_true(failures > 1000);
	assert_sound(model.world->machine);
	quire_space_destroy(model.space);
	free(before.bytes);
	free(after.bytes);
}

static int open_crowded_world(void **state)
{
	open_world(state);
	((struct world *)*state)->machine->max_maps = 65530;
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(A1_random_calls_match_the_model, open_crowded_world,
						close_world),
		cmocka_unit_test_setup_teardown(A1_failed_calls_change_nothing, open_crowded_world,
						close_world),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
