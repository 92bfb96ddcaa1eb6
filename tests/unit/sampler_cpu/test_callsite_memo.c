/* What was found at an address is known until a module may have ended. */
#include "sampler/callsite_memo.h"
#include "sampler/past.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static struct pf_callsite_memo call(uint64_t address, uint64_t callee)
{
	return pf_callsite_memo_of(PF_CALLSITE_CALL, address, callee);
}

static void an_answer_is_known_for_its_question_alone(void **state)
{
	int64_t answer = 0;

	(void)state;
	assert_false(pf_callsite_memo_get(call(0x1000, 0x2000), &answer));
	pf_callsite_memo_set(call(0x1000, 0x2000), 3);
	assert_true(pf_callsite_memo_get(call(0x1000, 0x2000), &answer));
	assert_int_equal(answer, 3);
	assert_false(pf_callsite_memo_get(call(0x2000, 0x1000), &answer));
	assert_false(pf_callsite_memo_get(call(0x1000, 0), &answer));
	assert_false(
	    pf_callsite_memo_get(pf_callsite_memo_of(PF_CALLSITE_FRAME, 0x1000, 0x2000), &answer));
}

static void nothing_is_known_once_a_module_may_have_ended(void **state)
{
	int64_t answer;

	(void)state;
	pf_callsite_memo_set(call(0x3000, 1), 1);
	pf_past_step();
	assert_false(pf_callsite_memo_get(call(0x3000, 1), &answer));
}

static void negative_answers_are_kept_and_large_ones_are_not(void **state)
{
	int64_t answer;

	(void)state;
	pf_callsite_memo_set(call(0x4000, 1), -1);
	assert_true(pf_callsite_memo_get(call(0x4000, 1), &answer));
	assert_int_equal(answer, -1);
	pf_callsite_memo_set(call(0x5000, 1), 1ll << 31);
	assert_false(pf_callsite_memo_get(call(0x5000, 1), &answer));
	pf_callsite_memo_set(call(0x5000, 1), -(1ll << 31));
	assert_false(pf_callsite_memo_get(call(0x5000, 1), &answer));
}

/* Far more questions than there is room for: each answer that is given is the right one. */
static void many_questions_push_each_other_out_and_never_mix(void **state)
{
	enum { QUESTIONS = 100000 };
	int64_t answer;
	int known = 0;

	(void)state;
	for (uint64_t i = 0; i < QUESTIONS; i++)
		pf_callsite_memo_set(call(i * 16, i), (int64_t)(i % 1000));
	for (uint64_t i = 0; i < QUESTIONS; i++) {
		if (!pf_callsite_memo_get(call(i * 16, i), &answer))
			continue;
		assert_int_equal(answer, i % 1000);
		known++;
	}
	assert_in_range(known, 1, QUESTIONS - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(an_answer_is_known_for_its_question_alone),
	    cmocka_unit_test(nothing_is_known_once_a_module_may_have_ended),
	    cmocka_unit_test(negative_answers_are_kept_and_large_ones_are_not),
	    cmocka_unit_test(many_questions_push_each_other_out_and_never_mix),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
