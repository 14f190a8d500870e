/* SPDX-License-Identifier: MIT */
/*
 * One case: the generator with a seed, on the targets.
 *
 * A case with a finding is run again, twice, if the other target is the kernel: what comes of its
 * batches does not come again.  What does come again every time is shrunk and reported.
 */
#define _GNU_SOURCE 1
#include "check.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "check_emit.h"
#include "check_shrink.h"
#include "run.h"

#define TRIES 3
/* Longer scripts are in their file only. */
#define SHOWN_STATEMENTS 40

/* splitmix64 */
static uint64_t mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
	x = (x ^ x >> 27) * 0x94d049bb133111eb;
	return x ^ x >> 31;
}

/* Short enough to be read and typed. */
uint64_t check_case_seed(uint64_t seed, uint64_t number)
{
	return mix(mix(seed) + number) >> 32;
}

static char *text(const char *format, ...) __attribute__((format(printf, 1, 2)));

static char *text(const char *format, ...)
{
	va_list arguments;
	char *result;

	va_start(arguments, format);
	if (vasprintf(&result, format, arguments) < 0)
		target_fail("out of memory");
	va_end(arguments);
	return result;
}

/* A string that is being written. */
struct builder {
	FILE *out;
	char *text;
	size_t length;
};

static void build(struct builder *builder)
{
	builder->out = open_memstream(&builder->text, &builder->length);
	if (!builder->out)
		target_fail("out of memory");
}

static char *built(struct builder *builder)
{
	fclose(builder->out);
	return builder->text;
}

char *check_script_path(const struct check_options *options, uint64_t number)
{
	bool here = strcmp(options->output, ".") == 0;

	return text("%s%scheck-%" PRIu64 "-%" PRIu64 ".lua", here ? "" : options->output,
		    here ? "" : "/", options->seed, number);
}

/* What the generator is called with. */
struct call_line {
	char seed[24], operations[24];
	char *list[4];
};

static void set_call_line(struct call_line *line, const struct check_options *options,
			  uint64_t seed, uint64_t operations)
{
	snprintf(line->seed, sizeof(line->seed), "%" PRIu64, seed);
	snprintf(line->operations, sizeof(line->operations), "%" PRIu64, operations);
	line->list[0] = line->seed;
	line->list[1] = line->operations;
	line->list[2] = (char *)options->features;
	line->list[3] = NULL;
}

static struct trial_script generator(const struct check_options *options,
				     const struct call_line *line)
{
	const struct script_text *text = check_texts;

	while (strcmp(text->name, CHECK_GENERATOR) != 0)
		text++;
	return (struct trial_script){
		.name = CHECK_GENERATOR ".lua",
		.text = *text,
		.modules = check_texts,
		.arguments = line->list,
		.timeout = options->timeout,
		.verify = options->targets.verify,
	};
}

void check_probe(struct trial *trial, const struct check_options *options)
{
	struct call_line line;
	struct trial_script script;

	set_call_line(&line, options, 0, 0);
	script = generator(options, &line);
	trial_run(trial, &options->targets, &script);
}

static void count(const struct trial *trial, struct coverage *coverage, struct case_result *result)
{
	const struct transcript *transcript = trial->transcripts[LIBRARY];

	result->calls = trial->calls;
	for (const struct entry *e = next_compared(transcript->first); e;
	     e = next_compared(e->next))
		result->operations += !entry_observes(e) && !entry_awaits(e);
	coverage_clear(coverage);
	coverage_add(coverage, transcript);
	memcpy(result->reached, coverage->reached, coverage->count * sizeof(*result->reached));
	for (size_t i = 0; i < difference_rule_count; i++)
		result->rules[i] = difference_rules[i].used;
}

/* --- reporting --- */

/* How to see the case again, as it was. */
static void print_case_again(FILE *out, const struct check_options *options, uint64_t number)
{
	fprintf(out, "quire check --seed %" PRIu64 " --case %" PRIu64 " --ops %" PRIu64,
		options->seed, number, options->operations);
	if (strcmp(options->features, options->all_features) != 0)
		fprintf(out, " --features %s", options->features);
	if (strcmp(options->against, "linux") != 0)
		fprintf(out, " --against %s", options->against);
	if (options->injecting)
		fprintf(out, " --inject %" PRIu64, options->inject);
	putc('\n', out);
}

/* How to run its script. */
static void print_script_again(FILE *out, const struct check_options *options,
			       const struct trial *trial, const char *path)
{
	const struct symptom *symptom = &trial->symptom;
	bool two = symptom->trouble == TROUBLE_DIFFERENCE;

	fputs("quire run ", out);
	if (trial->script.fail)
		fprintf(out, "--fail %" PRIu64 " ", trial->script.fail);
	if (two && options->replay)
		fprintf(out, "%s ", options->replay);
	else if (!two && symptom->side == OTHER)
		fprintf(out, "--on %s ", trial->names[OTHER]);
	fprintf(out, "%s\n", path);
}

/* Of the case, before any script. */
static void print_title(FILE *out, const struct case_result *result, const struct trial *trial)
{
	static const char *const what[] = {
		[TROUBLE_DIFFERENCE] = "the targets differ",
		[TROUBLE_VIOLATION] = "a check failed",
		[TROUBLE_DEATH] = "died",
		[TROUBLE_ERROR] = "the script failed",
	};
	const struct symptom *symptom = &trial->symptom;

	fprintf(out, "case %" PRIu64 " (seed %" PRIu64 "): %s%s%s", result->number, result->seed,
		symptom->trouble == TROUBLE_DEATH ? trial->names[symptom->side] : "",
		symptom->trouble == TROUBLE_DEATH ? " " : "", what[symptom->trouble]);
	if (trial->script.fail)
		fprintf(out, ", with allocation %" PRIu64 " failing", trial->script.fail);
	putc('\n', out);
}

static void print_commented(FILE *out, const char *lines)
{
	while (*lines) {
		size_t length = strcspn(lines, "\n");

		fprintf(out, "-- %.*s\n", (int)length, lines);
		lines += length;
		lines += *lines == '\n';
	}
}

static void print_indented(FILE *out, const char *lines)
{
	while (*lines) {
		size_t length = strcspn(lines, "\n");

		fprintf(out, "    %.*s\n", (int)length, lines);
		lines += length;
		lines += *lines == '\n';
	}
}

static char *words_of(const struct trial *trial)
{
	struct builder words;

	build(&words);
	trial_print(words.out, trial);
	return built(&words);
}

/* Runs a script that was written, the way `quire run` does it. */
static void run_written(struct trial *again, const struct check_options *options,
			const struct trial *found, const char *path, const char *script)
{
	static char *const none[] = {NULL};
	struct trial_script as_written = found->script;

	as_written.name = path;
	as_written.text = (struct script_text){.bytes = script, .length = strlen(script)};
	as_written.modules = NULL;
	as_written.arguments = none;
	as_written.verify = options->targets.verify;
	trial_run(again, &options->targets, &as_written);
}

static char *with_head(const struct check_options *options, const struct case_result *result,
		       const struct trial *found, const struct shrunk *shrunk, const char *words,
		       const char *path)
{
	struct builder script;

	build(&script);
	fputs("-- ", script.out);
	print_title(script.out, result, found);
	print_commented(script.out, words);
	if (shrunk->reproduces) {
		fputs("-- Again: ", script.out);
		print_script_again(script.out, options, found, path);
		fputs("-- The whole case: ", script.out);
	} else {
		fputs("-- Written as a straight line, the calls of this case do not show it.\n"
		      "-- The case itself: ",
		      script.out);
	}
	print_case_again(script.out, options, result->number);
	fputs(shrunk->text, script.out);
	return built(&script);
}

/*
 * The words in a script's head are those of its own run, whose places in the file depend on how
 * long the head is: so it is run once to know them, and once more as it is written.
 */
static void write_script(const struct check_options *options, const struct trial *found,
			 struct shrunk *shrunk, struct case_result *result, const char *path)
{
	char *words = words_of(found), *script;
	struct trial again;

	if (shrunk->reproduces) {
		script = with_head(options, result, found, shrunk, words, path);
		run_written(&again, options, found, path, script);
		free(words);
		free(script);
		words = words_of(&again);
		trial_free(&again);
	}
	result->script = with_head(options, result, found, shrunk, words, path);
	free(words);
	run_written(&again, options, found, path, result->script);
	if (shrunk->reproduces && same_symptom(&again.symptom, &found->symptom))
		result->report = words_of(&again);
	else
		shrunk->reproduces = false;
	trial_free(&again);
}

/* What noise has misled is written as long as it was. */
static struct shrunk shrink_and_write(const struct check_options *options,
				      const struct trial *found, struct case_result *result,
				      const char *path)
{
	struct shrunk shrunk = shrink(&options->targets, found, options->shrink_time);
	bool misled;

	if (!shrunk.text)
		return shrunk;
	misled = shrunk.reproduces;
	write_script(options, found, &shrunk, result, path);
	misled &= !shrunk.reproduces;
	if (misled) {
		free(shrunk.text);
		free(result->script);
		shrunk = shrink(&options->targets, found, 0);
		write_script(options, found, &shrunk, result, path);
	}
	return shrunk;
}

static void print_script(FILE *out, const struct check_options *options, const struct trial *found,
			 const struct shrunk *shrunk, const struct case_result *result,
			 const char *path)
{
	if (shrunk->why_not) {
		fprintf(out, "  it can't be written as a script: %s\n", shrunk->why_not);
	} else if (!shrunk->reproduces) {
		fprintf(out, "  its calls alone, in %s, do not show it\n", path);
	} else {
		fprintf(out, "  shrunk from %zu calls to %zu%s\n", shrunk->before, shrunk->after,
			shrunk->in_time ? "" : ", when time was up");
		if (shrunk->after <= SHOWN_STATEMENTS)
			print_indented(out, shrunk->text);
		fputs("  again: ", out);
		print_script_again(out, options, found, path);
	}
	fputs("  the whole case: ", out);
	print_case_again(out, options, result->number);
}

/* A finding that came again. */
static void report(const struct check_options *options, const struct trial *found,
		   struct case_result *result)
{
	char *path = check_script_path(options, result->number);
	struct shrunk shrunk = shrink_and_write(options, found, result, path);
	struct builder lines;

	result->status = trial_status(found);
	build(&lines);
	print_title(lines.out, result, found);
	if (result->report)
		fputs(result->report, lines.out);
	else
		trial_print(lines.out, found);
	print_script(lines.out, options, found, &shrunk, result, path);
	free(result->report);
	result->report = built(&lines);
	free(shrunk.text);
	free(path);
}

static void report_noise(const struct check_options *options, const struct trial *found,
			 struct case_result *result)
{
	struct builder lines;

	build(&lines);
	print_title(lines.out, result, found);
	trial_print(lines.out, found);
	fputs("  which did not come again: ", lines.out);
	print_case_again(lines.out, options, result->number);
	result->noise = true;
	result->report = built(&lines);
}

/* --- running --- */

static bool is_finding(const struct trial *trial)
{
	return trial->symptom.trouble != TROUBLE_NONE && trial->symptom.trouble != TROUBLE_SKIPPED;
}

/* Does it come again as often as it is tried? */
static bool comes_again(const struct check_options *options, const struct trial *found)
{
	if (options->targets.ops[OTHER] != &target_linux)
		return true;
	for (int i = 1; i < TRIES; i++) {
		struct trial again;
		bool same;

		trial_run(&again, &options->targets, &found->script);
		same = is_finding(&again);
		trial_free(&again);
		if (!same)
			return false;
	}
	return true;
}

/* The same with allocations failing, on the library alone, up to the first finding. */
static void inject(const struct check_options *options, struct trial_script script,
		   struct case_result *result)
{
	uint64_t allocations, places;
	struct trial trial;
	bool found = false;

	script.sides = 1u << LIBRARY;
	script.count = true;
	trial_run(&trial, &options->targets, &script);
	allocations = trial.transcripts[LIBRARY]->allocations;
	trial_free(&trial);
	script.count = false;
	places = sweep_places(options->inject, allocations);
	for (uint64_t i = 0; i < places && !found; i++) {
		script.fail = sweep_place(i, places, allocations);
		trial_run(&trial, &options->targets, &script);
		found = is_finding(&trial);
		if (found)
			report(options, &trial, result);
		trial_free(&trial);
	}
}

void check_case(const struct check_options *options, uint64_t number, struct coverage *coverage,
		struct case_result *result)
{
	struct call_line line;
	struct trial_script script;
	struct trial trial;

	*result = (struct case_result){
		.number = number,
		.seed = check_case_seed(options->seed, number),
		.rules = calloc(difference_rule_count, sizeof(uint64_t)),
		.reached = calloc(coverage->count + 1, sizeof(uint64_t)),
	};
	if (!result->rules || !result->reached)
		target_fail("out of memory");
	set_call_line(&line, options, result->seed, options->operations);
	script = generator(options, &line);
	for (size_t i = 0; i < difference_rule_count; i++)
		difference_rules[i].used = 0;
	trial_run(&trial, &options->targets, &script);
	count(&trial, coverage, result);
	if (trial.symptom.trouble == TROUBLE_SKIPPED)
		result->status = STATUS_SKIPPED;
	else if (is_finding(&trial) && comes_again(options, &trial))
		report(options, &trial, result);
	else if (is_finding(&trial))
		report_noise(options, &trial, result);
	else if (options->injecting)
		inject(options, script, result);
	trial_free(&trial);
}

void case_result_free(struct case_result *result)
{
	free(result->rules);
	free(result->reached);
	free(result->report);
	free(result->script);
}
