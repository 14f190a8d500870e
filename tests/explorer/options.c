/* SPDX-License-Identifier: MIT */
#include "options.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "judge.h"

struct options options = {.depth = 1, .jobs = 2, .limit = 20, .seed = 1};

static void usage(void)
{
	fprintf(stderr,
		"explore [--pair A,B] [--registration R] [--memory M] [--at K[,J]] [--sample N] "
		"[--time S]\n"
		"        [--seed S] [--depth 2] [--all] [--jobs N] [--limit N] [--list] [-v]\n");
	exit(2);
}

static void list(void)
{
	printf("operations:");
	for (unsigned i = 0; i < operation_count(); i++)
		printf(" %s", operation_at(i)->name);
	printf("\nregistrations:");
	for (unsigned i = 0; i < registration_count; i++)
		printf(" %s", registrations[i].name);
	printf("\nmemory:");
	for (unsigned i = 0; i < memory_count; i++)
		printf(" %s", memories[i].name);
	printf("\nexceptions:\n");
	for (unsigned i = 0; i < exception_count; i++)
		printf("   %s: %s\n", exceptions[i].name, exceptions[i].reason);
	exit(0);
}

static const struct operation *operation_named(const char *name, size_t length)
{
	for (unsigned i = 0; i < operation_count(); i++)
		if (strlen(operation_at(i)->name) == length &&
		    !strncmp(operation_at(i)->name, name, length))
			return operation_at(i);
	if (length == 1 && *name == '*')
		return NULL;
	fprintf(stderr, "explore: no operation %.*s\n", (int)length, name);
	exit(2);
}

static void choose_pair(const char *pair)
{
	const char *comma = strchr(pair, ',');

	if (!comma)
		usage();
	options.a = operation_named(pair, (size_t)(comma - pair));
	options.b = operation_named(comma + 1, strlen(comma + 1));
}

static void choose_memory(const char *name)
{
	for (unsigned i = 0; i < memory_count; i++)
		if (!strcmp(memories[i].name, name))
			options.memory = &memories[i];
	if (!options.memory)
		usage();
}

static void choose_registration(const char *name)
{
	for (unsigned i = 0; i < registration_count; i++)
		if (!strcmp(registrations[i].name, name))
			options.registration = &registrations[i];
	if (!options.registration)
		usage();
}

void parse_options(int argc, char **argv)
{
	static const struct option names[] = {
		{"pair", 1, 0, 'p'},
		{"registration", 1, 0, 'r'},
		{"memory", 1, 0, 'm'},
		{"at", 1, 0, 'a'},
		{"sample", 1, 0, 'n'},
		{"seed", 1, 0, 's'},
		{"time", 1, 0, 't'},
		{"depth", 1, 0, 'd'},
		{"jobs", 1, 0, 'j'},
		{"limit", 1, 0, 'l'},
		{"all", 0, 0, 'A'},
		{"list", 0, 0, 'L'},
		{0},
	};
	int option;

	while ((option = getopt_long(argc, argv, "v", names, NULL)) != -1) {
		switch (option) {
		case 'p':
			choose_pair(optarg);
			break;
		case 'r':
			choose_registration(optarg);
			break;
		case 'm':
			choose_memory(optarg);
			break;
		case 'a':
			if (sscanf(optarg, "%u,%u", &options.at[0], &options.at[1]) < 1)
				usage();
			break;
		case 'n':
			options.sample = strtoull(optarg, NULL, 0);
			break;
		case 't':
			options.seconds = strtoull(optarg, NULL, 0);
			break;
		case 's':
			options.seed = strtoull(optarg, NULL, 0);
			break;
		case 'd':
			options.depth = (unsigned)strtoul(optarg, NULL, 0);
			break;
		case 'j':
			options.jobs = (unsigned)strtoul(optarg, NULL, 0);
			break;
		case 'l':
			options.limit = strtoull(optarg, NULL, 0);
			break;
		case 'A':
			options.all = true;
			break;
		case 'L':
			list();
			break;
		case 'v':
			options.verbose = true;
			break;
		default:
			usage();
		}
	}
	options.all |= options.memory && options.registration;
	if (optind < argc || options.jobs > JOBS_MAX)
		usage();
}
