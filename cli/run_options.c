/* SPDX-License-Identifier: MIT */
/*
 * The command line of `quire run`.
 */
#define _GNU_SOURCE 1
#include "run.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "parse.h"

static const char help[] =
	"Usage: quire run [OPTION...] FILE.lua... [-- ARG...]\n"
	"Runs memory scenarios on the library, on the running kernel, or on a second model.\n"
	"\n"
	"  --on quire|linux|twin  where to run\n"
	"  --on TARGET,TARGET     run on both and compare the first with the second\n"
	"  --on both              the same as quire,linux\n"
	"  --trace                print each call and its result\n"
	"  --tap                  print results in the Test Anything Protocol\n"
	"  --json FILE            write results and transcripts to FILE\n"
	"  --timeout SECONDS      give up on a script that runs longer (30)\n"
	"  --no-verify            don't run the invariant checker after each call\n"
	"  --strict-skips         a skip that the target's profile does not explain is a failure\n"
	"  --fail N               let the N-th allocation fail once; all checks must hold\n"
	"  --fail-count           print how many allocations the script asks for\n"
	"  --fail-sweep K         run with K values of N, evenly spread (0: with all)\n"
	"  --help                 print this\n"
	"\n"
	"Addresses for scripts: from 0x10000 to 0x7ff000000000, but for 0x555555000000 to "
	"0x555560000000,\n"
	"which the linux target's own program has.\n"
	"\n"
	"ARGs are passed to the script.\n"
	"Exit status: 0 all checks held, 1 a check failed, 2 usage, script error or timeout,\n"
	"3 the targets differ, 77 skipped: a target lacks what the script needs.\n";

enum {
	OPTION_ON = 1,
	OPTION_TRACE,
	OPTION_TAP,
	OPTION_JSON,
	OPTION_TIMEOUT,
	OPTION_NO_VERIFY,
	OPTION_STRICT_SKIPS,
	OPTION_FAIL,
	OPTION_FAIL_COUNT,
	OPTION_FAIL_SWEEP,
	OPTION_HELP,
};

static const struct option long_options[] = {
	{"on", required_argument, NULL, OPTION_ON},
	{"trace", no_argument, NULL, OPTION_TRACE},
	{"tap", no_argument, NULL, OPTION_TAP},
	{"json", required_argument, NULL, OPTION_JSON},
	{"timeout", required_argument, NULL, OPTION_TIMEOUT},
	{"no-verify", no_argument, NULL, OPTION_NO_VERIFY},
	{"strict-skips", no_argument, NULL, OPTION_STRICT_SKIPS},
	{"fail", required_argument, NULL, OPTION_FAIL},
	{"fail-count", no_argument, NULL, OPTION_FAIL_COUNT},
	{"fail-sweep", required_argument, NULL, OPTION_FAIL_SWEEP},
	{"help", no_argument, NULL, OPTION_HELP},
	{NULL, 0, NULL, 0},
};

static const struct target_ops *parse_target(const char *name, size_t length)
{
	static const struct target_ops *const targets[] = {&target_quire, &target_linux,
							   &target_twin};

	for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++)
		if (strlen(targets[i]->name) == length &&
		    strncmp(targets[i]->name, name, length) == 0)
			return targets[i];
	usage_error("there is no target '%.*s': quire, linux, twin, both or two of them",
		    (int)length, name);
}

static void parse_targets(const char *text, const struct target_ops *on[2])
{
	const char *comma;

	if (strcmp(text, "both") == 0)
		text = "quire,linux";
	comma = strchr(text, ',');
	on[0] = parse_target(text, comma ? (size_t)(comma - text) : strlen(text));
	on[1] = comma ? parse_target(comma + 1, strlen(comma + 1)) : NULL;
}

static void parse_option(int option, const char *text, struct run_options *options)
{
	switch (option) {
	case OPTION_ON:
		parse_targets(text, options->on);
		break;
	case OPTION_TRACE:
		options->trace = true;
		break;
	case OPTION_TAP:
		options->tap = true;
		break;
	case OPTION_JSON:
		options->json = text;
		break;
	case OPTION_TIMEOUT:
		options->timeout = parse_seconds("--timeout", text);
		break;
	case OPTION_NO_VERIFY:
		options->verify = false;
		break;
	case OPTION_STRICT_SKIPS:
		options->strict_skips = true;
		break;
	case OPTION_FAIL:
		options->fail = parse_number("--fail", text, 1);
		break;
	case OPTION_FAIL_COUNT:
		options->fail_count = true;
		break;
	case OPTION_FAIL_SWEEP:
		options->sweep = true;
		options->sweep_places = parse_number("--fail-sweep", text, 0);
		break;
	case OPTION_HELP:
		fputs(help, stdout);
		exit(STATUS_PASSED);
	default: /* getopt_long has said what is wrong */
		exit(STATUS_ERROR);
	}
}

static void check_together(const struct run_options *options)
{
	int failing = (options->fail != 0) + options->fail_count + options->sweep;

	if (failing && (options->on[0] != &target_quire || options->on[1]))
		usage_error("only the quire target can let allocations fail");
	if (failing > 1)
		usage_error("--fail, --fail-count and --fail-sweep exclude each other");
	if ((options->fail_count || options->sweep) &&
	    (options->trace || options->tap || options->json))
		usage_error("--fail-count and --fail-sweep have an output of their own");
}

void run_parse_options(int argc, char **argv, struct run_options *options)
{
	static char *none[] = {NULL};
	static char name[] = "quire run";
	int option;

	*options = (struct run_options){
		.on = {&target_quire}, .verify = true, .timeout = 30, .arguments = none};
	/* What follows "--" belongs to the scripts: getopt must not mix it with the files. */
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--") == 0) {
			options->arguments = argv + i + 1;
			argv[i] = NULL;
			argc = i;
		}
	}
	argv[0] = name;
	parse_as(name);
	while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1)
		parse_option(option, optarg, options);
	if (optind == argc)
		usage_error("no script given");
	options->files = argv + optind;
	check_together(options);
}
