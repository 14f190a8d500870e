/* SPDX-License-Identifier: MIT */
/*
 * The rule that makes it right: what was seen in the tables is kept only if no bracket is open and none has
 * ended since before it was looked for.  Then no change has begun that the mirror does not know of, for a
 * change begins by telling.  What is used is used under the lock that the teller must take.
 */
#include "mirror.h"

#include <quire/space.h>

#define PAGE_MASK ((uint64_t)4095)

static struct mirror_page *slot_of(struct mirror *mirror, uint64_t address)
{
	return &mirror->pages[(address >> 12) % MIRROR_PAGES];
}

/* This mirror holds pages of 4K; one that holds larger ones drops all that the range touches. */
static void mirror_begin(void *context, uint64_t start, uint64_t end,
			 enum quire_notifier_reason why)
{
	struct mirror *mirror = context;

	(void)why;
	pthread_mutex_lock(&mirror->lock);
	for (unsigned i = 0; i < MIRROR_PAGES; i++)
		if (start <= mirror->pages[i].address && mirror->pages[i].address < end)
			mirror->pages[i].memory = NULL;
	mirror->open++;
	pthread_mutex_unlock(&mirror->lock);
}

static void mirror_end(void *context, uint64_t start, uint64_t end, enum quire_notifier_reason why)
{
	struct mirror *mirror = context;

	(void)start, (void)end, (void)why;
	pthread_mutex_lock(&mirror->lock);
	mirror->open--;
	mirror->sequence++;
	pthread_mutex_unlock(&mirror->lock);
}

static void mirror_release(void *context)
{
	struct mirror *mirror = context;

	mirror->notifier = NULL;
}

int mirror_open(struct mirror *mirror, struct quire_space *space)
{
	static const struct quire_notifier_operations operations = {
		.begin = mirror_begin, .end = mirror_end, .release = mirror_release};

	*mirror = (struct mirror){.space = space, .lock = PTHREAD_MUTEX_INITIALIZER};
	return quire_notifier_register(space, &operations, mirror, &mirror->notifier);
}

void mirror_close(struct mirror *mirror)
{
	if (mirror->notifier)
		quire_notifier_unregister(mirror->notifier);
	pthread_mutex_destroy(&mirror->lock);
}

/* Makes the access, if the mirror holds what it needs; *sequence: where it was else. */
static bool try_access(struct mirror *mirror, uint64_t address, enum quire_access access,
		       uint64_t *value, uint64_t *sequence)
{
	struct mirror_page *page = slot_of(mirror, address);
	bool held;

	pthread_mutex_lock(&mirror->lock);
	held = page->memory && page->address == (address & ~PAGE_MASK) &&
	       (access == QUIRE_READ || page->writable);
	if (held) {
		uint64_t *word = (uint64_t *)(page->memory + (address & PAGE_MASK));

		if (access == QUIRE_READ)
			*value = __atomic_load_n(word, __ATOMIC_RELAXED);
		else
			__atomic_store_n(word, *value, __ATOMIC_RELAXED);
	}
	*sequence = mirror->sequence;
	pthread_mutex_unlock(&mirror->lock);
	return held;
}

/* What was seen of the page is true, unless somebody has been told otherwise since `sequence`. */
static void keep(struct mirror *mirror, uint64_t address, uint64_t sequence,
		 const struct quire_translation *seen)
{
	pthread_mutex_lock(&mirror->lock);
	if (!mirror->open && mirror->sequence == sequence) {
		*slot_of(mirror, address) =
			(struct mirror_page){address & ~PAGE_MASK, seen->memory, seen->writable};
		mirror->fills++;
	}
	pthread_mutex_unlock(&mirror->lock);
}

static enum quire_outcome mirror_access(struct mirror *mirror, uint64_t address,
					enum quire_access access, uint64_t *value)
{
	struct quire_translation seen;
	enum quire_outcome outcome = QUIRE_DONE;
	uint64_t sequence;

	while (outcome == QUIRE_DONE && !try_access(mirror, address, access, value, &sequence)) {
		if (quire_notifier_translate(mirror->space, address, access, &seen))
			keep(mirror, address, sequence, &seen);
		else
			outcome = quire_fault(mirror->space, address, access).outcome;
	}
	return outcome;
}

enum quire_outcome mirror_load(struct mirror *mirror, uint64_t address, uint64_t *value)
{
	return mirror_access(mirror, address, QUIRE_READ, value);
}

enum quire_outcome mirror_store(struct mirror *mirror, uint64_t address, uint64_t value)
{
	return mirror_access(mirror, address, QUIRE_WRITE, &value);
}
