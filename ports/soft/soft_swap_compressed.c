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

#define LEVEL 1 /* of compression: the fastest of the usual ones */

struct slot {
	uint32_t bytes; /* of `data`; 0: a page of zeros */
	void *data;
};

/* A thread's turn: (de)compression needs a context of its own. */
struct compressed_swap {
	struct soft_swap swap;
	pthread_mutex_t mutex; /* everything below */
	ZSTD_CCtx *compressor;
	ZSTD_DCtx *decompressor;
	size_t bound;
	unsigned char *buffer; /* of `bound` bytes */
	struct slot slot[];    /* [slots] */
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

static int keep(struct compressed_swap *store, struct slot *slot, const void *memory)
{
	size_t bytes;
	void *data;

	if (is_zero(memory)) {
		drop(slot);
		return 0;
	}
	bytes = ZSTD_compressCCtx(store->compressor, store->buffer, store->bound, memory,
				  QUIRE_PAGE_SIZE, LEVEL);
	if (ZSTD_isError(bytes))
		return -EIO;
	data = malloc(bytes);
	if (!data)
		return -ENOSPC;
	memcpy(data, store->buffer, bytes);
	drop(slot);
	*slot = (struct slot){(uint32_t)bytes, data};
	return 0;
}

static int compressed_write(struct soft_swap *swap, uint64_t slot, const void *memory)
{
	struct compressed_swap *store = of(swap);
	int error;

	pthread_mutex_lock(&store->mutex);
	error = keep(store, &store->slot[slot - 1], memory);
	pthread_mutex_unlock(&store->mutex);
	return error;
}

static int compressed_read(struct soft_swap *swap, uint64_t slot, void *memory)
{
	struct compressed_swap *store = of(swap);
	const struct slot *from = &store->slot[slot - 1];
	size_t bytes = QUIRE_PAGE_SIZE;

	pthread_mutex_lock(&store->mutex);
	if (from->bytes)
		bytes = ZSTD_decompressDCtx(store->decompressor, memory, QUIRE_PAGE_SIZE,
					    from->data, from->bytes);
	else
		memset(memory, 0, QUIRE_PAGE_SIZE);
	pthread_mutex_unlock(&store->mutex);
	return bytes == QUIRE_PAGE_SIZE ? 0 : -EIO;
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
	ZSTD_freeCCtx(store->compressor);
	ZSTD_freeDCtx(store->decompressor);
	pthread_mutex_destroy(&store->mutex);
	free(store->buffer);
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
	store->compressor = ZSTD_createCCtx();
	store->decompressor = ZSTD_createDCtx();
	store->bound = ZSTD_compressBound(QUIRE_PAGE_SIZE);
	store->buffer = malloc(store->bound);
	if (store->compressor && store->decompressor && store->buffer)
		return &store->swap;
	compressed_close(&store->swap);
	errno = ENOMEM;
	return NULL;
}
