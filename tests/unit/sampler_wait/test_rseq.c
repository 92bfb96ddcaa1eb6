/* The mark that the kernel wipes: over the real kernel. Where it does not wipe, or the C library has no
 * such area (emulated, old), nothing is ever said to have stayed. */
#include "sampler/gate.h"
#include "sampler/rseq.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <time.h>

#include <cmocka.h>

void pf_gate_enter(void)
{
}

void pf_gate_leave(void)
{
}

static void sleep_for_a_moment(void)
{
	struct timespec t = {.tv_nsec = 1000000};

	nanosleep(&t, NULL);
}

/* Of a hundred tries one is not interrupted. */
static bool stays(void)
{
	for (int i = 0; i < 100; i++) {
		pf_rseq_mark();
		if (pf_rseq_stays())
			return true;
	}
	return false;
}

static void a_mark_stays_while_nobody_sleeps(void **state)
{
	assert_int_equal(stays(), pf_rseq_offset != 0);
}

static void a_sleep_wipes_it(void **state)
{
	pf_rseq_mark();
	sleep_for_a_moment();
	assert_false(pf_rseq_stays());
}

/* As in a handler that interrupts a call and makes one itself: who counts marks knows. */
static void one_mark_is_like_another(void **state)
{
	pf_rseq_mark();
	sleep_for_a_moment();
	assert_int_equal(pf_rseq_wiped(), pf_rseq_offset != 0);
	assert_int_equal(stays(), pf_rseq_offset != 0);
}

static PF_TLS struct pf_rseq own;

static void a_place_of_its_own_is_never_marked(void **state)
{
	ptrdiff_t offset = pf_rseq_offset_of(&own);

	pf_rseq_mark();
	assert_false(pf_rseq_is_marked_at(offset));
	assert_false(pf_rseq_stays_at(offset));
}

static void the_kernels_place_is_found_by_its_offset(void **state)
{
	if (!pf_rseq_offset)
		return;
	pf_rseq_mark();
	pf_rseq_self()->sequence = 0;
	assert_false(pf_rseq_is_marked_at(pf_rseq_offset));
	assert_true(stays());
	assert_int_equal(pf_rseq_offset_of((const void *)pf_rseq_self()), pf_rseq_offset);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_mark_stays_while_nobody_sleeps),
	    cmocka_unit_test(a_sleep_wipes_it),
	    cmocka_unit_test(one_mark_is_like_another),
	    cmocka_unit_test(a_place_of_its_own_is_never_marked),
	    cmocka_unit_test(the_kernels_place_is_found_by_its_offset),
	};

	pf_rseq_start();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
