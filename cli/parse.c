/* SPDX-License-Identifier: MIT */
/*
 * Reading the values of options.
 */
#include "parse.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "script.h"

static const char *name = "quire";

void parse_as(const char *command)
{
	name = command;
}

_Noreturn void usage_error(const char *format, ...)
{
	va_list arguments;

	fprintf(stderr, "%s: ", name);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fprintf(stderr, " (see %s --help)\n", name);
	exit(STATUS_ERROR);
}

double parse_seconds(const char *option, const char *text)
{
	char *end;
	double seconds = strtod(text, &end);

	if (end == text || *end || !(seconds > 0 && seconds < 1e9))
		usage_error("%s takes seconds, not '%s'", option, text);
	return seconds;
}

uint64_t parse_number(const char *option, const char *text, uint64_t least)
{
	char *end;
	uint64_t number;

	errno = 0;
	number = strtoull(text, &end, 10);
	if (*text < '0' || *text > '9' || *end || errno || number < least)
		usage_error("%s takes a number from %d, not '%s'", option, (int)least, text);
	return number;
}
