/* SPDX-License-Identifier: MIT */
/*
 * The quire command: finds the subcommand.
 */
#include <stdio.h>
#include <string.h>

#include "check.h"
#include "doctor.h"
#include "linux_agent.h"
#include "run.h"

#ifndef QUIRE_VERSION
#define QUIRE_VERSION "0.1"
#endif

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *help;
} commands[] = {
	{"run", run_command, "run memory scenarios on the library and on the kernel"},
	{"check", check_command, "draw random scenarios, compare, and shrink what differs"},
	{"doctor", doctor_command, "say what this machine has, what is missing, and what to do"},
};
#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

static void print_help(FILE *out)
{
	fputs("Usage: quire COMMAND [ARG...]\n"
	      "A virtual-memory manager with the semantics of Linux.\n\n",
	      out);
	for (size_t i = 0; i < COMMANDS; i++)
		fprintf(out, "  %-8s %s\n", commands[i].name, commands[i].help);
	fputs("\nquire COMMAND --help tells more; quire --version prints the version.\n", out);
}

int main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "";

	linux_agent_main_if_asked(argc, argv);
	if (strcmp(name, "--help") == 0) {
		print_help(stdout);
		return STATUS_PASSED;
	}
	if (strcmp(name, "--version") == 0) {
		puts("quire " QUIRE_VERSION);
		return STATUS_PASSED;
	}
	for (size_t i = 0; i < COMMANDS; i++)
		if (strcmp(commands[i].name, name) == 0)
			return commands[i].run(argc - 1, argv + 1);
	if (*name)
		fprintf(stderr, "quire: there is no command '%s'\n", name);
	print_help(stderr);
	return STATUS_ERROR;
}
