/* SPDX-License-Identifier: MIT */
/*
 * What the unit tests share: cmocka with the headers it wants, random numbers with a seed that can
 * be given, expected panics.
 */
#ifndef QUIRE_TEST_SUPPORT_H
#define QUIRE_TEST_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* Whether function(argument) runs into quire_port_panic().  With port_stub.c only. */
bool panics(void (*function)(void *), void *argument);

/* Called before each lock is taken, if it is set: what another CPU does just then.  With port_stub.c
 * only. */
extern void (*port_stub_before_lock)(void);

/*
 * Random numbers (splitmix64).  QUIRE_SEED=n in the environment starts another sequence; a soak
 * does that.
 */
struct random {
	uint64_t state;
};

static inline struct random random_start(void)
{
	const char *seed = getenv("QUIRE_SEED");

	return (struct random){seed ? strtoull(seed, NULL, 0) : 1};
}

static inline uint64_t random_next(struct random *random)
{
	uint64_t mixed = random->state += 0x9e3779b97f4a7c15;

	mixed = (mixed ^ mixed >> 30) * 0xbf58476d1ce4e5b9;
	mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111eb;
	return mixed ^ mixed >> 31;
}

/* 0 to limit - 1. */
static inline uint64_t random_below(struct random *random, uint64_t limit)
{
	return random_next(random) % limit;
}

#endif
