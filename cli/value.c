/* SPDX-License-Identifier: MIT */
/*
 * Comparing the values of a transcript, and printing them for people and as JSON.
 */
#include "value.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>

/* What a trace shows of a long string. */
#define SHOWN_BYTES 32u

/* FNV-1a */
uint64_t value_hash(const char *bytes, size_t length)
{
	uint64_t hash = 0xcbf29ce484222325;

	for (size_t i = 0; i < length; i++)
		hash = (hash ^ (unsigned char)bytes[i]) * 0x100000001b3;
	return hash;
}

size_t value_kept(size_t length)
{
	return length <= VALUE_STRING_MAX ? length : VALUE_STRING_MAX;
}

static bool strings_equal(const struct value *a, const struct value *b)
{
	return a->string.length == b->string.length && a->string.hash == b->string.hash &&
	       memcmp(a->string.bytes, b->string.bytes, value_kept(a->string.length)) == 0;
}

static bool keys_equal(const struct value *a, const struct value *b)
{
	if (!a->key || !b->key)
		return a->key == b->key;
	return strcmp(a->key, b->key) == 0;
}

static bool tables_equal(const struct value *a, const struct value *b)
{
	const struct value *x = a->items, *y = b->items;

	for (; x && y; x = x->next, y = y->next)
		if (x->repeat != y->repeat || !keys_equal(x, y) || !value_equal(x, y))
			return false;
	return !x && !y;
}

bool value_equal(const struct value *a, const struct value *b)
{
	if (a->kind != b->kind)
		return false;
	switch (a->kind) {
	case VALUE_NIL:
		return true;
	case VALUE_BOOLEAN:
		return a->boolean == b->boolean;
	case VALUE_INTEGER:
		return a->integer == b->integer;
	case VALUE_NUMBER:
		return !(a->number < b->number) && !(a->number > b->number);
	case VALUE_STRING:
		return strings_equal(a, b);
	case VALUE_NAME:
		return strcmp(a->name, b->name) == 0;
	case VALUE_TABLE:
		return tables_equal(a, b);
	}
	return false;
}

/* The fields that hold addresses: they are shown in hexadecimal, the others as sizes. */
static bool is_address(const char *key)
{
	static const char *const names[] = {"address", "start", "finish", "from", "to", "fixed"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(key, names[i]) == 0)
			return true;
	return false;
}

static void print_size(FILE *out, uint64_t bytes)
{
	static const char units[] = "KMGT";
	unsigned unit = 0;

	bytes >>= 10;
	while (bytes % 1024 == 0 && units[unit + 1]) {
		bytes >>= 10;
		unit++;
	}
	fprintf(out, "%" PRIu64 "%c", bytes, units[unit]);
}

static void print_integer(FILE *out, const struct value *value, enum value_style style)
{
	int64_t integer = value->integer;
	uint64_t magnitude = integer < 0 ? -(uint64_t)integer : (uint64_t)integer;
	const char *sign = integer < 0 ? "-" : "";
	uint64_t decimal_below = style == VALUE_EXACT ? UINT64_C(1) << 32 : 4096;

	if (magnitude < decimal_below)
		fprintf(out, "%s%" PRIu64, sign, magnitude);
	else if (style != VALUE_EXACT && value->key && !is_address(value->key) && integer > 0 &&
		 integer % 1024 == 0)
		print_size(out, magnitude);
	else
		fprintf(out, "%s0x%" PRIx64, sign, magnitude);
}

void value_print_quoted(FILE *out, const char *bytes, size_t length)
{
	putc('"', out);
	for (size_t i = 0; i < length; i++) {
		unsigned char byte = (unsigned char)bytes[i];
		bool digit_follows = i + 1 < length && isdigit((unsigned char)bytes[i + 1]);

		if (byte == '"' || byte == '\\')
			fprintf(out, "\\%c", byte);
		else if (byte == '\n')
			fputs("\\n", out);
		else if (byte >= ' ' && byte < 0x7f)
			putc(byte, out);
		else
			fprintf(out, digit_follows ? "\\%03u" : "\\%u", byte);
	}
	putc('"', out);
}

static void print_string(FILE *out, const struct value *value)
{
	const char *bytes = value->string.bytes;
	size_t length = value->string.length;

	if (value->string.uniform && length >= 8) {
		value_print_quoted(out, bytes, 1);
		fprintf(out, " × %zu", length);
	} else if (length > SHOWN_BYTES * 2) {
		value_print_quoted(out, bytes, SHOWN_BYTES);
		fprintf(out, "... (%zu bytes, hash %016" PRIx64 ")", length, value->string.hash);
	} else {
		value_print_quoted(out, bytes, length);
	}
}

static bool is_field_name(const char *key)
{
	if (!isalpha((unsigned char)*key) && *key != '_')
		return false;
	for (; *key; key++)
		if (!isalnum((unsigned char)*key) && *key != '_')
			return false;
	return true;
}

void value_print_key(FILE *out, const char *key)
{
	if (is_field_name(key) || *key == '[')
		fputs(key, out);
	else
		fprintf(out, "[\"%s\"]", key);
}

static void print_item(FILE *out, const struct value *item, enum value_style style)
{
	if (item->key) {
		value_print_key(out, item->key);
		if (style == VALUE_RESULT && item->kind == VALUE_BOOLEAN)
			return;
		putc('=', out);
	}
	if (item->repeat > 1)
		fprintf(out, "%" PRIu64 " × ", item->repeat);
	value_print(out, item, style);
}

static bool left_out(const struct value *item, enum value_style style)
{
	return style == VALUE_RESULT && item->key &&
	       ((item->kind == VALUE_BOOLEAN && !item->boolean) ||
		(item->kind == VALUE_INTEGER && item->integer == 0));
}

void value_print_items(FILE *out, const struct value *table, enum value_style style)
{
	const char *separator = "";

	for (const struct value *item = table->items; item; item = item->next) {
		if (left_out(item, style))
			continue;
		fputs(separator, out);
		print_item(out, item, style);
		separator = ", ";
	}
}

void value_print(FILE *out, const struct value *value, enum value_style style)
{
	switch (value->kind) {
	case VALUE_NIL:
		fputs("nil", out);
		break;
	case VALUE_BOOLEAN:
		fputs(value->boolean ? "true" : "false", out);
		break;
	case VALUE_INTEGER:
		print_integer(out, value, style);
		break;
	case VALUE_NUMBER:
		fprintf(out, "%.14g", value->number);
		break;
	case VALUE_STRING:
		print_string(out, value);
		break;
	case VALUE_NAME:
		fputs(value->name, out);
		break;
	case VALUE_TABLE:
		putc('{', out);
		value_print_items(out, value, style);
		putc('}', out);
		break;
	}
}

/* JSON strings hold characters, not bytes: a byte stands for the character of its number. */
void json_print_string(FILE *out, const char *bytes, size_t length)
{
	putc('"', out);
	for (size_t i = 0; i < length; i++) {
		unsigned char byte = (unsigned char)bytes[i];

		if (byte == '"' || byte == '\\')
			fprintf(out, "\\%c", byte);
		else if (byte >= ' ' && byte < 0x7f)
			putc(byte, out);
		else
			fprintf(out, "\\u%04x", byte);
	}
	putc('"', out);
}

/* A table holds array items or fields, never both (script_record.c sees to it). */
static void json_print_table(FILE *out, const struct value *table)
{
	bool array = !table->items || !table->items->key;
	const char *separator = "";

	putc(array ? '[' : '{', out);
	for (const struct value *item = table->items; item; item = item->next) {
		for (uint64_t i = 0; i < item->repeat; i++) {
			fputs(separator, out);
			if (item->key) {
				json_print_string(out, item->key, strlen(item->key));
				putc(':', out);
			}
			value_print_json(out, item);
			separator = ",";
		}
	}
	putc(array ? ']' : '}', out);
}

void value_print_json(FILE *out, const struct value *value)
{
	switch (value->kind) {
	case VALUE_NIL:
		fputs("null", out);
		break;
	case VALUE_BOOLEAN:
		fputs(value->boolean ? "true" : "false", out);
		break;
	case VALUE_INTEGER:
		fprintf(out, "%" PRId64, value->integer);
		break;
	case VALUE_NUMBER:
		fprintf(out, "%.17g", value->number);
		break;
	case VALUE_STRING:
		if (value->string.length <= VALUE_STRING_MAX) {
			json_print_string(out, value->string.bytes, value->string.length);
			break;
		}
		fputs("{\"begins\":", out);
		json_print_string(out, value->string.bytes, VALUE_STRING_MAX);
		fprintf(out, ",\"length\":%zu,\"fnv1a\":\"%016" PRIx64 "\"}", value->string.length,
			value->string.hash);
		break;
	case VALUE_NAME:
		json_print_string(out, value->name, strlen(value->name));
		break;
	case VALUE_TABLE:
		json_print_table(out, value);
		break;
	}
}
