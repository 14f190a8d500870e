/* SPDX-License-Identifier: MIT */
/* Text without a C library. */
#include <string.h>

#include "base/format.h"
#include "test_support.h"

static char output[128];

static void append(void *context, const char *bytes, size_t length)
{
	size_t *used = context;

	assert_true(length > 0 && *used + length < sizeof(output));
	memcpy(output + *used, bytes, length);
	*used += length;
	output[*used] = '\0';
}

static const char *hex(uint64_t number)
{
	size_t used = 0;

	text_hex(&(struct quire_text){append, &used}, number);
	return output;
}

static const char *decimal(uint64_t number)
{
	size_t used = 0;

	text_decimal(&(struct quire_text){append, &used}, number);
	return output;
}

static void numbers_have_no_leading_zeros(void **state)
{
	(void)state;
	assert_string_equal(hex(0), "0");
	assert_string_equal(hex(0x9f), "9f");
	assert_string_equal(hex(UINT64_MAX), "ffffffffffffffff");
	assert_string_equal(decimal(0), "0");
	assert_string_equal(decimal(1090), "1090");
	assert_string_equal(decimal(UINT64_MAX), "18446744073709551615");
}

static void random_numbers_read_back(void **state)
{
	struct random random = random_start();

	(void)state;
	for (unsigned i = 0; i < 10000; i++) {
		uint64_t number = random_next(&random) >> random_below(&random, 64);

		assert_int_equal(strtoull(hex(number), NULL, 16), number);
		assert_int_equal(strtoull(decimal(number), NULL, 10), number);
	}
}

/* append() above fails on an empty emission. */
static void pieces_follow_each_other(void **state)
{
	size_t used = 0;
	struct quire_text text = {append, &used};

	(void)state;
	text_string(&text, "frame ");
	text_hex(&text, 0x1f);
	text_string(&text, "");
	text_string(&text, ", order ");
	text_decimal(&text, 12);
	assert_string_equal(output, "frame 1f, order 12");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_have_no_leading_zeros),
		cmocka_unit_test(random_numbers_read_back),
		cmocka_unit_test(pieces_follow_each_other),
	};

	return cmocka_run_group_tests_name("format", tests, NULL, NULL);
}
