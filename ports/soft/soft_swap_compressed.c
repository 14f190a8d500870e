/* SPDX-License-Identifier: MIT */
/*
 * Swap in memory, compressed with zstd: a slot is a block of the host's, or none for a page of zeros.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include <quire/machine.h>

#include "soft_swap.h"

/* Of compression: about as fast as lzo, and about as good. */
#define LEVEL (-1)

struct slot {
	uint32_t bytes; /* of `data`; 0: a page of zeros */
	void *data;
};

/* What one thread needs to compress or decompress a page. */
struct worker {
	struct worker *next;
	ZSTD_CCtx *compressor;
	ZSTD_DCtx *decompressor;
	size_t bound;
	unsigned char buffer[]; /* [bound] */
};

struct compressed_swap {
	struct soft_swap swap;
	pthread_mutex_t mutex; /* everything below; never held over compression */
	pthread_cond_t idle;   /* a worker has become free */
	struct worker *workers;
	struct slot slot[]; /* [slots] */
};

static struct compressed_swap *of(struct soft_swap *swap)
{
	return (struct compressed_swap *)swap;
}

static int is_zero(const unsigned char *memory)
{
	return memory[0] == 0 && memcmp(memory, memory + 1, QUIRE_PAGE_SIZE - 1) == 0;
}

static void drop(struct slot *slot)
{
	free(slot->data);
	*slot = (struct slot){0};
}

static void worker_free(struct worker *worker)
{
	ZSTD_freeCCtx(worker->compressor);
	ZSTD_freeDCtx(worker->decompressor);
	free(worker);
}

static struct worker *worker_new(void)
{
	size_t bound = ZSTD_compressBound(QUIRE_PAGE_SIZE);
	struct worker *worker = calloc(1, sizeof(*worker) + bound);

	if (!worker)
		return NULL;
	worker->bound = bound;
	worker->compressor = ZSTD_createCCtx();
	worker->decompressor = ZSTD_createDCtx();
	if (worker->compressor && worker->decompressor)
		return worker;
	worker_free(worker);
	return NULL;
}

/* One for the calling thread; where the host has no memory for another it waits: there is one at
 * least. */
static struct worker *take_worker(struct compressed_swap *store)
{
	struct worker *worker;

	pthread_mutex_lock(&store->mutex);
	worker = store->workers;
	if (!worker) {
		pthread_mutex_unlock(&store->mutex);
		worker = worker_new();
		if (worker)
			return worker;
		pthread_mutex_lock(&store->mutex);
		while (!store->workers)
			pthread_cond_wait(&store->idle, &store->mutex);
		worker = store->workers;
	}
	store->workers = worker->next;
	pthread_mutex_unlock(&store->mutex);
	return worker;
}

/* Mutex held. */
static void give_worker(struct compressed_swap *store, struct worker *worker)
{
	worker->next = store->workers;
	store->workers = worker;
	pthread_cond_signal(&store->idle);
}

/* The page as the slot will keep it; 0, -EIO or -ENOSPC. */
static int compress(struct worker *worker, const void *memory, struct slot *slot)
{
	size_t bytes;

	*slot = (struct slot){0};
	if (is_zero(memory))
		return 0;
	bytes = ZSTD_compressCCtx(worker->compressor, worker->buffer, worker->bound, memory,
				  QUIRE_PAGE_SIZE, LEVEL);
	if (ZSTD_isError(bytes))
		return -EIO;
	slot->data = malloc(bytes);
	if (!slot->data)
		return -ENOSPC;
	memcpy(slot->data, worker->buffer, bytes);
	slot->bytes = (uint32_t)bytes;
	return 0;
}

static int compressed_write(struct soft_swap *swap, uint64_t slot, const void *memory)
{
	struct compressed_swap *store = of(swap);
	struct worker *worker = take_worker(store);
	struct slot kept;
	int error = compress(worker, memory, &kept);

	pthread_mutex_lock(&store->mutex);
	if (!error) {
		drop(&store->slot[slot - 1]);
		store->slot[slot - 1] = kept;
	}
	give_worker(store, worker);
	pthread_mutex_unlock(&store->mutex);
	return error;
}

static int compressed_read(struct soft_swap *swap, uint64_t slot, void *memory)
{
	struct compressed_swap *store = of(swap);
	struct worker *worker = take_worker(store);
	size_t bytes, whole = QUIRE_PAGE_SIZE;

	/* The same content may be written to the slot meanwhile, which gives it another block. */
	pthread_mutex_lock(&store->mutex);
	bytes = store->slot[slot - 1].bytes;
	if (bytes)
		memcpy(worker->buffer, store->slot[slot - 1].data, bytes);
	pthread_mutex_unlock(&store->mutex);
	if (bytes)
		whole = ZSTD_decompressDCtx(worker->decompressor, memory, QUIRE_PAGE_SIZE,
					    worker->buffer, bytes);
	else
		memset(memory, 0, QUIRE_PAGE_SIZE);
	pthread_mutex_lock(&store->mutex);
	give_worker(store, worker);
	pthread_mutex_unlock(&store->mutex);
	return whole == QUIRE_PAGE_SIZE ? 0 : -EIO;
}

static void compressed_free(struct soft_swap *swap, uint64_t slot)
{
	struct compressed_swap *store = of(swap);

	pthread_mutex_lock(&store->mutex);
	drop(&store->slot[slot - 1]);
	pthread_mutex_unlock(&store->mutex);
}

static void compressed_close(struct soft_swap *swap)
{
	struct compressed_swap *store = of(swap);

	for (uint64_t i = 0; i < swap->slots; i++)
		drop(&store->slot[i]);
	while (store->workers) {
		struct worker *worker = store->workers;

		store->workers = worker->next;
		worker_free(worker);
	}
	pthread_mutex_destroy(&store->mutex);
	pthread_cond_destroy(&store->idle);
	free(store);
}

struct soft_swap *soft_swap_compressed(uint64_t slots)
{
	struct compressed_swap *store =
		calloc(1, sizeof(*store) + (size_t)slots * sizeof(store->slot[0]));

	if (!store)
		return NULL;
	store->swap = (struct soft_swap){compressed_write, compressed_read, compressed_free,
					 compressed_close, slots};
	pthread_mutex_init(&store->mutex, NULL);
	pthread_cond_init(&store->idle, NULL);
	store->workers = worker_new();
	if (store->workers)
		return &store->swap;
	compressed_close(&store->swap);
	errno = ENOMEM;
	return NULL;
}
