/* The moments at which what is regular is due. */
#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { TICK_NS = 50 * PF_NS_PER_MS };

static void beats_are_a_period_apart_wherever_one_starts(void **state)
{
	int64_t beat = pf_clock_beat_after(123456789012, TICK_NS);

	(void)state;
	for (int64_t ahead_ns = 1; ahead_ns <= TICK_NS; ahead_ns += 333667)
		assert_int_equal(pf_clock_beat_after(beat - ahead_ns, TICK_NS), beat);
	assert_int_equal(pf_clock_beat_after(beat, TICK_NS), beat + TICK_NS);
	assert_int_equal(pf_clock_beat_after(beat + TICK_NS - 1, TICK_NS), beat + TICK_NS);
}

static void the_beats_of_a_long_period_are_among_those_of_a_short_one(void **state)
{
	int64_t beat = pf_clock_beat_after(987654321098, PF_NS_PER_SECOND);

	(void)state;
	assert_int_equal(pf_clock_beat_after(beat - 1, TICK_NS), beat);
	assert_int_equal(pf_clock_beat_after(beat - 1, 10 * TICK_NS), beat);
}

static void right_after_the_machines_start_there_is_one_too(void **state)
{
	(void)state;
	assert_int_equal(pf_clock_beat_after(0, TICK_NS), PF_CLOCK_PHASE_NS);
	assert_int_equal(
	    pf_clock_beat_after(PF_CLOCK_PHASE_NS, TICK_NS), PF_CLOCK_PHASE_NS + TICK_NS);
	assert_int_equal(pf_clock_beat_after(0, PF_NS_PER_MS), PF_CLOCK_PHASE_NS % PF_NS_PER_MS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(beats_are_a_period_apart_wherever_one_starts),
	    cmocka_unit_test(the_beats_of_a_long_period_are_among_those_of_a_short_one),
	    cmocka_unit_test(right_after_the_machines_start_there_is_one_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
