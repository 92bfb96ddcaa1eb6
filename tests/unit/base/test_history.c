#include "base/clock.h"
#include "base/history.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void every_column_has_words_and_a_grain(void **state)
{
	for (int i = 0; i < PF_HISTORY_COLUMN_COUNT; i++) {
		const struct pf_history_column_info *c = &pf_history_columns[i];

		assert_true(*c->name && *c->unit && *c->what);
		assert_true(c->grain >= 1);
		for (int k = 0; k < i; k++)
			assert_string_not_equal(c->name, pf_history_columns[k].name);
	}
}

static void a_rate_is_the_increase_a_second(void **state)
{
	struct pf_history_row row[] = {
	    {.time_ns = 0, .value[PF_HISTORY_CPU_USER] = 100},
	    {.time_ns = 2ll * PF_NS_PER_SECOND, .value[PF_HISTORY_CPU_USER] = 1100},
	};
	struct pf_history_rows rows = {.row = row, .count = 2};

	assert_true(pf_history_rate(&rows, 1, PF_HISTORY_CPU_USER) == 500);
}

static void a_rate_is_not_known_where_a_count_is_missing_or_began_anew(void **state)
{
	struct pf_history_row row[] = {
	    {.time_ns = 0, .value[PF_HISTORY_ALLOCATED] = PF_HISTORY_UNKNOWN},
	    {.time_ns = 1ll * PF_NS_PER_SECOND, .value[PF_HISTORY_ALLOCATED] = 5000},
	    {.time_ns = 2ll * PF_NS_PER_SECOND, .value[PF_HISTORY_ALLOCATED] = 70},
	    {.time_ns = 3ll * PF_NS_PER_SECOND, .value[PF_HISTORY_ALLOCATED] = PF_HISTORY_UNKNOWN},
	};
	struct pf_history_rows rows = {.row = row, .count = 4};

	for (size_t at = 0; at <= 4; at++)
		assert_true(pf_history_rate(&rows, at, PF_HISTORY_ALLOCATED) < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_column_has_words_and_a_grain),
	    cmocka_unit_test(a_rate_is_the_increase_a_second),
	    cmocka_unit_test(a_rate_is_not_known_where_a_count_is_missing_or_began_anew),
	};

	return cmocka_run_group_tests_name("base/history", tests, NULL, NULL);
}
