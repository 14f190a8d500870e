/* SPDX-License-Identifier: MIT */
/*
 * A transcript written as a script: what it looks like, and that it does the same again.
 */
#define _GNU_SOURCE 1
#include "test_support.h"

#include "check_emit.h"
#include "check_trial.h"
#include "fake_target.h"

static const struct check_targets targets = {.ops = {&sound}};

static void run(struct trial *trial, const char *text)
{
	static char *const none[] = {NULL};
	struct trial_script script = {.name = "test.lua",
				      .text = {.bytes = text, .length = strlen(text)},
				      .arguments = none,
				      .timeout = 20};

	trial_run(trial, &targets, &script);
	if (trial->symptom.trouble != TROUBLE_NONE)
		trial_print(stderr, trial);
	assert_int_equal(trial->symptom.trouble, TROUBLE_NONE);
}

static char *written(const struct scenario *scenario)
{
	char *text = NULL;
	size_t length;
	FILE *out = open_memstream(&text, &length);

	assert_non_null(out);
	scenario_print(out, scenario);
	fclose(out);
	return text;
}

/* What the script is written as; it must do the same again. */
static char *again(const char *text)
{
	struct trial first, second;
	struct scenario scenario;
	struct difference difference;
	char *line;

	run(&first, text);
	scenario = scenario_new(first.transcripts[LIBRARY], NULL);
	assert_null(scenario.unwritable);
	line = written(&scenario);
	run(&second, line);
	assert_false(transcripts_differ(first.transcripts[LIBRARY], second.transcripts[LIBRARY],
					&difference));
	scenario_free(&scenario);
	trial_free(&first);
	trial_free(&second);
	return line;
}

static void assert_written(const char *text, const char *want)
{
	char *got = again(text);

	assert_string_equal(got, want);
	free(got);
}

static void loops_are_unrolled(void **state)
{
	(void)state;
	assert_written("local p = quire.process()\n"
		       "for i = 1, 2 do p:munmap(i * 4096, 4096) end\n",
		       "local p1 = quire.process()\n"
		       "p1:munmap(4096, 4096)\n"
		       "p1:munmap(8192, 4096)\n");
}

static void threads_and_children_have_names(void **state)
{
	(void)state;
	assert_written("local p = quire.process()\n"
		       "local t = p:thread()\n"
		       "t:munmap(0, 0)\n"
		       "t:fork():munmap(1, 1)\n",
		       "local p1 = quire.process()\n"
		       "local p1_t1 = p1:thread()\n"
		       "p1_t1:munmap(0, 0)\n"
		       "local p2 = p1_t1:fork()\n"
		       "p2:munmap(1, 1)\n");
}

static void addresses_are_relative_to_what_the_target_placed(void **state)
{
	(void)state;
	assert_written("local p = quire.process()\n"
		       "local a = p:mmap{ length = 8192, prot = 'rw' }\n"
		       "p:munmap(a + 4096, 4096)\n"
		       "p:munmap(a - 4096, 4096)\n"
		       "p:mremap(a, 4096, 8192)\n",
		       "local p1 = quire.process()\n"
		       "local m1 = p1:mmap{ length = 8192, prot = \"rw\" }\n"
		       "p1:munmap(m1 + 0x1000, 4096)\n"
		       "p1:munmap(m1 - 0x1000, 4096)\n"
		       "p1:mremap(m1, 4096, 8192)\n");
}

static void addresses_are_numbers_where_the_script_chose_them(void **state)
{
	(void)state;
	assert_written(
		"local p = quire.process()\n"
		"local a = p:mmap{ length = 8192, prot = 'rw', fixed = true, address = 1 << 40 }\n"
		"local b = p:mremap(a, 4096, 4096, { fixed = a + (1 << 20) })\n"
		"p:munmap(b + 4096, 4096)\n",
		"local p1 = quire.process()\n"
		"p1:mmap{ address = 0x10000000000, fixed = true, length = 8192, prot = \"rw\" }\n"
		"p1:mremap(0x10000000000, 4096, 4096, { fixed = 0x10000100000 })\n"
		"p1:munmap(0x10000101000, 4096)\n");
}

static void strings_are_quoted_or_repeated(void **state)
{
	(void)state;
	assert_written("local p = quire.process()\n"
		       "p:write(0, 'a\"\\0b')\n"
		       "p:write(0, ('x'):rep(5000))\n",
		       "local p1 = quire.process()\n"
		       "p1:write(0, \"a\\\"\\0b\")\n"
		       "p1:write(0, (\"x\"):rep(5000))\n");
}

static void lists_are_written_out(void **state)
{
	(void)state;
	assert_written("local p = quire.process()\n"
		       "p:userfaultfd{ features = { 'move', 'move', 'poison' } }\n",
		       "local p1 = quire.process()\n"
		       "p1:userfaultfd{ features = { \"move\", \"move\", \"poison\" } }\n");
}

static void contexts_come_out_of_messages(void **state)
{
	(void)state;
	assert_written("local p = quire.process()\n"
		       "local u = p:userfaultfd{}\n"
		       "u:read().child:close()\n"
		       "u:read()\n",
		       "local p1 = quire.process()\n"
		       "local u1 = p1:userfaultfd({})\n"
		       "local u2 = u1:read().child\n"
		       "u2:close()\n"
		       "u1:read()\n");
}

static void what_is_local_to_a_target_is_left_out(void **state)
{
	(void)state;
	assert_written("quire.cells{ 'a' } quire.reached('a') quire.say('b')\n"
		       "quire.verify()\n"
		       "local p = quire.process()\n",
		       "quire.process()\n");
}

/* More variables than a function may have. */
static void long_scripts_load(void **state)
{
	(void)state;
	free(again("local p = quire.process()\n"
		   "for i = 1, 300 do p:munmap(p:mmap{ length = 1, prot = 'r' } + i, 1) end\n"));
}

static void a_long_string_of_several_bytes_can_not_be_written(void **state)
{
	struct scenario scenario;
	struct trial trial;

	(void)state;
	run(&trial, "local p = quire.process() p:write(0, ('ab'):rep(200))");
	scenario = scenario_new(trial.transcripts[LIBRARY], NULL);
	assert_non_null(scenario.unwritable);
	scenario_free(&scenario);
	trial_free(&trial);
}

/* What uses what is dropped, however far off. */
static void a_definition_takes_its_users_along(void **state)
{
	struct scenario scenario;
	struct trial trial;
	char *text;

	(void)state;
	run(&trial, "local p = quire.process()\n"
		    "local t = p:thread()\n"
		    "local a = t:mmap{ length = 1, prot = 'r' }\n"
		    "p:munmap(a, 1)\n"
		    "p:munmap(0, 1)\n"
		    "p:write(a, '1234567')\n"
		    "p:thread_result()\n");
	scenario = scenario_new(trial.transcripts[LIBRARY], NULL);
	scenario.statements[1].kept = false;
	scenario_close(&scenario);
	text = written(&scenario);
	assert_string_equal(text, "local p1 = quire.process()\np1:munmap(0, 1)\n");
	assert_int_equal(scenario_kept(&scenario), 2);
	free(text);
	scenario_free(&scenario);
	trial_free(&trial);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(loops_are_unrolled),
		cmocka_unit_test(threads_and_children_have_names),
		cmocka_unit_test(addresses_are_relative_to_what_the_target_placed),
		cmocka_unit_test(addresses_are_numbers_where_the_script_chose_them),
		cmocka_unit_test(strings_are_quoted_or_repeated),
		cmocka_unit_test(lists_are_written_out),
		cmocka_unit_test(contexts_come_out_of_messages),
		cmocka_unit_test(what_is_local_to_a_target_is_left_out),
		cmocka_unit_test(long_scripts_load),
		cmocka_unit_test(a_long_string_of_several_bytes_can_not_be_written),
		cmocka_unit_test(a_definition_takes_its_users_along),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
