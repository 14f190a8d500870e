/* SPDX-License-Identifier: MIT */
/*
 * A value of a script, as the transcript keeps it: what a call was given or what it returned.
 *
 * Tables are kept in one order (array items, then fields by name), and equal array items that
 * follow each other are one value with a count, so that two equal tables look the same and the
 * pagemap of a gigabyte stays small.
 */
#ifndef QUIRE_CLI_VALUE_H
#define QUIRE_CLI_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum value_kind {
	VALUE_NIL,
	VALUE_BOOLEAN,
	VALUE_INTEGER,
	VALUE_NUMBER,
	VALUE_STRING,
	VALUE_NAME, /* what is told by name: "m1+0x2000" for an address, "p2" for a process */
	VALUE_TABLE,
};

/* Longer strings are kept as their beginning, their length and a hash. */
#define VALUE_STRING_MAX 256u

struct value {
	enum value_kind kind;
	const char *key;    /* the name in the table around it; NULL for an array item */
	uint64_t repeat;    /* how many array items in a row are this one, at least 1 */
	uint64_t address;   /* that a VALUE_NAME stands for; 0: it names something else */
	struct value *next; /* in the table around it */
	union {
		bool boolean;
		int64_t integer;
		double number;
		const char *name;
		struct value *items;
		struct {
			const char *bytes;
			size_t length; /* of the whole string */
			uint64_t hash; /* of the whole string */
			bool uniform;  /* one byte over and over */
		} string;
	};
};

enum value_style {
	VALUE_EXACT,  /* as a script would write it */
	VALUE_CALL,   /* sizes in fields with their unit: length=64K */
	VALUE_RESULT, /* the same, and fields that are false or zero left out, true ones by name */
};

bool value_equal(const struct value *a, const struct value *b);

void value_print(FILE *out, const struct value *value, enum value_style style);
/* The items of a table, without the braces. */
void value_print_items(FILE *out, const struct value *table, enum value_style style);
/* A string, and the name of a field, as a script has to write them. */
void value_print_quoted(FILE *out, const char *bytes, size_t length);
void value_print_key(FILE *out, const char *key);
void value_print_json(FILE *out, const struct value *value);
void json_print_string(FILE *out, const char *bytes, size_t length);

uint64_t value_hash(const char *bytes, size_t length);
/* How many bytes of a string of this length are kept. */
size_t value_kept(size_t length);

#endif
