/* SPDX-License-Identifier: MIT */
/*
 * Where scripts find their memory, the same on every target: the first mapping without a hint ends
 * at WINDOW_TOP, the next lies below it.
 */
#ifndef QUIRE_CLI_WINDOW_H
#define QUIRE_CLI_WINDOW_H

#include <stdint.h>

#define WINDOW_TOP UINT64_C(0x7ff000000000)
#define USER_END   UINT64_C(0x7ffffffff000) /* of the addresses that a process can have */

#endif
