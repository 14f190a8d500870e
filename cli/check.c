/* SPDX-License-Identifier: MIT */
/*
 * `quire check`: what it prints.  Findings come in the order of their cases, then the summary; how
 * fast it goes is told on standard error, because it is not the same every time.
 */
#define _GNU_SOURCE 1
#include "check.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "parse.h"
#include "run.h"
#include "worker.h"

#define PROGRESS_SECONDS 0.2

/* The sum of all cases. */
struct check {
	const struct check_options *options;
	struct coverage coverage;
	uint64_t cases, operations, calls, findings, noise, skipped;
	uint64_t *rules;
	enum status status;
	double started, told; /* on standard error, the last time */
	bool progress;	      /* there is a line of it */
};

static double rate(const struct check *check)
{
	double seconds = seconds_now() - check->started;

	return seconds > 0 ? (double)check->operations / seconds : 0;
}

static void clear_progress(struct check *check)
{
	if (check->progress)
		fputs("\r\033[K", stderr);
	check->progress = false;
}

static void show_progress(struct check *check)
{
	double now = seconds_now();

	if (!isatty(STDERR_FILENO) || now - check->told < PROGRESS_SECONDS)
		return;
	check->told = now;
	check->progress = true;
	fprintf(stderr, "\r\033[K%" PRIu64 " cases, %.0f operations a second, %" PRIu64 " findings",
		check->cases, rate(check), check->findings);
}

static void write_script(const struct check_options *options, const struct case_result *result)
{
	char *path = check_script_path(options, result->number);
	FILE *file = fopen(path, "w");
	bool written = file && fputs(result->script, file) >= 0;

	if (!file || fclose(file) || !written) {
		fprintf(stderr, "quire check: %s: %s\n", path, strerror(errno));
		exit(STATUS_ERROR);
	}
	free(path);
}

/* One more case; false: these are findings enough. */
static bool take(void *context, const struct case_result *result)
{
	struct check *check = context;
	bool finding = result->status != STATUS_PASSED && result->status != STATUS_SKIPPED;

	check->cases++;
	check->operations += result->operations;
	check->calls += result->calls;
	check->findings += finding;
	check->noise += result->noise;
	check->skipped += result->status == STATUS_SKIPPED;
	for (size_t i = 0; i < difference_rule_count; i++)
		check->rules[i] += result->rules[i];
	for (size_t i = 0; i < check->coverage.count; i++)
		check->coverage.reached[i] += result->reached[i];
	if (finding)
		check->status = worse(check->status, result->status);
	if (result->script)
		write_script(check->options, result);
	if (result->report) {
		clear_progress(check);
		fputs(result->report, stdout);
		putchar('\n');
		fflush(stdout);
	}
	show_progress(check);
	return check->findings < check->options->findings;
}

static void print_summary(const struct check *check)
{
	printf("%" PRIu64 " cases, %" PRIu64 " operations, %" PRIu64 " calls%s\n", check->cases,
	       check->operations, check->calls,
	       check->options->targets.ops[OTHER] ? " compared" : "");
	if (check->skipped)
		printf("%" PRIu64 " cases skipped\n", check->skipped);
	for (size_t i = 0; i < difference_rule_count; i++)
		if (check->rules[i])
			printf("tolerated by %s: %" PRIu64 ", %s against %s\n",
			       difference_rules[i].name, check->rules[i],
			       check->options->targets.ops[LIBRARY]->name,
			       check->options->targets.ops[OTHER]->name);
	coverage_print(stdout, &check->coverage, check->options->coverage);
	printf("%" PRIu64 " findings%s, %" PRIu64 " noise\n", check->findings,
	       check->findings == check->options->findings ? " (it stops there)" : "",
	       check->noise);
}

/* A message of the generator's, without the place in it. */
static const char *without_place(const char *reason)
{
	const size_t length = strlen(CHECK_GENERATOR ".lua:");

	if (strncmp(reason, CHECK_GENERATOR ".lua:", length) != 0)
		return reason;
	reason += length + strspn(reason + length, "0123456789");
	return *reason == ':' ? reason + 2 : reason;
}

/* Ends the command if a target can't be had. */
static void probe_targets(const struct check_options *options)
{
	static const char text[] = "quire.process()";
	static char *const none[] = {NULL};
	const struct trial_script script = {.name = "check",
					    .text = {.bytes = text, .length = strlen(text)},
					    .arguments = none,
					    .timeout = options->timeout};
	struct trial trial;

	trial_run(&trial, &options->targets, &script);
	if (trial.symptom.trouble == TROUBLE_SKIPPED)
		printf("skipped on %s: ", trial.names[trial.symptom.side]);
	trial_print(stdout, &trial);
	if (trial.symptom.trouble != TROUBLE_NONE)
		exit((int)trial_status(&trial));
	trial_free(&trial);
}

/* Finds out what can be reached. */
static struct coverage probe_generator(const struct check_options *options)
{
	struct coverage coverage;
	struct trial trial;

	check_probe(&trial, options);
	if (trial.symptom.trouble == TROUBLE_ERROR && trial.transcripts[LIBRARY]->reason)
		usage_error("%s", without_place(trial.transcripts[LIBRARY]->reason));
	if (trial.symptom.trouble != TROUBLE_NONE) {
		trial_print(stderr, &trial);
		exit((int)trial_status(&trial));
	}
	coverage = coverage_new(trial.transcripts[LIBRARY]);
	trial_free(&trial);
	return coverage;
}

int check_command(int argc, char **argv)
{
	struct check_options options;
	struct check check = {.options = &options, .status = STATUS_PASSED};
	struct coverage scratch; /* the jobs' */
	int interrupted;

	check_parse_options(argc, argv, &options);
	probe_targets(&options);
	scratch = probe_generator(&options);
	check.coverage = probe_generator(&options);
	check.rules = calloc(difference_rule_count, sizeof(*check.rules));
	if (!check.rules)
		target_fail("out of memory");
	printf("seed %" PRIu64 "\n", options.seed);
	check.started = seconds_now();
	interrupted = check_jobs(&options, &scratch, take, &check);
	clear_progress(&check);
	print_summary(&check);
	fprintf(stderr, "%.1f s, %.0f operations a second\n", seconds_now() - check.started,
		rate(&check));
	free(check.rules);
	coverage_free(&scratch);
	coverage_free(&check.coverage);
	if (interrupted) {
		fflush(NULL);
		kill(getpid(), interrupted);
	}
	return (int)check.status;
}
