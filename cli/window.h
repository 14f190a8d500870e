/* SPDX-License-Identifier: MIT */
/*
 * Where scripts find their memory, the same on every target: the first mapping without a hint ends
 * at WINDOW_TOP, the next lies below it.  And how much of it one page table is for.
 */
#ifndef QUIRE_CLI_WINDOW_H
#define QUIRE_CLI_WINDOW_H

#include <stdint.h>

#define WINDOW_TOP UINT64_C(0x7ff000000000)
#define USER_END   UINT64_C(0x7ffffffff000) /* of the addresses that a process can have */

/* What a table of the lowest level translates; mappings of such lengths are aligned to it. */
#ifdef QUIRE_TINY_GEOMETRY
#define TABLE_BYTES (UINT64_C(64) << 10)
#else
#define TABLE_BYTES (UINT64_C(2) << 20)
#endif

/*
 * Scripts may use what is below WINDOW_TOP, from 0x10000 on (vm.mmap_min_addr), but for these, which
 * the program of the linux target's agents has, where address randomisation is off.
 */
#define PROGRAM_START UINT64_C(0x555555000000)
#define PROGRAM_END   UINT64_C(0x555560000000)

#endif
