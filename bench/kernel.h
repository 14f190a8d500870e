/* SPDX-License-Identifier: MIT */
/* Between the files of the kernel's side. */
#ifndef QUIRE_BENCH_KERNEL_H
#define QUIRE_BENCH_KERNEL_H

#include <stdbool.h>
#include <stdint.h>

/* fork() of a child that does nothing, and its end; the seconds that fork() took in the parent. */
double bench_kernel_fork(void);

bool bench_kernel_swap_on(uint64_t bytes);
void bench_kernel_swap_off(void);

#endif
