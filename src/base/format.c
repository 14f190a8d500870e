/* SPDX-License-Identifier: MIT */
/* Text for dumps. */
#include "base/format.h"

void text_string(const struct quire_text *text, const char *string)
{
	size_t length = 0;

	while (string[length])
		length++;
	if (length)
		text->emit(text->context, string, length);
}

/* Digits come out last first, so they are laid down from the end of the buffer. */
static void text_number(const struct quire_text *text, uint64_t number, unsigned base)
{
	char digits[20]; /* the largest number has 20 in base 10 */
	size_t first = sizeof(digits);

	do {
		digits[--first] = "0123456789abcdef"[number % base];
		number /= base;
	} while (number);
	text->emit(text->context, digits + first, sizeof(digits) - first);
}

void text_hex(const struct quire_text *text, uint64_t number)
{
	text_number(text, number, 16);
}

void text_decimal(const struct quire_text *text, uint64_t number)
{
	text_number(text, number, 10);
}
