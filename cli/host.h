/* SPDX-License-Identifier: MIT */
/*
 * What the host decides for targets that live in this process, so that a script can't tell them from
 * the running kernel by it.
 */
#ifndef QUIRE_CLI_HOST_H
#define QUIRE_CLI_HOST_H

#include <stdint.h>

/* Where the host puts a page that is wished to lie as low as can be. */
uint64_t host_mmap_lowest(void);
/* Bytes of memory; the most that one mapping may ask for: memory and swap, unless vm.overcommit_memory
 * is 1. */
void host_memory(uint64_t *memory, uint64_t *commit_limit);

#endif
