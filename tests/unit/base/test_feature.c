#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/feature.h"

#include <string.h>

static void a_feature_is_off_until_somebody_says_more(void **state)
{
	assert_int_equal(pf_features[PF_FEATURE_WALL].state, PF_FEATURE_OFF);
	assert_null(pf_features[PF_FEATURE_WALL].reason);
}

static void state_and_reason_are_what_was_set_last(void **state)
{
	pf_feature_set(PF_FEATURE_TREE, PF_FEATURE_NONE, "no /dev/fuse");
	assert_int_equal(pf_features[PF_FEATURE_TREE].state, PF_FEATURE_NONE);
	assert_string_equal(pf_features[PF_FEATURE_TREE].reason, "no /dev/fuse");
	pf_feature_set(PF_FEATURE_TREE, PF_FEATURE_OK, NULL);
	assert_int_equal(pf_features[PF_FEATURE_TREE].state, PF_FEATURE_OK);
	assert_null(pf_features[PF_FEATURE_TREE].reason);
}

static void every_feature_has_its_own_name(void **state)
{
	for (int i = 0; i < PF_FEATURE_COUNT; i++) {
		assert_true(strlen(pf_feature_name(i)) > 0);
		for (int k = 0; k < i; k++)
			assert_string_not_equal(pf_feature_name(i), pf_feature_name(k));
	}
}

static void states_have_words(void **state)
{
	assert_string_equal(pf_feature_state_name(PF_FEATURE_OFF), "off");
	assert_string_equal(pf_feature_state_name(PF_FEATURE_OK), "ok");
	assert_string_equal(pf_feature_state_name(PF_FEATURE_DEGRADED), "degraded");
	assert_string_equal(pf_feature_state_name(PF_FEATURE_NONE), "unavailable");
}

static void an_adopted_table_is_written_to(void **state)
{
	struct pf_feature_entry *own = pf_features;
	struct pf_feature_entry others[PF_FEATURE_COUNT] = {{0}};

	pf_feature_adopt(others);
	pf_feature_set(PF_FEATURE_REAPER, PF_FEATURE_DEGRADED, "no pidfd");
	pf_feature_adopt(own);
	assert_int_equal(others[PF_FEATURE_REAPER].state, PF_FEATURE_DEGRADED);
	assert_string_equal(others[PF_FEATURE_REAPER].reason, "no pidfd");
	assert_int_equal(pf_features[PF_FEATURE_REAPER].state, PF_FEATURE_OFF);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_feature_is_off_until_somebody_says_more),
	    cmocka_unit_test(state_and_reason_are_what_was_set_last),
	    cmocka_unit_test(every_feature_has_its_own_name),
	    cmocka_unit_test(states_have_words),
	    cmocka_unit_test(an_adopted_table_is_written_to),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
