/* SPDX-License-Identifier: MIT */
/* Swap for the kernel's side, as the command sets it up for a scenario (cli/linux_guardian.c). */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "kernel.h"
#include "linux_target.h"

static struct target swapping;

void target_fail(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
	exit(1);
}

bool bench_kernel_swap_on(uint64_t bytes)
{
	const struct target_setup setup = {.has_swap = true, .swap = bytes};
	static bool told;
	const char *why = guardian_start(&swapping, &setup);

	if (!why)
		return true;
	if (!told)
		printf("no figures of the kernel's swap: %s\n", why);
	told = true;
	guardian_end(&swapping);
	return false;
}

void bench_kernel_swap_off(void)
{
	guardian_end(&swapping);
}
