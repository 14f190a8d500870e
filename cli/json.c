/* SPDX-License-Identifier: MIT */
/*
 *	{ "scripts": [ { "file", "status", "targets": [ { "target", "status", "reason", "checks",
 *	  "failures": [ { "line", "text" } ], "transcript": [ { "line", "call", "subject",
 *	  "function", "arguments", "results", "compared" } | { "line", "say" } ] } ],
 *	  "difference": { "line", "call", "at", "quire", "linux" } } ],
 *	  "rules": [ { "rule", "target", "against", "used" } ],
 *	  "skips": [ { "target", "file", "reason", "explained" } ],
 *	  "passed", "failed", "skipped" }
 */
#include "json.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static bool first_script = true;

const char *status_name(enum status status)
{
	switch (status) {
	case STATUS_PASSED:
		return "passed";
	case STATUS_FAILED:
		return "failed";
	case STATUS_ERROR:
		return "error";
	case STATUS_DIFFER:
		return "differ";
	case STATUS_SKIPPED:
		return "skipped";
	}
	return "unknown";
}

static void print_text(FILE *out, const char *text)
{
	json_print_string(out, text, strlen(text));
}

static void print_call_text(FILE *out, const struct entry *entry)
{
	char *text = entry_call_text(entry);

	print_text(out, text);
	free(text);
}

static void print_entry(FILE *out, const struct entry *entry)
{
	fprintf(out, "{\"line\":%d,", entry->line);
	if (entry->kind == ENTRY_SAY) {
		fputs("\"say\":", out);
		print_text(out, entry->text);
		putc('}', out);
		return;
	}
	fputs("\"call\":", out);
	print_call_text(out, entry);
	fputs(",\"subject\":", out);
	print_text(out, entry->subject);
	fputs(",\"function\":", out);
	print_text(out, entry->function);
	fputs(",\"arguments\":", out);
	value_print_json(out, entry->arguments);
	fputs(",\"results\":", out);
	if (entry->results)
		value_print_json(out, entry->results);
	else
		fputs("null", out);
	fprintf(out, ",\"compared\":%s}", entry->kind == ENTRY_CALL ? "true" : "false");
}

static void print_failures(FILE *out, const struct transcript *transcript)
{
	const char *separator = "";

	for (const struct entry *entry = transcript->first; entry; entry = entry->next) {
		if (entry->kind != ENTRY_CHECK)
			continue;
		fprintf(out, "%s{\"line\":%d,\"text\":", separator, entry->line);
		print_text(out, entry->text);
		putc('}', out);
		separator = ",";
	}
}

static void print_entries(FILE *out, const struct transcript *transcript)
{
	const char *separator = "";

	for (const struct entry *entry = transcript->first; entry; entry = entry->next) {
		if (entry->kind == ENTRY_CHECK || entry->kind == ENTRY_CELL ||
		    entry->kind == ENTRY_REACHED)
			continue;
		fputs(separator, out);
		print_entry(out, entry);
		separator = ",\n";
	}
}

static void print_run(FILE *out, const struct script_run *run)
{
	fprintf(out, "{\"target\":\"%s\",\"status\":\"%s\",\"reason\":", run->target,
		status_name(run->status));
	if (run->transcript->reason)
		print_text(out, run->transcript->reason);
	else
		fputs("null", out);
	fprintf(out, ",\"checks\":%" PRIu64 ",\"failures\":[", run->transcript->checks);
	print_failures(out, run->transcript);
	fputs("],\"transcript\":[", out);
	print_entries(out, run->transcript);
	fputs("]}", out);
}

static void print_side(FILE *out, const struct entry *entry)
{
	if (entry && entry->results)
		value_print_json(out, entry->results);
	else
		fputs("null", out);
}

static void print_difference(FILE *out, const struct difference *difference)
{
	const struct entry *entry = difference->quire ? difference->quire : difference->kernel;

	fprintf(out, ",\"difference\":{\"line\":%d,\"call\":", entry->line);
	print_call_text(out, entry);
	fputs(",\"at\":", out);
	print_text(out, difference->path);
	fprintf(out, ",\"%s\":", difference->quire_name);
	print_side(out, difference->quire);
	fprintf(out, ",\"%s\":", difference->kernel_name);
	print_side(out, difference->kernel);
	putc('}', out);
}

void json_begin(FILE *out)
{
	if (out)
		fputs("{\"scripts\":[", out);
}

void json_script(FILE *out, const char *file, enum status status, const struct script_run *runs,
		 size_t count, const struct difference *difference)
{
	if (!out)
		return;
	fputs(first_script ? "\n{\"file\":" : ",\n{\"file\":", out);
	first_script = false;
	print_text(out, file);
	fprintf(out, ",\"status\":\"%s\",\"targets\":[", status_name(status));
	for (size_t i = 0; i < count; i++) {
		fputs(i ? ",\n" : "", out);
		print_run(out, &runs[i]);
	}
	putc(']', out);
	if (difference)
		print_difference(out, difference);
	putc('}', out);
}

static void print_rules(FILE *out, const char *on, const char *against)
{
	const char *separator = "";

	for (size_t i = 0; against && i < difference_rule_count; i++) {
		const struct difference_rule *rule = &difference_rules[i];

		fprintf(out,
			"%s\n{\"rule\":\"%s\",\"target\":\"%s\",\"against\":\"%s\",\"used\":%lu}",
			separator, rule->name, on, against, rule->used);
		separator = ",";
	}
}

static void print_skips(FILE *out, const struct skip *skips)
{
	const char *separator = "";

	for (; skips; skips = skips->next) {
		fprintf(out, "%s\n{\"target\":\"%s\",\"file\":", separator, skips->target);
		print_text(out, skips->file);
		fputs(",\"reason\":", out);
		print_text(out, skips->reason);
		fprintf(out, ",\"explained\":%s}", skips->unexplained ? "false" : "true");
		separator = ",";
	}
}

void json_end(FILE *out, const struct run_counts *counts, const char *on, const char *against)
{
	if (!out)
		return;
	fputs("\n],\"rules\":[", out);
	print_rules(out, on, against);
	fputs("],\"skips\":[", out);
	print_skips(out, counts->skips);
	fprintf(out, "],\"passed\":%lu,\"failed\":%lu,\"skipped\":%lu}\n", counts->passed,
		counts->failed, counts->skipped);
}
