/* What stands behind a name. */
#include "base/clock.h"
#include "base/mark.h"
#include "fs/query.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct pf_name parse(const char *text)
{
	struct pf_name name;

	assert_int_equal(pf_query_parse(text, &name), 0);
	return name;
}

static void a_plain_name_asks_nothing(void **state)
{
	struct pf_name name = parse("heap.pprof");

	assert_string_equal(name.base, "heap.pprof");
	assert_int_equal(name.error, 0);
	assert_int_equal(name.query.seconds_ns, 0);
	assert_false(name.query.gc);
}

static void all_keys_are_understood_in_both_spellings(void **state)
{
	static const char *const texts[] = {
	    "heap?seconds=5&hz=200&debug=2&n=7&gc=1&lines=1&sort=cum",
	    "heap,sort=cum,lines=1,gc=1,n=7,debug=2,hz=200,seconds=5"};

	for (size_t i = 0; i < PF_COUNT(texts); i++) {
		struct pf_name name = parse(texts[i]);

		assert_string_equal(name.base, "heap");
		assert_int_equal(name.error, 0);
		assert_int_equal(name.query.seconds_ns, 5ll * PF_NS_PER_SECOND);
		assert_int_equal(name.query.hz, 200);
		assert_int_equal(name.query.debug, 2);
		assert_int_equal(name.query.rows, 7);
		assert_true(name.query.gc);
		assert_true(name.query.lines);
		assert_true(name.query.sort_cum);
	}
}

static void dash_seconds_are_taken_out_of_the_name(void **state)
{
	struct pf_name name = parse("cpu-5s.pprof");

	assert_string_equal(name.base, "cpu.pprof");
	assert_int_equal(name.query.seconds_ns, 5ll * PF_NS_PER_SECOND);
	name = parse("wall-0.25s");
	assert_string_equal(name.base, "wall");
	assert_int_equal(name.query.seconds_ns, 250ll * PF_NS_PER_MS);
	name = parse("my-5seconds");
	assert_string_equal(name.base, "my-5seconds");
	name = parse("cpu-5.pprof");
	assert_string_equal(name.base, "cpu-5.pprof");
	assert_int_equal(parse("cpu-0s.pprof").error, -EINVAL);
}

static void unknown_keys_and_empty_values_are_ignored(void **state)
{
	struct pf_name name = parse("heap?foo=bar&seconds=&novalue&&debug=1&=3");

	assert_int_equal(name.error, 0);
	assert_int_equal(name.query.seconds_ns, 0);
	assert_int_equal(name.query.debug, 1);
}

static void the_first_of_two_equal_keys_counts(void **state)
{
	assert_int_equal(parse("heap?debug=1&debug=2").query.debug, 1);
	assert_int_equal(parse("heap?debug=1&debug=x").error, 0);
}

static void percent_and_plus_are_decoded(void **state)
{
	assert_int_equal(parse("heap?%64ebug=%31").query.debug, 1);
	assert_int_equal(parse("heap?debug=+1+").query.debug, 1);
	assert_int_equal(parse("heap?debug=%3").error, -EINVAL);
	assert_int_equal(parse("heap?debug=%zz").error, -EINVAL);
	assert_int_equal(parse("heap?debug=%").error, -EINVAL);
	assert_int_equal(parse("heap?debug=%00").error, -EINVAL);
}

static void bad_values_are_invalid_and_the_base_is_still_known(void **state)
{
	static const char *const bad[] = {"seconds=0", "seconds=-1", "seconds=x", "seconds=86401",
	    "seconds=1e3", "seconds=1.", "seconds=.5", "hz=0", "hz=4001", "hz=1.5", "debug=-1",
	    "debug=x", "n=0", "gc=yes", "gc=-1", "lines=-1", "lines=x", "sort=cu", "sort=cumul"};
	char text[64];

	for (size_t i = 0; i < PF_COUNT(bad); i++) {
		strcpy(text, "heap?");
		strcat(text, bad[i]);
		assert_int_equal(parse(text).error, -EINVAL);
		assert_string_equal(parse(text).base, "heap");
	}
}

static void a_name_that_is_too_long_is_refused(void **state)
{
	char text[NAME_MAX + 2];
	struct pf_name name;

	memset(text, 'x', NAME_MAX);
	text[NAME_MAX] = '\0';
	assert_int_equal(pf_query_parse(text, &name), 0);
	text[NAME_MAX] = 'x';
	text[NAME_MAX + 1] = '\0';
	assert_int_equal(pf_query_parse(text, &name), -ENAMETOOLONG);
}

static void seconds_are_numbers_with_decimals_up_to_a_day(void **state)
{
	static const struct {
		const char *text;
		int rc;
		int64_t ns;
	} rows[] = {
	    {"0", 0, 0},
	    {"1", 0, PF_NS_PER_SECOND},
	    {" 5\n", 0, 5ll * PF_NS_PER_SECOND},
	    {"0.5", 0, PF_NS_PER_SECOND / 2},
	    {"1.0000000019", 0, PF_NS_PER_SECOND + 1},
	    {"86400", 0, 86400ll * PF_NS_PER_SECOND},
	    {"86400.1", -ERANGE, 0},
	    {"86401", -ERANGE, 0},
	    {"-1", -ERANGE, 0},
	    {"99999999999999999999999", -ERANGE, 0},
	    {"", -EINVAL, 0},
	    {"-", -EINVAL, 0},
	    {"abc", -EINVAL, 0},
	    {"5s", -EINVAL, 0},
	    {"5k", -EINVAL, 0},
	    {"5 5", -EINVAL, 0},
	    {"5.", -EINVAL, 0},
	    {"0x5", -EINVAL, 0},
	};

	for (size_t i = 0; i < PF_COUNT(rows); i++) {
		int64_t ns = -1;

		assert_int_equal(
		    pf_query_seconds(rows[i].text, strlen(rows[i].text), &ns), rows[i].rc);
		if (rows[i].rc == 0)
			assert_int_equal(ns, rows[i].ns);
	}
}

/* Every name of four bytes out of those that mean something: no read beyond it (ASan), no value
 * out of range. */
static void any_name_is_survived(void **state)
{
	static const char letters[] = "a?,&=%+-5s.n";
	enum { N = sizeof(letters) - 1, LENGTH = 5 };
	char text[LENGTH + 2];

	for (unsigned n = 0; n < N * N * N * N * N; n++) {
		unsigned rest = n;
		struct pf_name name;
		char *exact;

		for (int i = 0; i < LENGTH; i++, rest /= N)
			text[i] = letters[rest % N];
		text[LENGTH] = '\0';
		exact = strdup(text);
		assert_non_null(exact);
		assert_int_equal(pf_query_parse(exact, &name), 0);
		assert_true(name.error == 0 || name.error == -EINVAL);
		assert_true(name.query.seconds_ns >= 0);
		free(exact);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_plain_name_asks_nothing),
	    cmocka_unit_test(all_keys_are_understood_in_both_spellings),
	    cmocka_unit_test(dash_seconds_are_taken_out_of_the_name),
	    cmocka_unit_test(unknown_keys_and_empty_values_are_ignored),
	    cmocka_unit_test(the_first_of_two_equal_keys_counts),
	    cmocka_unit_test(percent_and_plus_are_decoded),
	    cmocka_unit_test(bad_values_are_invalid_and_the_base_is_still_known),
	    cmocka_unit_test(a_name_that_is_too_long_is_refused),
	    cmocka_unit_test(seconds_are_numbers_with_decimals_up_to_a_day),
	    cmocka_unit_test(any_name_is_survived),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
