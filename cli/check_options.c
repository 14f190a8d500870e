/* SPDX-License-Identifier: MIT */
/*
 * The command line of `quire check`.
 */
#define _GNU_SOURCE 1
#include "check.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "parse.h"

static const char help[] =
	"Usage: quire check [OPTION...]\n"
	"Draws random scenarios, runs each on the library and on the running kernel, and compares\n"
	"every answer. A finding is shrunk to a short script that quire run replays.\n"
	"\n"
	"  --seed N               the seed of everything that is drawn (from the clock)\n"
	"  --cases N              how many scenarios to run (100; without end with --time)\n"
	"  --case K               run case K only, from 1\n"
	"  --ops N                operations in each (100)\n"
	"  --time SECONDS         start no more cases when so much time has gone\n"
	"  --features LIST        what to draw from, names between commas (linux: all but\n"
	"                         migration, pressure, closed_forks, free_shared,\n"
	"                         limited_scans and devices; twin: all but terabytes; none: all);\n"
	"                         what few cases have, swap, pins and pressure, is in all of\n"
	"                         them when it is named\n"
	"  --against linux|twin|none\n"
	"                         what to compare with; `none` runs the library alone (linux)\n"
	"  --jobs N               cases at the same time (the number of CPUs)\n"
	"  --findings N           stop after so many findings (5)\n"
	"  --inject K             run each case again with K of its allocations failing, one a "
	"run\n"
	"                         (0: all of them)\n"
	"  --no-verify            don't run the invariant checker after each call\n"
	"  --timeout SECONDS      a case that takes longer hangs (20)\n"
	"  --shrink-time SECONDS  how long to shrink a finding (60)\n"
	"  --output DIR           where to write the scripts of findings (.)\n"
	"  --coverage             print how often each cell was reached, not only which were not\n"
	"  --help                 print this\n"
	"\n"
	"The same options give the same run. What the kernel does not do again is counted as "
	"noise.\n"
	"Exit status: 0 nothing found, 1 the library failed a check or crashed, 2 usage, 3 the "
	"targets\n"
	"differ, 77 skipped: there is no target to compare with.\n";

enum {
	OPTION_SEED = 1,
	OPTION_CASES,
	OPTION_CASE,
	OPTION_OPS,
	OPTION_TIME,
	OPTION_FEATURES,
	OPTION_AGAINST,
	OPTION_JOBS,
	OPTION_FINDINGS,
	OPTION_INJECT,
	OPTION_NO_VERIFY,
	OPTION_TIMEOUT,
	OPTION_SHRINK_TIME,
	OPTION_OUTPUT,
	OPTION_COVERAGE,
	OPTION_HELP,
};

static const struct option long_options[] = {
	{"seed", required_argument, NULL, OPTION_SEED},
	{"cases", required_argument, NULL, OPTION_CASES},
	{"case", required_argument, NULL, OPTION_CASE},
	{"ops", required_argument, NULL, OPTION_OPS},
	{"time", required_argument, NULL, OPTION_TIME},
	{"features", required_argument, NULL, OPTION_FEATURES},
	{"against", required_argument, NULL, OPTION_AGAINST},
	{"jobs", required_argument, NULL, OPTION_JOBS},
	{"findings", required_argument, NULL, OPTION_FINDINGS},
	{"inject", required_argument, NULL, OPTION_INJECT},
	{"no-verify", no_argument, NULL, OPTION_NO_VERIFY},
	{"timeout", required_argument, NULL, OPTION_TIMEOUT},
	{"shrink-time", required_argument, NULL, OPTION_SHRINK_TIME},
	{"output", required_argument, NULL, OPTION_OUTPUT},
	{"coverage", no_argument, NULL, OPTION_COVERAGE},
	{"help", no_argument, NULL, OPTION_HELP},
	{NULL, 0, NULL, 0},
};

/* What the library can be compared with, and the options of `quire run` that do it. */
static const struct {
	const char *name;
	const struct target_ops *ops;
	const char *replay;
	const char *features; /* all that it knows */
} others[] = {
	{"linux", &target_linux, "--on both",
	 "all,-migration,-pressure,-closed_forks,-free_shared,-limited_scans,-devices"},
	{"twin", &target_twin, "--on quire,twin", "all,-terabytes"},
	{"none", NULL, NULL, "all"},
};
#define OTHERS (sizeof(others) / sizeof(others[0]))

static void set_against(struct check_options *options, const char *name)
{
	for (size_t i = 0; i < OTHERS; i++) {
		if (strcmp(others[i].name, name) != 0)
			continue;
		options->against = others[i].name;
		options->targets.ops[OTHER] = others[i].ops;
		options->replay = others[i].replay;
		options->all_features = others[i].features;
		return;
	}
	usage_error("there is nothing called '%s' to compare with", name);
}

static void parse_option(int option, const char *text, struct check_options *options)
{
	switch (option) {
	case OPTION_SEED:
		options->seed = parse_number("--seed", text, 0);
		break;
	case OPTION_CASES:
		options->cases = parse_number("--cases", text, 1);
		break;
	case OPTION_CASE:
		options->first_case = parse_number("--case", text, 1);
		break;
	case OPTION_OPS:
		options->operations = parse_number("--ops", text, 1);
		break;
	case OPTION_TIME:
		options->time = parse_seconds("--time", text);
		break;
	case OPTION_FEATURES:
		options->features = text;
		break;
	case OPTION_AGAINST:
		set_against(options, text);
		break;
	case OPTION_JOBS:
		options->jobs = (unsigned)parse_number("--jobs", text, 1);
		break;
	case OPTION_FINDINGS:
		options->findings = parse_number("--findings", text, 1);
		break;
	case OPTION_INJECT:
		options->injecting = true;
		options->inject = parse_number("--inject", text, 0);
		break;
	case OPTION_NO_VERIFY:
		options->targets.verify = false;
		break;
	case OPTION_TIMEOUT:
		options->timeout = parse_seconds("--timeout", text);
		break;
	case OPTION_SHRINK_TIME:
		options->shrink_time = parse_seconds("--shrink-time", text);
		break;
	case OPTION_OUTPUT:
		options->output = text;
		break;
	case OPTION_COVERAGE:
		options->coverage = true;
		break;
	case OPTION_HELP:
		fputs(help, stdout);
		exit(STATUS_PASSED);
	default: /* getopt_long has said what is wrong */
		exit(STATUS_ERROR);
	}
}

#define JOBS_MAX 1024

static void check_together(const struct check_options *options)
{
	struct stat output;

	if (options->jobs > JOBS_MAX)
		usage_error("--jobs takes %d at most", JOBS_MAX);
	if (options->first_case && options->cases)
		usage_error("--case and --cases exclude each other");
	if (stat(options->output, &output) || (!S_ISDIR(output.st_mode) && (errno = ENOTDIR)))
		usage_error("--output %s: %s", options->output, strerror(errno));
}

static void set_defaults(struct check_options *options)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	*options = (struct check_options){
		.targets = {.ops = {&target_quire}, .verify = true},
		.seed = (uint64_t)time(NULL),
		.operations = 100,
		.findings = 5,
		.jobs = cpus > 0 && cpus < JOBS_MAX ? (unsigned)cpus : 1,
		.timeout = 20,
		.shrink_time = 60,
		.output = ".",
	};
	set_against(options, "linux");
}

/* What this kernel or its user lacks is not drawn: all such cases would be skipped, or differ by a
 * limit that binds him alone. */
static const char *features_here(const char *features)
{
	static const struct {
		enum profile_bit needs;
		const char *without;
	} lacking[] = {
		{HAS_USERFAULTFD, ",-userfault"},
		{HAS_PIN, ",-pins"},
		{HAS_GUARD, ",-guard"},
		{HAS_PAGEMAP_SCAN, ",-scan"},
		{HAS_ROOT, ",-swap,-lock,-events"},
	};
	const struct profile *profile = profile_host();
	static char here[256];

	snprintf(here, sizeof(here), "%s", features);
	for (size_t i = 0; i < sizeof(lacking) / sizeof(lacking[0]); i++)
		if (!(profile->has & lacking[i].needs))
			strncat(here, lacking[i].without, sizeof(here) - strlen(here) - 1);
	if (strlen(here) != strlen(features))
		printf("drawn here: %s (quire doctor says what is missing)\n", here);
	return here;
}

static void finish_cases(struct check_options *options)
{
	if (options->first_case)
		options->cases = 1;
	else if (!options->cases)
		options->cases = options->time > 0 ? UINT64_MAX : 100;
	if (!options->first_case)
		options->first_case = 1;
	if (options->targets.ops[OTHER] == &target_linux)
		options->all_features = features_here(options->all_features);
	if (!options->features)
		options->features = options->all_features;
	if (options->jobs > options->cases)
		options->jobs = (unsigned)options->cases;
}

void check_parse_options(int argc, char **argv, struct check_options *options)
{
	static char name[] = "quire check";
	int option;

	argv[0] = name;
	parse_as(name);
	set_defaults(options);
	while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1)
		parse_option(option, optarg, options);
	if (optind < argc)
		usage_error("it takes no '%s'", argv[optind]);
	check_together(options);
	finish_cases(options);
}
