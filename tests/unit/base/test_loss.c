#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/loss.h"

static void what_was_lost_is_said_and_nothing_else(void **state)
{
	static const enum pf_counter losses[] = {
	    PF_COUNTER_CPU_LOST_RING, PF_COUNTER_CPU_LOST_NESTED, PF_COUNTER_LABEL_LOST};
	PF_SCOPED(pf_profile) p;

	pf_profile_init(&p);
	pf_loss_comment(&p, losses, PF_COUNT(losses));
	assert_int_equal(p.comment_count, 0);
	pf_count_many(PF_COUNTER_LABEL_LOST, 3);
	pf_count(PF_COUNTER_WALL_LOST);
	pf_count(PF_COUNTER_CPU_LOST_RING);
	pf_loss_comment(&p, losses, PF_COUNT(losses));
	assert_int_equal(p.comment_count, 2);
	assert_string_equal(
	    p.comments[0], "cpu_lost_ring_full 1 (CPU samples dropped: the ring was full)");
	assert_string_equal(
	    p.comments[1], "label_lost 3 (labels not set: the store of label sets was full)");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_was_lost_is_said_and_nothing_else),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
