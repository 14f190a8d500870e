/* SPDX-License-Identifier: MIT */
/*
 * Free frames that are in no CPU's cache: blocks and single frames (buddy.c).  frames.lock is held, and
 * frames.free is the caller's to keep where a function does not say that it does.
 */
#ifndef QUIRE_FRAME_BUDDY_H
#define QUIRE_FRAME_BUDDY_H

#include "frame/machine.h"

static inline uint64_t frames_in(unsigned order)
{
	return (uint64_t)1 << order;
}

/* A single frame, or NULL. */
struct frame *buddy_take_single(struct frames *frames);
/*
 * The first part of the smallest listed block that holds 2^order frames; NULL when there is none.
 * Singles may have to be joined first.
 */
struct frame *buddy_take(struct frames *frames, unsigned order);
/* Joins some singles; false when there are none. */
bool buddy_join_singles(struct frames *frames);
/* Lists a free block, joined with its buddies as far as that goes. */
void buddy_give(struct frames *frames, struct frame *block, unsigned order);
/* Takes back `count` singles, chained from `first` to `last`; keeps frames.free. */
void buddy_give_singles(struct frames *frames, struct frame *first, struct frame *last,
			uint64_t count);

/* Whether lists and singles are in order, and as many as frames.free. */
bool buddy_valid(struct frames *frames);
/* Adds the frames of a chain of singles to *found; false: they are not in order, or more than
 * `most`. */
bool buddy_singles_valid(const struct frames *frames, const struct frame *chain, uint64_t most,
			 uint64_t *found);

#endif
