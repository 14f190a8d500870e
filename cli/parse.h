/* SPDX-License-Identifier: MIT */
/*
 * What the commands' options have in common: numbers, seconds, and what is said of wrong ones.
 */
#ifndef QUIRE_CLI_PARSE_H
#define QUIRE_CLI_PARSE_H

#include <stdint.h>

/* The command that messages name: "quire run". */
void parse_as(const char *command);
/* "COMMAND: text (see COMMAND --help)", and the exit status of wrong usage. */
_Noreturn void usage_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
double parse_seconds(const char *option, const char *text);
uint64_t parse_number(const char *option, const char *text, uint64_t least);

#endif
