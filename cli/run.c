/* SPDX-License-Identifier: MIT */
/*
 * Running scripts one after the other, each on a fresh machine, and saying how they went.
 *
 * With two targets, a script runs on the second first.  The run on the first then traces beside a
 * transcript that is already there.
 */
#define _GNU_SOURCE 1
#include "run.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "differences.h"
#include "json.h"
#include "worker.h"

struct run {
	const struct run_options *options;
	FILE *json; /* NULL: none */
	struct run_counts counts;
	unsigned test_points;
};

static int severity(enum status status)
{
	switch (status) {
	case STATUS_SKIPPED:
		return 0;
	case STATUS_PASSED:
		return 1;
	case STATUS_DIFFER:
		return 2;
	case STATUS_FAILED:
		return 3;
	case STATUS_ERROR:
		break;
	}
	return 4;
}

enum status worse(enum status a, enum status b)
{
	return severity(a) >= severity(b) ? a : b;
}

struct transcript *run_new_transcript(bool keep)
{
	struct transcript *transcript = transcript_new(keep);

	if (!transcript) {
		fprintf(stderr, "quire run: no memory for a transcript: %s\n", strerror(errno));
		exit(STATUS_ERROR);
	}
	return transcript;
}

struct script_options run_script_options(const struct run_options *options, const char *file,
					 const struct target_ops *ops)
{
	return (struct script_options){
		.file = file,
		.arguments = options->arguments,
		.ops = ops,
		.label = ops->name,
		.timeout = options->timeout,
		.print = true,
		.print_failures = true,
		.verify = options->verify,
	};
}

void run_print_reason(const char *file, const char *target, enum status status,
		      const struct transcript *transcript)
{
	if (!transcript->reason)
		return;
	if (status != STATUS_SKIPPED)
		fprintf(stderr, "%s\n", transcript->reason);
	else
		printf("%s: skipped on %s: %s%s\n", file, target, transcript->reason,
		       transcript->unexplained ? " (which the target's profile does not explain)"
					       : "");
}

/* Prints text of several lines as TAP diagnostics. */
static void print_diagnostic(const char *text)
{
	fputs("# ", stdout);
	for (; *text; text++) {
		putchar(*text);
		if (*text == '\n' && text[1])
			fputs("# ", stdout);
	}
	if (text[-1] != '\n')
		putchar('\n');
}

/* Remembers that the script was skipped there. */
static void add_skip(struct run_counts *counts, const char *file, const struct script_run *on)
{
	struct skip *skip = malloc(sizeof(*skip)), **end = &counts->skips;
	char *reason = strdup(on->transcript->reason ? on->transcript->reason : "");

	if (!skip || !reason)
		target_fail("out of memory");
	*skip = (struct skip){
		.target = on->target,
		.file = file,
		.reason = reason,
		.unexplained = on->transcript->unexplained,
	};
	while (*end)
		end = &(*end)->next;
	*end = skip;
	counts->skipped++;
}

static void free_skips(struct run_counts *counts)
{
	struct skip *skip;

	while ((skip = counts->skips)) {
		counts->skips = skip->next;
		free(skip->reason);
		free(skip);
	}
}

/* One that --strict-skips does not let pass. */
static bool failed_skip(const struct run_options *options, const struct script_run *on)
{
	return options->strict_skips && on->status == STATUS_SKIPPED && on->transcript->unexplained;
}

static enum status judge(const struct run *run, const struct script_run *on)
{
	return failed_skip(run->options, on) ? STATUS_FAILED : on->status;
}

static void print_test_point(struct run *run, const char *file, const struct script_run *on)
{
	const struct transcript *transcript = on->transcript;
	bool skipped = on->status == STATUS_SKIPPED && !failed_skip(run->options, on);
	bool ok = on->status == STATUS_PASSED || skipped;

	printf("%s %u - %s on %s", ok ? "ok" : "not ok", ++run->test_points, file, on->target);
	if (skipped)
		printf(" # SKIP %s", transcript->reason ? transcript->reason : "");
	putchar('\n');
	if (!ok && transcript->reason)
		print_diagnostic(transcript->reason);
	for (const struct entry *entry = transcript->first; entry; entry = entry->next)
		if (entry->kind == ENTRY_CHECK)
			print_diagnostic(entry->text);
}

/* Runs the script on one target, beside the transcript of another if there is one. */
static struct script_run run_on(struct run *run, const char *file, const struct target_ops *ops,
				const struct script_run *other)
{
	const struct run_options *options = run->options;
	struct script_options script = run_script_options(options, file, ops);
	struct script_run on = {.target = ops->name};
	bool first_of_two = options->on[1] && !other;

	script.other_ops = options->on[ops == options->on[0]];
	script.fail = options->fail;
	script.trace = options->trace && !first_of_two;
	script.print = !first_of_two;
	script.print_failures = !options->tap;
	if (other && other->status != STATUS_SKIPPED)
		script.other = other->transcript;
	on.transcript = run_new_transcript(options->on[1] || run->json);
	on.transcript->target = ops->name;
	on.status = worker_run(&script, on.transcript);
	if (options->tap)
		print_test_point(run, file, &on);
	else
		run_print_reason(file, ops->name, on.status, on.transcript);
	if (on.status == STATUS_SKIPPED)
		add_skip(&run->counts, file, &on);
	return on;
}

static void print_agreement(struct run *run, const char *file, bool compared,
			    const struct difference *difference)
{
	if (run->options->tap)
		printf("%s %u - %s: the targets agree%s\n", difference ? "not ok" : "ok",
		       ++run->test_points, file, compared ? "" : " # SKIP not run on both");
	if (!difference)
		return;
	if (run->options->tap) {
		char *text = NULL;
		size_t length;
		FILE *memory = open_memstream(&text, &length);

		if (!memory)
			return;
		difference_print(memory, file, difference);
		fclose(memory);
		print_diagnostic(text);
		free(text);
	} else {
		difference_print(stdout, file, difference);
	}
}

static enum status run_on_both(struct run *run, const char *file)
{
	enum { REFERENCE, TESTED }; /* in the order in which they run */
	struct script_run on[2];
	struct difference difference;
	enum status status;
	bool compared, differ = false;

	on[REFERENCE] = run_on(run, file, run->options->on[1], NULL);
	on[TESTED] = run_on(run, file, run->options->on[0], &on[REFERENCE]);
	status = worse(judge(run, &on[REFERENCE]), judge(run, &on[TESTED]));
	compared = on[REFERENCE].status != STATUS_SKIPPED && on[TESTED].status != STATUS_SKIPPED;
	if (compared)
		differ = transcripts_differ(on[TESTED].transcript, on[REFERENCE].transcript,
					    &difference);
	if (differ)
		status = worse(status, STATUS_DIFFER);
	print_agreement(run, file, compared, differ ? &difference : NULL);
	json_script(run->json, file, status, on, 2, differ ? &difference : NULL);
	transcript_free(on[REFERENCE].transcript);
	transcript_free(on[TESTED].transcript);
	return status;
}

static enum status run_file(struct run *run, const char *file)
{
	enum status status;
	struct script_run on;

	if (run->options->fail_count)
		return count_allocations(run->options, file);
	if (run->options->sweep)
		return sweep_allocations(run->options, file);
	if (run->options->on[1])
		return run_on_both(run, file);
	on = run_on(run, file, run->options->on[0], NULL);
	status = judge(run, &on);
	json_script(run->json, file, status, &on, 1, NULL);
	transcript_free(on.transcript);
	return status;
}

/* A script that no target has run is neither passed nor failed. */
static void count(struct run *run, enum status status)
{
	if (status == STATUS_PASSED)
		run->counts.passed++;
	else if (status != STATUS_SKIPPED)
		run->counts.failed++;
}

/* Which scripts the target skipped, and why: "skipped on linux (2):", and a line for each. */
static unsigned long print_skips_on(const struct run *run, const char *target, const char *comment)
{
	unsigned long count = 0;

	for (const struct skip *skip = run->counts.skips; skip; skip = skip->next)
		count += strcmp(skip->target, target) == 0;
	if (!run->options->files[1]) /* one script has just been told of */
		return count;
	if (count)
		printf("%sskipped on %s (%lu):\n", comment, target, count);
	for (const struct skip *skip = run->counts.skips; skip; skip = skip->next)
		if (strcmp(skip->target, target) == 0)
			printf("%s  %s: %s\n", comment, skip->file, skip->reason);
	return count;
}

static void print_summary(const struct run *run)
{
	const struct run_options *options = run->options;
	const char *comment = options->tap ? "# " : "", *separator = " (";
	unsigned long on[2] = {0, 0};

	if (options->fail_count || options->sweep)
		return;
	for (size_t i = 0; i < difference_rule_count; i++)
		if (difference_rules[i].used)
			printf("%stolerated by %s: %lu, %s against %s\n", comment,
			       difference_rules[i].name, difference_rules[i].used,
			       options->on[0]->name, options->on[1]->name);
	for (int i = 0; i < 2 && options->on[i]; i++)
		on[i] = print_skips_on(run, options->on[i]->name, comment);
	printf("%s%lu passed, %lu failed, %lu skipped", comment, run->counts.passed,
	       run->counts.failed, run->counts.skipped);
	for (int i = 0; i < 2 && options->on[1]; i++) {
		if (on[i]) {
			printf("%s%lu on %s", separator, on[i], options->on[i]->name);
			separator = ", ";
		}
	}
	puts(*separator == ',' ? ")" : "");
}

static void print_plan(const struct run_options *options)
{
	size_t files = 0;

	while (options->files[files])
		files++;
	printf("TAP version 13\n1..%zu\n", options->on[1] ? files * 3 : files);
}

int run_command(int argc, char **argv)
{
	struct run_options options;
	struct run run = {.options = &options};
	enum status status = STATUS_SKIPPED;

	run_parse_options(argc, argv, &options);
	if (options.json) {
		run.json = fopen(options.json, "w");
		if (!run.json) {
			fprintf(stderr, "quire run: %s: %s\n", options.json, strerror(errno));
			return STATUS_ERROR;
		}
	}
	if (options.tap)
		print_plan(&options);
	json_begin(run.json);
	for (char *const *file = options.files; *file; file++) {
		enum status of_file = run_file(&run, *file);

		count(&run, of_file);
		status = worse(status, of_file);
	}
	json_end(run.json, &run.counts, options.on[0]->name,
		 options.on[1] ? options.on[1]->name : NULL);
	if (run.json && fclose(run.json) != 0) {
		fprintf(stderr, "quire run: %s: %s\n", options.json, strerror(errno));
		status = STATUS_ERROR;
	}
	print_summary(&run);
	free_skips(&run.counts);
	return (int)status;
}
