#include "base/clock.h"
#include "base/knob.h"
#include "sampler/feed.h"
#include "sampler/window.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static struct pf_feed feed = PF_FEED_INIT(PF_COUNTER_CPU_LOST_RECORDER);

static void add(int64_t time_ns, int64_t weight_ns)
{
	struct pf_record r = {.time_ns = time_ns, .weight_ns = weight_ns, .stack = 7, .count = 1};

	pf_feed_add(&feed, &r);
}

static int64_t sum(const struct pf_window *w)
{
	int64_t total = 0;

	for (size_t i = 0; i < w->count; i++)
		total += w->entries[i].record.weight_ns;
	return total;
}

static void a_window_gets_what_comes_while_it_is_attached(void **state)
{
	struct pf_window one, two;

	pf_window_init(&one);
	pf_window_init(&two);
	add(1, 1);
	pf_feed_attach(&feed, &one);
	add(2, 2);
	pf_feed_attach(&feed, &two);
	add(3, 4);
	pf_feed_detach(&feed, &one);
	add(4, 8);
	pf_feed_detach(&feed, &two);
	add(5, 16);
	assert_int_equal(sum(&one), 6);
	assert_int_equal(sum(&two), 12);
	pf_window_clear(&one);
	pf_window_clear(&two);
}

static void the_recorder_keeps_the_last_seconds_and_forgets_the_rest(void **state)
{
	int64_t now_ns = pf_clock_now_ns();
	struct pf_window w;

	pf_knob_put(PF_KNOB_RECORDER_SECONDS, 60);
	pf_feed_record(&feed, true);
	add(now_ns - 90ll * PF_NS_PER_SECOND, 1);
	add(now_ns - 61ll * PF_NS_PER_SECOND, 2);
	add(now_ns - 30ll * PF_NS_PER_SECOND, 4);
	add(now_ns, 8);
	pf_window_init(&w);
	assert_true(pf_feed_replay(&feed, &w) > 0);
	assert_int_equal(sum(&w), 12);
	assert_int_equal(feed.count, 2);
	pf_window_clear(&w);
	pf_feed_record(&feed, false);
}

static void without_a_recorder_there_is_no_data(void **state)
{
	struct pf_window w;

	pf_window_init(&w);
	add(pf_clock_now_ns(), 1);
	assert_int_equal(pf_feed_replay(&feed, &w), -ENODATA);
	pf_feed_record(&feed, true);
	assert_true(pf_feed_replay(&feed, &w) > 0); /* that there was nothing is known */
	assert_int_equal(w.count, 0);
	add(pf_clock_now_ns(), 1);
	assert_true(pf_feed_replay(&feed, &w) > 0);
	assert_int_equal(w.count, 1);
	pf_feed_record(&feed, false);
	pf_window_clear(&w);
}

/* The bound is in the source; whatever it is, memory stops growing there and the oldest go first. */
static void a_full_recorder_forgets_the_oldest_and_counts(void **state)
{
	uint64_t before = pf_counter_get(PF_COUNTER_CPU_LOST_RECORDER);
	int64_t added = 0, now_ns;

	pf_feed_record(&feed, true);
	now_ns = pf_clock_now_ns();
	while (pf_counter_get(PF_COUNTER_CPU_LOST_RECORDER) == before)
		add(now_ns + ++added, 1);
	for (int i = 0; i < 10; i++)
		add(now_ns + ++added, 1);
	assert_int_equal(pf_counter_get(PF_COUNTER_CPU_LOST_RECORDER), before + 11);
	assert_int_equal(feed.count, feed.capacity);
	assert_int_equal(feed.records[feed.first].time_ns, now_ns + 12);
	/* What it still tells begins behind the last one forgotten. */
	assert_int_equal(feed.recording_since_ns, now_ns + 11);
	pf_feed_record(&feed, false);
}

static void after_fork_nobody_listens(void **state)
{
	struct pf_window w;

	pf_window_init(&w);
	pf_feed_attach(&feed, &w);
	pf_feed_record(&feed, true);
	pf_feed_fork_child(&feed);
	add(pf_clock_now_ns(), 1);
	assert_int_equal(w.count, 0);
	assert_int_equal(pf_feed_replay(&feed, &w), -ENODATA);
	pf_feed_record(&feed, false);
	pf_window_clear(&w);
}

/* The parent's thread held the lock, and has freed the records already: the child makes itself new ones. */
static void in_a_child_half_replaced_records_are_not_used(void **state)
{
	static struct pf_record gone[1];
	struct pf_record *records = feed.records;
	size_t capacity = feed.capacity;

	feed.lock.word = 1;
	feed.records = gone;
	feed.capacity = 1;
	pf_feed_fork_child(&feed);
	pf_feed_record(&feed, true);
	add(1, 7);
	assert_ptr_not_equal(feed.records, gone);
	assert_int_equal(gone[0].weight_ns, 0);
	pf_feed_record(&feed, false);
	feed.records = records;
	feed.capacity = capacity;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_window_gets_what_comes_while_it_is_attached),
	    cmocka_unit_test(the_recorder_keeps_the_last_seconds_and_forgets_the_rest),
	    cmocka_unit_test(without_a_recorder_there_is_no_data),
	    cmocka_unit_test(a_full_recorder_forgets_the_oldest_and_counts),
	    cmocka_unit_test(after_fork_nobody_listens),
	    cmocka_unit_test(in_a_child_half_replaced_records_are_not_used),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
