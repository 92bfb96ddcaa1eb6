#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/knob.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int parse(const char *text, int64_t *out)
{
	*out = -77;
	return pf_parse_int(text, strlen(text), out);
}

static void numbers_are_read_with_sign_and_white_space(void **state)
{
	static const struct {
		const char *text;
		int64_t value;
	} rows[] = {
	    {"0", 0},
	    {"997\n", 997},
	    {" \t5 \r\n", 5},
	    {"+8", 8},
	    {"-8", -8},
	    {"007", 7},
	    {"9223372036854775807", INT64_MAX},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		int64_t value;

		assert_int_equal(parse(rows[i].text, &value), 0);
		assert_int_equal(value, rows[i].value);
	}
}

static void suffixes_are_powers_of_1024(void **state)
{
	static const struct {
		const char *text;
		int64_t value;
	} rows[] = {
	    {"1k", 1 << 10},
	    {"1K", 1 << 10},
	    {"512KiB", 512 << 10},
	    {"64kB", 64 << 10},
	    {"3M", 3 << 20},
	    {"3MiB\n", 3 << 20},
	    {"2g", 2ll << 30},
	    {"1T", 1ll << 40},
	    {"-1k", -1024},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		int64_t value;

		assert_int_equal(parse(rows[i].text, &value), 0);
		assert_int_equal(value, rows[i].value);
	}
}

static void what_is_no_number_is_invalid_and_changes_nothing(void **state)
{
	static const char *const rows[] = {"", " ", "\n", "abc", "1x", "1.5", "1 2", "0x10", "--1",
	    "+", "k", "1kk", "1Ki", "1iB", "1kiBs", "1e3", "5;"};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		int64_t value;

		assert_int_equal(parse(rows[i], &value), -EINVAL);
		assert_int_equal(value, -77);
	}
}

static void what_does_not_fit_is_out_of_range(void **state)
{
	int64_t value;

	assert_int_equal(parse("9223372036854775808", &value), -ERANGE);
	assert_int_equal(parse("8388608T", &value), -ERANGE);
	assert_int_equal(parse("-99999999999999999999", &value), -ERANGE);
	assert_int_equal(value, -77);
}

static void a_mebibyte_of_digits_is_out_of_range(void **state)
{
	size_t length = 1 << 20;
	char *text = malloc(length);
	int64_t value;

	memset(text, '9', length);
	assert_int_equal(pf_parse_int(text, length, &value), -ERANGE);
	text[length - 1] = 'x';
	assert_int_equal(pf_parse_int(text, length, &value), -EINVAL);
	memset(text, '0', length);
	assert_int_equal(pf_parse_int(text, length, &value), 0);
	assert_int_equal(value, 0);
	free(text);
}

static void the_length_counts_and_not_a_nul(void **state)
{
	int64_t value;

	assert_int_equal(pf_parse_int("1234", 2, &value), 0);
	assert_int_equal(value, 12);
	assert_int_equal(pf_parse_int("12\0", 3, &value), -EINVAL);
}

static void defaults_lie_in_their_ranges_and_paths_are_found(void **state)
{
	for (int id = 0; id < PF_KNOB_COUNT; id++) {
		const struct pf_knob *knob = &pf_knobs[id];

		assert_true(knob->min <= knob->default_value && knob->default_value <= knob->max);
		assert_int_equal(pf_knob_get(id), knob->default_value);
		assert_int_equal(pf_knob_find(knob->path, strlen(knob->path)), id);
	}
}

static void config_may_be_left_out_of_a_name(void **state)
{
	assert_int_equal(pf_knob_find("heap_sample_bytes", 17), PF_KNOB_HEAP_SAMPLE_BYTES);
	assert_int_equal(pf_knob_find("config/heap_sample_bytes", 24), PF_KNOB_HEAP_SAMPLE_BYTES);
	assert_int_equal(pf_knob_find("cpu/hz", 6), PF_KNOB_CPU_HZ);
	assert_int_equal(pf_knob_find("hz", 2), -ENOENT);
	assert_int_equal(pf_knob_find("heap_sample", 11), -ENOENT);
	assert_int_equal(pf_knob_find("config/", 7), -ENOENT);
	assert_int_equal(pf_knob_find("", 0), -ENOENT);
}

static void the_environment_spells_the_path_in_capitals(void **state)
{
	char name[64];

	pf_knob_env_name(PF_KNOB_CPU_HZ, name, sizeof(name));
	assert_string_equal(name, "PROFFS_CPU_HZ");
	pf_knob_env_name(PF_KNOB_HEAP_SAMPLE_BYTES, name, sizeof(name));
	assert_string_equal(name, "PROFFS_HEAP_SAMPLE_BYTES");
	pf_knob_env_name(PF_KNOB_HEAP_SAMPLE_BYTES, name, 12);
	assert_string_equal(name, "PROFFS_HEAP");
}

static void both_ends_of_a_range_are_in_it(void **state)
{
	assert_int_equal(pf_knob_set(PF_KNOB_CPU_HZ, "1", 1), 0);
	assert_int_equal(pf_knob_set(PF_KNOB_CPU_HZ, "4000\n", 5), 0);
	assert_int_equal(pf_knob_get(PF_KNOB_CPU_HZ), 4000);
	assert_int_equal(pf_knob_set(PF_KNOB_CPU_HZ, "0", 1), -ERANGE);
	assert_int_equal(pf_knob_set(PF_KNOB_CPU_HZ, "4001", 4), -ERANGE);
	assert_int_equal(pf_knob_set(PF_KNOB_CPU_HZ, "fast", 4), -EINVAL);
	assert_int_equal(pf_knob_get(PF_KNOB_CPU_HZ), 4000);
}

static void a_knob_of_words_takes_words_and_numbers(void **state)
{
	char text[PF_KNOB_TEXT];

	assert_string_equal(pf_knob_text(PF_KNOB_SYMBOLS, text), "names");
	assert_int_equal(pf_knob_set(PF_KNOB_SYMBOLS, " lines\n", 7), 0);
	assert_int_equal(pf_knob_get(PF_KNOB_SYMBOLS), 1);
	assert_string_equal(pf_knob_text(PF_KNOB_SYMBOLS, text), "lines");
	assert_int_equal(pf_knob_set(PF_KNOB_SYMBOLS, "0", 1), 0);
	assert_string_equal(pf_knob_text(PF_KNOB_SYMBOLS, text), "names");
	assert_int_equal(pf_knob_set(PF_KNOB_SYMBOLS, "line", 4), -EINVAL);
	assert_int_equal(pf_knob_set(PF_KNOB_SYMBOLS, "names|lines", 11), -EINVAL);
	assert_int_equal(pf_knob_set(PF_KNOB_SYMBOLS, "", 0), -EINVAL);
	assert_int_equal(pf_knob_set(PF_KNOB_SYMBOLS, "2", 1), -ERANGE);
	assert_int_equal(pf_knob_set(PF_KNOB_CPU_HZ, "names", 5), -EINVAL);
	assert_string_equal(pf_knob_text(PF_KNOB_WALL_HZ, text), "20");
}

static int64_t applied;

static int refuse_odd(enum pf_knob_id id, int64_t value)
{
	applied = pf_knob_get(id);
	return value % 2 ? -EBUSY : 0;
}

static void what_apply_refuses_is_put_back(void **state)
{
	pf_knobs[PF_KNOB_WALL_HZ].apply = refuse_odd;
	assert_int_equal(pf_knob_put(PF_KNOB_WALL_HZ, 50), 0);
	assert_int_equal(applied, 50);
	assert_int_equal(pf_knob_put(PF_KNOB_WALL_HZ, 51), -EBUSY);
	assert_int_equal(applied, 51);
	assert_int_equal(pf_knob_get(PF_KNOB_WALL_HZ), 50);
	applied = 0;
	assert_int_equal(pf_knob_put(PF_KNOB_WALL_HZ, 1001), -ERANGE);
	assert_int_equal(applied, 0);
	pf_knobs[PF_KNOB_WALL_HZ].apply = NULL;
}

static void adopted_rows_are_the_ones_set(void **state)
{
	struct pf_knob *own = pf_knobs;
	struct pf_knob others[PF_KNOB_COUNT];

	memcpy(others, own, sizeof(others));
	pf_knob_adopt(others);
	assert_int_equal(pf_knob_put(PF_KNOB_STACK_DEPTH, 17), 0);
	pf_knob_adopt(own);
	assert_int_equal(others[PF_KNOB_STACK_DEPTH].value, 17);
	assert_int_equal(pf_knob_get(PF_KNOB_STACK_DEPTH), 128);
}

static void some_of_its_words_are_bits(void **state)
{
	static const struct {
		const char *text;
		int rc;
		int64_t value;
		const char *reads;
	} rows[] = {
	    {"sync", 0, 1, "sync"},
	    {"io sync\n", 0, 5, "sync io"},
	    {"sleep+io", 0, 6, "sleep io"},
	    {" sync, sleep,io ", 0, 7, "sync sleep io"},
	    {"3", 0, 3, "sync sleep"},
	    {"+sleep", 0, 3, "sync sleep"},
	    {"+sleep+io", 0, 7, "sync sleep io"},
	    {"+io,-sync\n", 0, 4, "io"},
	    {"sync sleep -sync", 0, 2, "sleep"},
	    {"-io", 0, 1, "sync"},
	    {"-sync", -ERANGE, 0, NULL},
	    {"+naps", -EINVAL, 0, NULL},
	    {"+", -EINVAL, 0, NULL},
	    {"sync - sync", -EINVAL, 0, NULL},
	    {"8", -ERANGE, 0, NULL},
	    {"0", -ERANGE, 0, NULL},
	    {"naps", -EINVAL, 0, NULL},
	    {"sync naps", -EINVAL, 0, NULL},
	    {"syn", -EINVAL, 0, NULL},
	    {"", -EINVAL, 0, NULL},
	};
	char text[PF_KNOB_TEXT];

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		pf_knob_put(PF_KNOB_BLOCK_KINDS, 1);
		assert_int_equal(
		    pf_knob_set(PF_KNOB_BLOCK_KINDS, rows[i].text, strlen(rows[i].text)),
		    rows[i].rc);
		if (rows[i].rc == 0)
			assert_int_equal(pf_knob_get(PF_KNOB_BLOCK_KINDS), rows[i].value);
		assert_string_equal(
		    pf_knob_text(PF_KNOB_BLOCK_KINDS, text), rows[i].rc ? "sync" : rows[i].reads);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(numbers_are_read_with_sign_and_white_space),
	    cmocka_unit_test(suffixes_are_powers_of_1024),
	    cmocka_unit_test(what_is_no_number_is_invalid_and_changes_nothing),
	    cmocka_unit_test(what_does_not_fit_is_out_of_range),
	    cmocka_unit_test(a_mebibyte_of_digits_is_out_of_range),
	    cmocka_unit_test(the_length_counts_and_not_a_nul),
	    cmocka_unit_test(defaults_lie_in_their_ranges_and_paths_are_found),
	    cmocka_unit_test(config_may_be_left_out_of_a_name),
	    cmocka_unit_test(the_environment_spells_the_path_in_capitals),
	    cmocka_unit_test(both_ends_of_a_range_are_in_it),
	    cmocka_unit_test(a_knob_of_words_takes_words_and_numbers),
	    cmocka_unit_test(what_apply_refuses_is_put_back),
	    cmocka_unit_test(some_of_its_words_are_bits),
	    cmocka_unit_test(adopted_rows_are_the_ones_set),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
