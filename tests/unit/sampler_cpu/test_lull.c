#include "base/counter.h"
#include "sampler/lull.h"
#include "sampler/window.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static struct pf_feed feed = PF_FEED_INIT(PF_COUNTER_WALL_LOST);

static struct pf_record sleeper(pid_t tid)
{
	return (struct pf_record){.time_ns = 100,
	    .weight_ns = 50,
	    .spans = true,
	    .tid = tid,
	    .stack = 7,
	    .state = 1,
	    .count = 1};
}

static void all_asleep(struct pf_lull *lull, pid_t threads)
{
	pf_lull_begin(lull);
	for (pid_t tid = 1; tid <= threads; tid++) {
		struct pf_record record = sleeper(tid);

		pf_lull_add(lull, &record);
	}
}

static void each_thread_gets_the_time_of_all_quiet_ticks_once(void **state)
{
	uint64_t samples = pf_counter_get(PF_COUNTER_WALL_SAMPLES);
	struct pf_lull lull = {0};
	struct pf_window w;

	pf_window_init(&w);
	pf_feed_attach(&feed, &w);
	w.since_ns = 0;
	all_asleep(&lull, 100);
	assert_true(pf_lull_is_possible(&lull));
	pf_lull_tick(&lull, 150, 50);
	pf_lull_tick(&lull, 210, 60);
	pf_lull_tell(&lull, &feed);
	pf_lull_tell(&lull, &feed);
	pf_lull_tick(&lull, 250, 40);
	pf_lull_tell(&lull, &feed);
	pf_feed_detach(&feed, &w);
	assert_int_equal(w.count, 100);
	for (size_t i = 0; i < w.count; i++) {
		assert_int_equal(w.entries[i].record.weight_ns, 150);
		assert_int_equal(w.entries[i].record.count, 3);
		assert_int_equal(w.entries[i].record.state, 1);
	}
	assert_int_equal(pf_counter_get(PF_COUNTER_WALL_SAMPLES) - samples, 300);
	pf_window_clear(&w);
	pf_lull_finish(&lull);
}

static void what_lies_before_a_window_is_not_its_own(void **state)
{
	struct pf_lull lull = {0};
	struct pf_window w;

	pf_window_init(&w);
	pf_feed_attach(&feed, &w);
	w.since_ns = 180;
	all_asleep(&lull, 1);
	pf_lull_tick(&lull, 150, 50);
	pf_lull_tick(&lull, 200, 50);
	pf_lull_tell(&lull, &feed);
	pf_feed_detach(&feed, &w);
	assert_int_equal(w.entries[0].record.weight_ns, 20);
	assert_int_equal(w.entries[0].record.count, 1);
	pf_window_clear(&w);
	pf_lull_finish(&lull);
}

static void one_that_runs_spoils_it_until_the_next_full_tick(void **state)
{
	struct pf_record record = sleeper(3);
	struct pf_lull lull = {0};

	assert_false(pf_lull_is_possible(&lull));
	all_asleep(&lull, 2);
	pf_lull_spoil(&lull);
	pf_lull_add(&lull, &record);
	assert_false(pf_lull_is_possible(&lull));
	all_asleep(&lull, 2);
	assert_true(pf_lull_is_possible(&lull));
	assert_int_equal(lull.count, 2);
	pf_lull_finish(&lull);
	assert_false(pf_lull_is_possible(&lull));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(each_thread_gets_the_time_of_all_quiet_ticks_once),
	    cmocka_unit_test(what_lies_before_a_window_is_not_its_own),
	    cmocka_unit_test(one_that_runs_spoils_it_until_the_next_full_tick),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
